//! The traces in the order of their arrival, within a memory budget.
//!
//! A search takes traces in small batches, so that search and writer block each other only while some pointers are
//! cloned. A trace that is dropped during a read stays in memory until the reader has finished.

use std::collections::{HashMap, VecDeque};
use std::mem::size_of;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::{RwLock, RwLockReadGuard};

use super::TempoConfig;
use super::index::Index;
use super::trace::Trace;
use crate::embedded::request::Turns;
use crate::telemetry::{TraceRecord, TraceSubscription};

/// The number of records that are stored under one lock. A reader waits for at most one batch.
const INGEST_BATCH: usize = 64;
/// The memory of a trace's row and of its table entries, in bytes.
const ROW_BYTES: usize = size_of::<Row>() + 64;

/// The latest traces. Share the store in an [`Arc`].
#[derive(Debug)]
pub struct TempoStore {
    pub(super) config: TempoConfig,
    pub(super) turns: Turns,
    inner: RwLock<Inner>,
}

/// The figures of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStats {
    /// Number of traces.
    pub traces: usize,
    /// Number of spans.
    pub spans: usize,
    /// Memory in bytes, including indexes.
    pub bytes: usize,
    /// Number of dropped traces.
    pub evicted: u64,
    /// Number of refused records: those without a span, or with too many spans for one trace.
    pub refused: u64,
}

/// The facts that a search checks before the trace itself. They are side by side in memory.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    trace: Arc<Trace>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    /// The number of the oldest trace. The numbers of the others follow without a gap.
    first: u64,
    rows: VecDeque<Row>,
    by_id: HashMap<u128, u64>,
    pub(super) index: Index,
    bytes: usize,
    spans: usize,
    newest_ns: u64,
    evicted: u64,
    refused: u64,
}

impl TempoStore {
    /// An empty store.
    #[must_use]
    pub fn new(config: TempoConfig) -> TempoStore {
        TempoStore {
            turns: Turns::new(config.limits.max_concurrent),
            config,
            inner: RwLock::default(),
        }
    }

    /// Stores a record.
    pub fn push(&self, record: &Arc<TraceRecord>) {
        self.inner.write().push(&self.config, record);
    }

    /// Stores records in order.
    pub fn push_all(&self, records: &[Arc<TraceRecord>]) {
        for records in records.chunks(INGEST_BATCH) {
            let mut inner = self.inner.write();
            for record in records {
                inner.push(&self.config, record);
            }
        }
    }

    /// Stores records until the subscription ends. It runs as its own task.
    pub async fn ingest(self: Arc<Self>, mut records: TraceSubscription) {
        let mut batch = Vec::with_capacity(INGEST_BATCH);
        while records.recv_many(&mut batch, INGEST_BATCH).await > 0 {
            self.push_all(&batch);
            batch.clear();
        }
    }

    /// The current figures of the store.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let inner = self.inner.read();
        StoreStats {
            traces: inner.rows.len(),
            spans: inner.spans,
            bytes: inner.total_bytes(),
            evicted: inner.evicted,
            refused: inner.refused,
        }
    }

    /// The trace with this id.
    pub(super) fn trace(&self, id: u128) -> Option<Arc<Trace>> {
        let inner = self.inner.read();
        let seq = *inner.by_id.get(&id)?;
        Some(Arc::clone(&inner.row(seq)?.trace))
    }

    /// Returns those of the given traces that the store still holds, in the same order.
    pub(super) fn traces(&self, numbers: &[u64]) -> Vec<Arc<Trace>> {
        let inner = self.inner.read();
        let rows = numbers.iter().filter_map(|seq| inner.row(*seq));
        rows.map(|row| Arc::clone(&row.trace)).collect()
    }

    /// Locks the tables for reading. Keep the lock for a short time only.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read()
    }
}

impl Inner {
    fn push(&mut self, config: &TempoConfig, record: &Arc<TraceRecord>) {
        let known = self.by_id.get(&record.trace_id).copied();
        let there = known.and_then(|seq| self.row(seq));
        let spans = there.map_or(0, |row| row.trace.span_count) + record.spans.len();
        if record.spans.is_empty() || spans > config.max_spans_per_trace {
            self.refused += 1;
            return;
        }
        let seq = known.unwrap_or(self.first + self.rows.len() as u64);
        match known.and_then(|seq| self.place(seq)) {
            Some(place) => {
                let row = &mut self.rows[place];
                let before = row.trace.bytes;
                // This copies the pointers only if a reader holds this trace.
                let trace = Arc::make_mut(&mut row.trace);
                trace.add(record);
                self.bytes += trace.bytes - before;
                (row.start_ns, row.end_ns) = (trace.start_ns, trace.end_ns);
            }
            None => {
                let trace = Trace::new(seq, record);
                self.bytes += trace.bytes + ROW_BYTES;
                self.by_id.insert(record.trace_id, seq);
                self.rows.push_back(Row {
                    start_ns: trace.start_ns,
                    end_ns: trace.end_ns,
                    trace: Arc::new(trace),
                });
            }
        }
        self.spans += record.spans.len();
        self.index.add(seq, record);
        if let Some(place) = self.place(seq) {
            self.newest_ns = self.newest_ns.max(self.rows[place].end_ns);
        }
        self.evict(config);
    }

    /// Drops the traces that exceed the memory budget or the retention.
    fn evict(&mut self, config: &TempoConfig) {
        let retention = u64::try_from(config.retention.as_nanos()).unwrap_or(u64::MAX);
        // One record from the future must not make all others too old.
        let horizon = self.newest_ns.min(now_ns()).saturating_sub(retention);
        while let Some(oldest) = self.rows.front() {
            if self.total_bytes() <= config.max_bytes && oldest.end_ns >= horizon {
                return;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(row) = self.rows.pop_front() else {
            return;
        };
        self.first += 1;
        self.by_id.remove(&row.trace.id);
        self.bytes -= row.trace.bytes + ROW_BYTES;
        self.spans -= row.trace.span_count;
        self.evicted += 1;
        for record in row.trace.records() {
            self.index.remove(row.trace.seq, record);
        }
    }

    fn total_bytes(&self) -> usize {
        self.bytes + self.index.bytes
    }

    fn place(&self, seq: u64) -> Option<usize> {
        let place = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        (place < self.rows.len()).then_some(place)
    }

    pub(super) fn row(&self, seq: u64) -> Option<&Row> {
        self.rows.get(self.place(seq)?)
    }

    /// Every trace with its number.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u64, &Row)> {
        (self.first..).zip(&self.rows)
    }
}

/// Nanoseconds since the epoch.
pub(super) fn now_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
