//! The stored records: streams of chunks within a memory budget.
//!
//! Queries work on a snapshot of shared chunks, so that queries and writers block each other only while a few
//! pointers are cloned. A chunk that is dropped during a query stays in memory until the query has finished.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use super::LokiConfig;
use super::chunk::Chunk;
use super::tail_queue::Tail;
use crate::embedded::matcher::Matcher;
use crate::embedded::now_ns;
use crate::embedded::request::Turns;
use crate::telemetry::{LogRecord, LogSubscription};

/// The text capacity of a chunk in bytes. The next chunk begins when a sixteenth is left. The size is small enough to
/// drop single chunks, and large enough for a search to read long stretches of memory.
const CHUNK_TEXT_BYTES: usize = 256 << 10;
/// Longer lines are cut, in bytes.
const MAX_LINE_BYTES: usize = 64 << 10;
const INGEST_BATCH: usize = 512;

/// A stream's labels, by name.
pub(super) type Labels = BTreeMap<String, String>;

/// The latest log records. Share the store in an [`Arc`].
#[derive(Debug)]
pub struct LokiStore {
    pub(super) config: LokiConfig,
    pub(super) turns: Turns,
    /// Cancelling this ends the connections of live tails.
    pub(super) stop: CancellationToken,
    chunk_text_bytes: usize,
    inner: RwLock<Inner>,
}

/// The figures of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStats {
    /// Number of label sets.
    pub streams: usize,
    /// Number of lines.
    pub lines: usize,
    /// Memory in bytes, including indexes.
    pub bytes: usize,
    /// Number of dropped lines.
    pub evicted: u64,
    /// Number of lines that were refused because there were too many streams.
    pub refused: u64,
}

#[derive(Debug, Default)]
struct Inner {
    streams: HashMap<String, Stream>,
    /// The live tails, which get lines when they arrive.
    tails: Vec<Arc<Tail>>,
    bytes: usize,
    newest_ns: i64,
    next_chunk: u64,
    evicted: u64,
    refused: u64,
}

#[derive(Debug)]
struct Stream {
    labels: Arc<Labels>,
    sealed: VecDeque<Arc<Chunk>>,
    head: Arc<Chunk>,
}

/// A stream in the snapshot of a query.
#[derive(Debug)]
pub(super) struct StreamSnapshot {
    pub(super) labels: Arc<Labels>,
    pub(super) chunks: Vec<Arc<Chunk>>,
}

impl LokiStore {
    /// An empty store.
    #[must_use]
    pub fn new(config: LokiConfig) -> LokiStore {
        LokiStore {
            // With a small budget, chunks are small too, so that at most a sixteenth of the budget is dropped at
            // once.
            chunk_text_bytes: CHUNK_TEXT_BYTES.min(config.max_bytes / 16).max(1024),
            turns: Turns::new(config.limits.max_concurrent),
            config,
            stop: CancellationToken::new(),
            inner: RwLock::default(),
        }
    }

    /// Ends the live tails when `stop` is cancelled.
    #[must_use]
    pub fn until(self, stop: CancellationToken) -> LokiStore {
        LokiStore { stop, ..self }
    }

    /// Adds a line to the stream with these labels (names and values, without empty values). A line longer than 64
    /// KiB is cut.
    pub fn push(&self, labels: &[(&str, &str)], timestamp_ns: i64, line: &str) {
        self.push_with_metadata(labels, timestamp_ns, line, &[]);
    }

    /// Like [`push`](Self::push), with the structured metadata of the line as names and values.
    pub fn push_with_metadata(
        &self,
        labels: &[(&str, &str)],
        timestamp_ns: i64,
        line: &str,
        metadata: &[(&str, &str)],
    ) {
        let object: serde_json::Map<_, _> = metadata
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()))
            .collect();
        let stored = match object.is_empty() {
            true => String::new(),
            false => serde_json::Value::Object(object).to_string(),
        };
        let lines = [(timestamp_ns, line, stored.as_str())];
        self.push_locked(&mut self.inner.write(), (labels, false), lines);
    }

    /// Stores records until logging ends. It runs as its own task.
    pub async fn ingest(self: Arc<Self>, mut records: LogSubscription) {
        let mut batch = Vec::with_capacity(INGEST_BATCH);
        while records.recv_many(&mut batch, INGEST_BATCH).await > 0 {
            self.push_records(&batch);
            batch.clear();
        }
    }

    fn push_records(&self, records: &[LogRecord]) {
        let mut inner = self.inner.write();
        // Consecutive records mostly have the same labels.
        for run in records.chunk_by(|one, next| labels_of(one) == labels_of(next)) {
            let lines = run.iter().map(|record| {
                let timestamp_ns = record.timestamp_us().saturating_mul(1000);
                (timestamp_ns, record.line(), "")
            });
            self.push_locked(&mut inner, (&labels_of(&run[0]), true), lines);
        }
    }

    fn push_locked<'a>(
        &self,
        inner: &mut Inner,
        (labels, records): (&[(&str, &str)], bool),
        lines: impl IntoIterator<Item = (i64, &'a str, &'a str)>,
    ) {
        let key = stream_key(labels, records);
        let mut lines = lines.into_iter().peekable();
        while lines.peek().is_some() {
            let open = inner.streams.contains_key(&key)
                || inner.open_stream(&key, (labels, records), self.config.max_streams);
            if !open {
                inner.refused += 1;
                lines.next();
                continue;
            }
            let filled = self.fill(inner, &key, &mut lines);
            // This may remove the stream itself.
            inner.evict(&self.config, filled);
        }
    }

    /// Adds lines to the stream, at least one, until a chunk or the store is full. Returns whether the chunk is full.
    fn fill<'a>(
        &self,
        inner: &mut Inner,
        key: &str,
        lines: impl Iterator<Item = (i64, &'a str, &'a str)>,
    ) -> bool {
        let Some(stream) = inner.streams.get_mut(key) else {
            return false;
        };
        let tails: Vec<_> = inner
            .tails
            .iter()
            .filter(|tail| passes(&stream.labels, &[&tail.selector]))
            .collect();
        let before = stream.head.memory();
        // This copies the head only if a query is reading it now.
        let head = Arc::make_mut(&mut stream.head);
        let mut full = false;
        for (timestamp_ns, line, metadata) in lines {
            let metadata = if metadata.len() > MAX_LINE_BYTES {
                ""
            } else {
                metadata
            };
            let line = cut(line, MAX_LINE_BYTES);
            head.push(timestamp_ns, line, metadata);
            for tail in &tails {
                tail.offer(&stream.labels, timestamp_ns, line, head.kind_of(metadata));
            }
            inner.newest_ns = inner.newest_ns.max(timestamp_ns);
            full = head.text_len() >= self.chunk_text_bytes / 16 * 15;
            if full || inner.bytes + head.memory() > self.config.max_bytes + before {
                break;
            }
        }
        if full {
            head.seal();
        }
        inner.bytes = inner.bytes + stream.head.memory() - before;
        if full {
            let next = Arc::new(stream.head.next(inner.next_chunk, self.chunk_text_bytes));
            inner.next_chunk += 1;
            inner.bytes += next.memory();
            let sealed = std::mem::replace(&mut stream.head, next);
            stream.sealed.push_back(sealed);
        }
        full
    }

    /// The chunks of the streams that match any of the matcher groups (all streams if there are none) and that have
    /// lines from `start_ns` to `end_ns`, both included.
    pub(super) fn snapshot(
        &self,
        groups: &[&[Matcher]],
        start_ns: i64,
        end_ns: i64,
    ) -> Vec<StreamSnapshot> {
        snapshot(&self.inner.read(), groups, start_ns, end_ns)
    }

    /// The lines from `start_ns` on for the tail's selector. From now on, each new line goes to the tail. `None` when
    /// there are already as many tails as allowed.
    pub(super) fn open_tail(&self, tail: &Arc<Tail>, start_ns: i64) -> Option<Vec<StreamSnapshot>> {
        let mut inner = self.inner.write();
        if inner.tails.len() >= self.config.limits.max_tails {
            return None;
        }
        inner.tails.push(Arc::clone(tail));
        // Both happen under one lock, so that no line is missing and none is duplicated.
        Some(snapshot(&inner, &[&tail.selector], start_ns, i64::MAX))
    }

    /// Removes a tail that [`open_tail`](Self::open_tail) added.
    pub(super) fn close_tail(&self, tail: &Arc<Tail>) {
        let mut inner = self.inner.write();
        inner.tails.retain(|open| !Arc::ptr_eq(open, tail));
    }

    /// The current figures of the store.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let inner = self.inner.read();
        let lines_of = |stream: &Stream| {
            let sealed: usize = stream.sealed.iter().map(|chunk| chunk.lines()).sum();
            sealed + stream.head.lines()
        };
        StoreStats {
            streams: inner.streams.len(),
            lines: inner.streams.values().map(lines_of).sum(),
            bytes: inner.bytes,
            evicted: inner.evicted,
            refused: inner.refused,
        }
    }
}

fn snapshot(
    inner: &Inner,
    groups: &[&[Matcher]],
    start_ns: i64,
    end_ns: i64,
) -> Vec<StreamSnapshot> {
    let overlaps = |chunk: &&Arc<Chunk>| {
        chunk
            .span()
            .is_some_and(|(first, last)| first <= end_ns && last >= start_ns)
    };
    inner
        .streams
        .values()
        .filter(|stream| passes(&stream.labels, groups))
        .filter_map(|stream| {
            let chunks: Vec<_> = stream
                .sealed
                .iter()
                .chain([&stream.head])
                .filter(overlaps)
                .cloned()
                .collect();
            let labels = Arc::clone(&stream.labels);
            (!chunks.is_empty()).then_some(StreamSnapshot { labels, chunks })
        })
        .collect()
}

impl Inner {
    fn open_stream(
        &mut self,
        key: &str,
        (labels, records): (&[(&str, &str)], bool),
        max_streams: usize,
    ) -> bool {
        if self.streams.len() >= max_streams {
            return false;
        }
        let labels: Labels = labels
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let head = Arc::new(Chunk::new(self.next_chunk, records));
        self.next_chunk += 1;
        self.bytes += head.memory();
        let stream = Stream {
            labels: Arc::new(labels),
            sealed: VecDeque::new(),
            head,
        };
        self.streams.insert(key.to_owned(), stream);
        true
    }

    /// Drops the chunks that exceed the memory budget and, when a chunk was filled, those that exceed the retention.
    fn evict(&mut self, config: &LokiConfig, check_age: bool) {
        while self.bytes > config.max_bytes {
            match self.oldest() {
                Some((_, key)) => self.drop_oldest_of(&key),
                None => return,
            }
        }
        if !check_age {
            return;
        }
        let retention = i64::try_from(config.retention.as_nanos()).unwrap_or(i64::MAX);
        // One record from the future must not make all others too old.
        let horizon = self.newest_ns.min(now_ns()).saturating_sub(retention);
        while let Some((last, key)) = self.oldest() {
            if last >= horizon {
                return;
            }
            self.drop_oldest_of(&key);
        }
    }

    /// The stream with the oldest end of a chunk, and that end.
    fn oldest(&self) -> Option<(i64, String)> {
        self.streams
            .iter()
            .map(|(key, stream)| {
                let chunk = stream.sealed.front().unwrap_or(&stream.head);
                (chunk.span().map_or(i64::MIN, |(_, last)| last), key)
            })
            .min()
            .map(|(last, key)| (last, key.clone()))
    }

    fn drop_oldest_of(&mut self, key: &str) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let evicted = match stream.sealed.pop_front() {
            Some(chunk) => chunk,
            None => Arc::clone(&stream.head),
        };
        self.bytes -= evicted.memory();
        self.evicted += evicted.lines() as u64;
        if evicted.id == stream.head.id {
            self.streams.remove(key);
        } else if stream.sealed.is_empty() && stream.head.lines() == 0 {
            self.bytes -= stream.head.memory();
            self.streams.remove(key);
        }
    }
}

fn passes(labels: &Labels, groups: &[&[Matcher]]) -> bool {
    let value = |name: &str| labels.get(name).map_or("", String::as_str);
    groups.is_empty() || groups.iter().any(|group| Matcher::all(group, value))
}

/// The labels of the stream that holds a record.
fn labels_of(record: &LogRecord) -> [(&'static str, &str); 4] {
    let instance = record.instance().unwrap_or("");
    [
        ("instance", instance),
        ("level", level_label(record.level())),
        // Loki gives this name to the resource attribute service.instance.id.
        ("service_instance_id", instance),
        ("service_name", record.service_name()),
    ]
}

/// A unique key for a label set. The caller must give labels of the same kind in the same order.
fn stream_key(labels: &[(&str, &str)], records: bool) -> String {
    let mut key = String::from(if records { "records\0" } else { "lines\0" });
    for (name, value) in labels {
        key.push_str(name);
        key.push('\0');
        key.push_str(value);
        key.push('\0');
    }
    key
}

fn cut(line: &str, max: usize) -> &str {
    &line[..line.floor_char_boundary(max)]
}

/// Loki's spelling of a level.
fn level_label(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::ERROR => "error",
        tracing::Level::WARN => "warn",
        tracing::Level::INFO => "info",
        tracing::Level::DEBUG => "debug",
        tracing::Level::TRACE => "trace",
    }
}
