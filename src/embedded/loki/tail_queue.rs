//! The lines that wait for a reader of a live tail. The queue is bounded, so a slow reader loses only its own lines.
//!
//! The writer of the store adds lines and never waits. A line that does not fit is reported as dropped, with its
//! stream and time. The connection of the reader takes the lines out and runs the stages of the query.
//!
//! tokio's broadcast channel does not fit. It bounds lines but not bytes (10,000 lines of 64 KiB are 640 MB, here
//! they are 4 MiB). It reports the number of dropped lines, but Loki's clients expect to learn which ones.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::chunk::Metadata;
use super::eval::{ResultLine, ResultStream};
use super::logql::LogExpr;
use super::pipeline::Pipeline;
use super::store::Labels;
use crate::embedded::matcher::Matcher;

/// The largest amount of text that waits for a reader, in bytes.
const WAITING_BYTES: usize = 4 << 20;
/// The largest number of lines that wait for a reader, and of dropped lines that are reported.
const WAITING_LINES: usize = 10_000;
const NAMED_DROPPED: usize = 1_000;
/// The largest number of lines in one frame, and the largest size of their text.
const FRAME_LINES: usize = 500;
const FRAME_BYTES: usize = 1 << 20;

/// The queue of a reader.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) selector: Vec<Matcher>,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Line>,
    bytes: usize,
    dropped: Vec<Dropped>,
}

#[derive(Debug)]
struct Line {
    labels: Arc<Labels>,
    timestamp_ns: i64,
    line: String,
    /// The stored metadata of the line. `None` when the line is a record.
    stored: Option<String>,
    arrived: Instant,
}

impl Line {
    fn bytes(&self) -> usize {
        self.line.len() + self.stored.as_ref().map_or(0, String::len)
    }
}

/// A line that did not fit.
#[derive(Debug, Clone)]
pub(super) struct Dropped {
    pub(super) labels: Arc<Labels>,
    pub(super) timestamp_ns: i64,
}

/// The lines that are sent together.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub(super) streams: Vec<ResultStream>,
    pub(super) dropped: Vec<Dropped>,
}

impl Frame {
    fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.dropped.is_empty()
    }
}

impl Tail {
    pub(super) fn new(selector: Vec<Matcher>) -> Tail {
        Tail {
            selector,
            waiting: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// Adds a line, or records that it was dropped.
    pub(super) fn offer(
        &self,
        labels: &Arc<Labels>,
        timestamp_ns: i64,
        line: &str,
        metadata: Metadata<'_>,
    ) {
        let stored = match metadata {
            Metadata::OfRecord => None,
            Metadata::Stored(text) => Some(text),
        };
        let bytes = line.len() + stored.map_or(0, str::len);
        let labels = Arc::clone(labels);
        let mut waiting = self.waiting.lock();
        if waiting.lines.len() >= WAITING_LINES || waiting.bytes + bytes > WAITING_BYTES {
            if waiting.dropped.len() < NAMED_DROPPED {
                waiting.dropped.push(Dropped {
                    labels,
                    timestamp_ns,
                });
            }
            return;
        }
        waiting.bytes += bytes;
        waiting.lines.push_back(Line {
            labels,
            timestamp_ns,
            line: line.to_owned(),
            stored: stored.map(str::to_owned),
            arrived: Instant::now(),
        });
        drop(waiting);
        self.arrived.notify_one();
    }

    /// The next lines that pass the stages of `expr`, each at least `delay` after it arrived. It is safe to cancel
    /// this while it waits: no line is lost.
    pub(super) async fn next(&self, expr: &LogExpr, categorize: bool, delay: Duration) -> Frame {
        loop {
            let first = self.waiting.lock().lines.front().map(|line| line.arrived);
            let Some(first) = first else {
                self.arrived.notified().await;
                continue;
            };
            tokio::time::sleep_until(first + delay).await;
            let frame = self.take(expr, categorize, delay);
            if !frame.is_empty() {
                return frame;
            }
            // A long sequence of lines may not pass, so the loop must yield.
            tokio::task::yield_now().await;
        }
    }

    fn take(&self, expr: &LogExpr, categorize: bool, delay: Duration) -> Frame {
        let (lines, dropped) = self.take_waiting(delay);
        let mut pipelines: HashMap<*const Labels, Pipeline<'_>> = HashMap::new();
        let mut streams: BTreeMap<Labels, Vec<ResultLine>> = BTreeMap::new();
        for line in &lines {
            let pipeline = pipelines
                .entry(Arc::as_ptr(&line.labels))
                .or_insert_with(|| Pipeline::new(&expr.stages, &line.labels, None));
            let metadata = match &line.stored {
                None => Metadata::OfRecord,
                Some(text) => Metadata::Stored(text),
            };
            if pipeline.run(&line.line, metadata) {
                let (labels, own) = pipeline.result_labels(categorize);
                streams.entry(labels).or_default().push(ResultLine {
                    timestamp_ns: line.timestamp_ns,
                    line: pipeline.line(&line.line).to_owned(),
                    own,
                });
            }
        }
        let streams = streams.into_iter();
        Frame {
            streams: streams
                .map(|(labels, entries)| ResultStream { labels, entries })
                .collect(),
            dropped,
        }
    }

    /// Takes out the lines that have waited for `delay`, at most one frame.
    fn take_waiting(&self, delay: Duration) -> (Vec<Line>, Vec<Dropped>) {
        let now = Instant::now();
        let mut waiting = self.waiting.lock();
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while lines.len() < FRAME_LINES && bytes < FRAME_BYTES {
            let Some(line) = waiting
                .lines
                .pop_front_if(|line| line.arrived + delay <= now)
            else {
                break;
            };
            bytes += line.bytes();
            lines.push(line);
        }
        waiting.bytes -= bytes;
        (lines, std::mem::take(&mut waiting.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::loki::logql::{Query, parse};

    fn expr(text: &str) -> LogExpr {
        match parse(text).unwrap() {
            Query::Log(expr) => expr,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn lines_beyond_what_may_wait_are_named_as_dropped_and_the_rest_arrives() {
        let tail = Tail::new(Vec::new());
        let labels = Arc::new(Labels::from([("app".to_owned(), "x".to_owned())]));
        let long = "y".repeat(64 << 10);
        let fitting = WAITING_BYTES / long.len();
        for at in 0..fitting + 3 {
            tail.offer(&labels, at as i64, &long, Metadata::Stored(""));
        }
        let expr = expr(r#"{app="x"}"#);
        let (mut arrived, mut dropped) = (0, Vec::new());
        while arrived < fitting {
            let frame = tail.next(&expr, false, Duration::ZERO).await;
            let lines = frame.streams.iter().map(|stream| stream.entries.len());
            arrived += lines.sum::<usize>();
            dropped.extend(frame.dropped.into_iter().map(|it| it.timestamp_ns));
        }
        let fitting = fitting as i64;
        assert_eq!(dropped, [fitting, fitting + 1, fitting + 2]);
        // The queue has room again.
        tail.offer(&labels, 99, "short", Metadata::Stored(""));
        let frame = tail.next(&expr, false, Duration::ZERO).await;
        assert!(frame.dropped.is_empty());
        assert_eq!(frame.streams[0].entries[0].line, "short");
    }

    #[tokio::test]
    async fn so_many_dropped_lines_are_named_and_no_more() {
        let tail = Tail::new(Vec::new());
        let labels = Arc::new(Labels::new());
        for at in 0..WAITING_LINES + NAMED_DROPPED + 5 {
            tail.offer(&labels, at as i64, "", Metadata::Stored(""));
        }
        let waiting = tail.waiting.lock();
        assert_eq!(waiting.lines.len(), WAITING_LINES);
        assert_eq!(waiting.dropped.len(), NAMED_DROPPED);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_held_back_for_the_delay() {
        let tail = Tail::new(Vec::new());
        let labels = Arc::new(Labels::new());
        tail.offer(&labels, 1, "a", Metadata::Stored(""));
        let (expr, begun) = (expr(r#"{app="x"}"#), Instant::now());
        let delay = Duration::from_secs(3);
        let frame = tail.next(&expr, false, delay).await;
        assert_eq!(frame.streams[0].entries.len(), 1);
        assert!(begun.elapsed() >= delay);
    }
}
