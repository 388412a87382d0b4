//! The records: streams of chunks within a budget of memory.
//!
//! Queries work on a snapshot of shared chunks, so that neither they nor the writers wait for each
//! other longer than it takes to clone a few pointers. A chunk that falls off the end while a query
//! reads it lives until the query is done.

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

/// Room for text in a chunk; the next is begun when a sixteenth is left. Small enough to drop one at a
/// time, large enough that a search runs through long stretches of memory.
const CHUNK_TEXT_BYTES: usize = 256 << 10;
/// Longer lines are cut.
const MAX_LINE_BYTES: usize = 64 << 10;
const INGEST_BATCH: usize = 512;

/// A stream's labels, by name.
pub(super) type Labels = BTreeMap<String, String>;

/// The latest log records. Share it in an [`Arc`].
#[derive(Debug)]
pub struct LokiStore {
    pub(super) config: LokiConfig,
    pub(super) turns: Turns,
    /// Ends the connections of live tails.
    pub(super) stop: CancellationToken,
    chunk_text_bytes: usize,
    inner: RwLock<Inner>,
}

/// What the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStats {
    /// Label sets.
    pub streams: usize,
    /// Lines.
    pub lines: usize,
    /// Memory in bytes, indexes included.
    pub bytes: usize,
    /// Lines that have fallen off the end.
    pub evicted: u64,
    /// Lines refused because there were too many streams.
    pub refused: u64,
}

#[derive(Debug, Default)]
struct Inner {
    streams: HashMap<String, Stream>,
    /// The live tails, which get lines as they arrive.
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

/// A stream as a query sees it.
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
            // With a small budget, chunks are small too: what falls off the end is at most a
            // sixteenth of it.
            chunk_text_bytes: CHUNK_TEXT_BYTES.min(config.max_bytes / 16).max(1024),
            turns: Turns::new(config.limits.max_concurrent),
            config,
            stop: CancellationToken::new(),
            inner: RwLock::default(),
        }
    }

    /// The store of a server that ends with `stop`.
    #[must_use]
    pub fn until(self, stop: CancellationToken) -> LokiStore {
        LokiStore { stop, ..self }
    }

    /// Adds a line to the stream with these labels (names and values; empty values are dropped).
    /// Lines beyond 64 KiB are cut.
    pub fn push(&self, labels: &[(&str, &str)], timestamp_ns: i64, line: &str) {
        self.push_with_metadata(labels, timestamp_ns, line, &[]);
    }

    /// As [`push`](Self::push), with the structured metadata of the line: names and values.
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

    /// Stores records until logging ends. Runs as a task of its own.
    pub async fn ingest(self: Arc<Self>, mut records: LogSubscription) {
        let mut batch = Vec::with_capacity(INGEST_BATCH);
        while records.recv_many(&mut batch, INGEST_BATCH).await > 0 {
            self.push_records(&batch);
            batch.clear();
        }
    }

    fn push_records(&self, records: &[LogRecord]) {
        let mut inner = self.inner.write();
        // Most records follow one of the same labels.
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
            // This may take away the stream itself.
            inner.evict(&self.config, filled);
        }
    }

    /// Adds lines to the stream, at least one, until a chunk or the store is full. Whether the chunk is.
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
        // Copies the head only if a query is reading it at this moment.
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

    /// The chunks of streams that pass any of the matcher groups (none: all streams), as far as they
    /// have lines from `start_ns` to `end_ns`, both included.
    pub(super) fn snapshot(
        &self,
        groups: &[&[Matcher]],
        start_ns: i64,
        end_ns: i64,
    ) -> Vec<StreamSnapshot> {
        snapshot(&self.inner.read(), groups, start_ns, end_ns)
    }

    /// What is there from `start_ns` for the tail's selector, and from now on, in the tail, each line
    /// that arrives. `None`: as many tail already as may.
    pub(super) fn open_tail(&self, tail: &Arc<Tail>, start_ns: i64) -> Option<Vec<StreamSnapshot>> {
        let mut inner = self.inner.write();
        if inner.tails.len() >= self.config.limits.max_tails {
            return None;
        }
        inner.tails.push(Arc::clone(tail));
        // Under one lock: no line is in both, and none in neither.
        Some(snapshot(&inner, &[&tail.selector], start_ns, i64::MAX))
    }

    /// Ends what [`open_tail`](Self::open_tail) began.
    pub(super) fn close_tail(&self, tail: &Arc<Tail>) {
        let mut inner = self.inner.write();
        inner.tails.retain(|open| !Arc::ptr_eq(open, tail));
    }

    /// What the store holds now.
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

    /// Drops what does not fit and, when a chunk was filled, what is too old.
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
        // One record from the future must not age all others.
        let horizon = self.newest_ns.min(now_ns()).saturating_sub(retention);
        while let Some((last, key)) = self.oldest() {
            if last >= horizon {
                return;
            }
            self.drop_oldest_of(&key);
        }
    }

    /// The stream whose oldest chunk ends first, and when.
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
        let gone = match stream.sealed.pop_front() {
            Some(chunk) => chunk,
            None => Arc::clone(&stream.head),
        };
        self.bytes -= gone.memory();
        self.evicted += gone.lines() as u64;
        if gone.id == stream.head.id {
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

/// The labels that a record is kept under.
fn labels_of(record: &LogRecord) -> [(&'static str, &str); 4] {
    let instance = record.instance().unwrap_or("");
    [
        ("instance", instance),
        ("level", level_label(record.level())),
        // As Loki names the resource attribute service.instance.id.
        ("service_instance_id", instance),
        ("service_name", record.service_name()),
    ]
}

/// An unambiguous key for a label set; the caller gives labels of one kind in one order.
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
