//! The store of samples. It finds series by label set, keeps samples in compressed chunks, and has three bounds.
//!
//! [`TsdbConfig`] limits the bytes, the age and the number of series. Beyond the limit of bytes or age, the oldest
//! chunks are dropped. Series over the limit are refused and counted. The age is measured from the time of the newest
//! sample.
//!
//! The scraper writes (and so do tests), queries read. A reader takes references to finished chunks under a short
//! lock and decodes them without the lock.

mod chunk;
mod limits;
mod metadata;
mod series;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::RwLock;

pub use limits::{AppendError, TsdbConfig, TsdbStats};
pub use metadata::{Metadata, MetricType};
pub(crate) use series::Selection;

use super::labels::{Labels, METRIC_NAME};
use metadata::MetadataStore;
use series::Series;

/// The staleness marker, which ends a series: a NaN with its own payload.
///
/// <https://github.com/prometheus/prometheus/blob/v2.42.0/model/value/value.go>
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Returns whether a sample's value is the staleness marker.
pub fn is_stale(v: f64) -> bool {
    v.to_bits() == STALE_NAN_BITS
}

/// Time stamps beyond this many milliseconds before or after 1970 (some 140,000 years) are refused.
const MAX_TIMESTAMP: i64 = 1 << 52;

/// The number of samples in a finished chunk.
const SAMPLES_PER_CHUNK: usize = 240;

/// The number of samples between two checks for series that are too old.
const COLLECT_EVERY: u64 = 50_000;

/// Identifies a series while it exists. An id is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(u64);

/// The store. It is shared as `Arc<Tsdb>`, and all methods take `&self`.
#[derive(Debug)]
pub struct Tsdb {
    config: TsdbConfig,
    inner: RwLock<Inner>,
    metadata: RwLock<MetadataStore>,
}

#[derive(Debug, Default)]
struct Inner {
    series: HashMap<SeriesId, Series>,
    by_labels: HashMap<Labels, SeriesId>,
    by_name: HashMap<Arc<str>, Vec<SeriesId>>,
    symbols: HashSet<Arc<str>>,
    /// The series of the finished chunks, in the order in which these were finished. The front is dropped first.
    finished: VecDeque<SeriesId>,
    next_id: u64,
    since_collect: u64,
    newest: Option<i64>,
    bytes: usize,
    stats: TsdbStats,
}

impl Tsdb {
    /// An empty store.
    pub fn new(config: TsdbConfig) -> Self {
        Self {
            config,
            inner: RwLock::default(),
            metadata: RwLock::default(),
        }
    }

    /// Adds one sample. `t` is in milliseconds since 1970.
    ///
    /// # Errors
    /// See [`AppendError`]. Only the store's counts change then.
    pub fn append(&self, labels: &Labels, t: i64, v: f64) -> Result<SeriesId, AppendError> {
        self.inner.write().append(&self.config, labels, t, v)
    }

    /// Adds the samples of a scrape under one lock. Returns the outcomes in the order of the samples.
    pub fn append_all(&self, samples: &[(Labels, i64, f64)]) -> Vec<Result<SeriesId, AppendError>> {
        let mut inner = self.inner.write();
        samples
            .iter()
            .map(|(labels, t, v)| inner.append(&self.config, labels, *t, *v))
            .collect()
    }

    /// Marks series as ended at `t`. Series that were removed or have newer samples are left unchanged.
    pub fn mark_stale(&self, ids: impl IntoIterator<Item = SeriesId>, t: i64) {
        let mut inner = self.inner.write();
        for id in ids {
            // A refusal means that the series was removed, or that it has a sample at `t` or later, so it has not
            // ended.
            let _ = inner.append_to(&self.config, id, t, f64::from_bits(STALE_NAN_BITS));
        }
    }

    /// The figures of the store.
    pub fn stats(&self) -> TsdbStats {
        let inner = self.inner.read();
        TsdbStats {
            series: inner.series.len(),
            chunks: inner.series.values().map(Series::chunk_count).sum(),
            bytes: inner.bytes,
            oldest_ms: inner.series.values().filter_map(Series::first_t).min(),
            newest_ms: inner.newest,
            ..inner.stats
        }
    }

    /// The bounds of the store.
    pub fn config(&self) -> &TsdbConfig {
        &self.config
    }

    /// The series that `accept` accepts and that have chunks between `min_t` and `max_t` (inclusive), sorted by
    /// labels. `name` restricts the search to one metric.
    pub(crate) fn select(
        &self,
        name: Option<&str>,
        accept: impl Fn(&Labels) -> bool,
        min_t: i64,
        max_t: i64,
    ) -> Vec<Selection> {
        let inner = self.inner.read();
        let mut found: Vec<Selection> = inner
            .candidates(name)
            .filter(|s| accept(s.labels()))
            .filter_map(|s| s.select(min_t, max_t))
            .collect();
        drop(inner);
        found.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        found
    }

    /// The label sets that [`Tsdb::select`] would find, without samples and in no particular order.
    pub(crate) fn label_sets(
        &self,
        name: Option<&str>,
        accept: impl Fn(&Labels) -> bool,
        min_t: i64,
        max_t: i64,
    ) -> Vec<Labels> {
        let inner = self.inner.read();
        inner
            .candidates(name)
            .filter(|s| accept(s.labels()) && s.touches(min_t, max_t))
            .map(|s| s.labels().clone())
            .collect()
    }

    /// Updates the metadata of a metric. The number of metrics is bounded, and later ones are ignored.
    pub fn set_metadata(&self, metric: &str, update: impl FnOnce(&mut Metadata)) {
        self.metadata.write().update(metric, update);
    }

    /// The metadata of all metrics, sorted by name.
    pub fn metadata(&self) -> Vec<(String, Metadata)> {
        self.metadata.read().all()
    }
}

impl Inner {
    /// The series of one metric, or all series.
    fn candidates(&self, name: Option<&str>) -> impl Iterator<Item = &Series> {
        let of_name = name.map(|n| self.by_name.get(n).map_or(&[][..], Vec::as_slice));
        let all = of_name.is_none().then(|| self.series.values());
        let some = of_name.unwrap_or_default().iter();
        some.filter_map(|id| self.series.get(id))
            .chain(all.into_iter().flatten())
    }

    fn append(
        &mut self,
        config: &TsdbConfig,
        labels: &Labels,
        t: i64,
        v: f64,
    ) -> Result<SeriesId, AppendError> {
        if !(-MAX_TIMESTAMP..=MAX_TIMESTAMP).contains(&t) || self.is_too_old(config, t) {
            return Err(AppendError::OutOfBounds);
        }
        let id = match self.by_labels.get(labels) {
            Some(&id) => id,
            None if self.series.len() >= config.max_series => {
                self.stats.samples_over_series_limit += 1;
                return Err(AppendError::TooManySeries);
            }
            None => self.create(labels),
        };
        self.append_to(config, id, t, v).map(|()| id)
    }

    fn append_to(
        &mut self,
        config: &TsdbConfig,
        id: SeriesId,
        t: i64,
        v: f64,
    ) -> Result<(), AppendError> {
        let Some(series) = self.series.get_mut(&id) else {
            return Err(AppendError::OutOfBounds);
        };
        let outcome = series.append(t, v).inspect_err(|_| {
            self.stats.samples_out_of_order += 1;
        })?;
        self.bytes = self.bytes + outcome.grown - outcome.shrunk;
        if outcome.finished_chunk {
            self.finished.push_back(id);
        }
        self.stats.samples_appended += 1;
        self.newest = Some(self.newest.map_or(t, |newest| newest.max(t)));
        self.since_collect += 1;
        if self.since_collect >= COLLECT_EVERY {
            self.since_collect = 0;
            self.collect(config);
        }
        self.evict(config);
        Ok(())
    }

    fn create(&mut self, labels: &Labels) -> SeriesId {
        let interned = Labels::from_pairs(labels.pairs().iter().map(|(n, v)| {
            let name = intern(&mut self.symbols, n);
            (name, intern(&mut self.symbols, v))
        }));
        let id = SeriesId(self.next_id);
        self.next_id += 1;
        let name: Arc<str> = intern(&mut self.symbols, &Arc::from(labels.get(METRIC_NAME)));
        self.by_name.entry(name).or_default().push(id);
        self.by_labels.insert(interned.clone(), id);
        let series = Series::new(interned);
        self.bytes += series.bytes();
        self.series.insert(id, series);
        id
    }

    fn is_too_old(&self, config: &TsdbConfig, t: i64) -> bool {
        self.newest
            .is_some_and(|newest| t < horizon(config, newest))
    }

    /// Drops the oldest finished chunks until bytes and age are within their bounds.
    fn evict(&mut self, config: &TsdbConfig) {
        let Some(newest) = self.newest else { return };
        let horizon = horizon(config, newest);
        while let Some(&id) = self.finished.front() {
            let over = self.bytes > config.max_bytes;
            let Some(series) = self.series.get_mut(&id) else {
                self.finished.pop_front();
                continue;
            };
            if !over && series.oldest_chunk_end().is_some_and(|end| end >= horizon) {
                return;
            }
            self.finished.pop_front();
            let (samples, bytes) = series.drop_oldest_chunk();
            self.stats.samples_evicted += samples as u64;
            self.bytes -= bytes;
        }
        if self.bytes > config.max_bytes {
            self.remove_idlest(config);
        }
    }

    /// Only growing chunks are left, and there are too many. Removes the series that have been idle longest, a tenth
    /// of the memory at a time, so that not every sample starts this search again.
    fn remove_idlest(&mut self, config: &TsdbConfig) {
        let mut by_age: Vec<_> = self
            .series
            .iter()
            .map(|(id, s)| (s.last_t(), *id))
            .collect();
        by_age.sort_unstable();
        for (_, id) in by_age {
            if self.bytes <= config.max_bytes / 10 * 9 {
                break;
            }
            self.remove(id);
        }
        self.free_symbols();
    }

    /// Removes series whose last sample is too old.
    fn collect(&mut self, config: &TsdbConfig) {
        let Some(newest) = self.newest else { return };
        let horizon = horizon(config, newest);
        let gone: Vec<_> = self
            .series
            .iter()
            .filter(|(_, s)| s.last_t().is_none_or(|t| t < horizon))
            .map(|(id, _)| *id)
            .collect();
        if gone.is_empty() {
            return;
        }
        for id in gone {
            self.remove(id);
        }
        self.free_symbols();
    }

    /// Frees the strings that no series uses. A string that a query still uses is freed by a later call.
    fn free_symbols(&mut self) {
        self.symbols.retain(|s| Arc::strong_count(s) > 1);
    }

    fn remove(&mut self, id: SeriesId) {
        let Some(series) = self.series.remove(&id) else {
            return;
        };
        self.bytes -= series.bytes();
        self.stats.samples_evicted += series.sample_count() as u64;
        self.by_labels.remove(series.labels());
        let name = series.labels().metric_name();
        if let Some(ids) = self.by_name.get_mut(name) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_name.remove(name);
            }
        }
    }
}

fn horizon(config: &TsdbConfig, newest: i64) -> i64 {
    let retention = i64::try_from(config.retention.as_millis()).unwrap_or(i64::MAX);
    newest.saturating_sub(retention)
}

fn intern(symbols: &mut HashSet<Arc<str>>, s: &Arc<str>) -> Arc<str> {
    if let Some(known) = symbols.get(s) {
        return known.clone();
    }
    symbols.insert(s.clone());
    s.clone()
}

#[cfg(test)]
mod tests;
