//! One series: its labels, its finished chunks, and the chunk that grows.

use std::collections::VecDeque;
use std::sync::Arc;

use super::chunk::{Chunk, Encoder};
use super::{AppendError, SAMPLES_PER_CHUNK};
use crate::embedded::prometheus::labels::Labels;

/// The memory of a series without its samples, in bytes: map entries, headers, and the array of the label set.
const SERIES_OVERHEAD: usize = 320;
const LABEL_OVERHEAD: usize = 64;
const CHUNK_OVERHEAD: usize = 72;

#[derive(Debug)]
pub(super) struct Series {
    labels: Labels,
    finished: VecDeque<Arc<Chunk>>,
    growing: Encoder,
    last: Option<(i64, f64)>,
}

/// The change of the series' size by an append.
pub(super) struct Appended {
    pub(super) grown: usize,
    pub(super) shrunk: usize,
    pub(super) finished_chunk: bool,
}

impl Series {
    pub(super) fn new(labels: Labels) -> Self {
        Self {
            labels,
            finished: VecDeque::new(),
            growing: Encoder::default(),
            last: None,
        }
    }

    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(super) fn append(&mut self, t: i64, v: f64) -> Result<Appended, AppendError> {
        if let Some((last_t, last_v)) = self.last {
            if t < last_t {
                return Err(AppendError::OutOfOrder);
            }
            if t == last_t && v.to_bits() != last_v.to_bits() {
                return Err(AppendError::DuplicateTimestamp);
            }
            if t == last_t {
                return Ok(Appended {
                    grown: 0,
                    shrunk: 0,
                    finished_chunk: false,
                });
            }
        }
        self.last = Some((t, v));
        let before = self.growing.allocated();
        self.growing.push(t, v);
        if self.growing.count() < SAMPLES_PER_CHUNK {
            return Ok(Appended {
                grown: self.growing.allocated() - before,
                shrunk: 0,
                finished_chunk: false,
            });
        }
        let chunk = std::mem::take(&mut self.growing).snapshot();
        let grown = chunk_bytes(&chunk);
        self.finished.push_back(Arc::new(chunk));
        Ok(Appended {
            grown,
            shrunk: before,
            finished_chunk: true,
        })
    }

    pub(super) fn bytes(&self) -> usize {
        let text: usize = self
            .labels
            .iter()
            .map(|(n, v)| n.len() + v.len() + LABEL_OVERHEAD)
            .sum();
        let chunks: usize = self.finished.iter().map(|c| chunk_bytes(c)).sum();
        SERIES_OVERHEAD + text + chunks + self.growing.allocated()
    }

    pub(super) fn sample_count(&self) -> usize {
        let finished: usize = self.finished.iter().map(|c| c.count).sum();
        finished + self.growing.count()
    }

    pub(super) fn chunk_count(&self) -> usize {
        self.finished.len() + usize::from(self.growing.count() > 0)
    }

    pub(super) fn first_t(&self) -> Option<i64> {
        match self.finished.front() {
            Some(chunk) => Some(chunk.first_t),
            None => (self.growing.count() > 0).then(|| self.growing.first_t()),
        }
    }

    pub(super) fn last_t(&self) -> Option<i64> {
        self.last.map(|(t, _)| t)
    }

    pub(super) fn oldest_chunk_end(&self) -> Option<i64> {
        self.finished.front().map(|c| c.last_t)
    }

    /// Drops the oldest finished chunk. Returns its number of samples and bytes.
    pub(super) fn drop_oldest_chunk(&mut self) -> (usize, usize) {
        match self.finished.pop_front() {
            Some(chunk) => (chunk.count, chunk_bytes(&chunk)),
            None => (0, 0),
        }
    }

    /// Returns whether the series may have samples in the window.
    pub(super) fn touches(&self, min_t: i64, max_t: i64) -> bool {
        let growing = self.growing_touches(min_t, max_t);
        growing || self.finished.iter().any(|c| touches(c, min_t, max_t))
    }

    fn growing_touches(&self, min_t: i64, max_t: i64) -> bool {
        self.growing.count() > 0
            && self.growing.first_t() <= max_t
            && self.last_t().is_some_and(|t| t >= min_t)
    }

    /// References to the chunks that overlap the window. `None` when there are none.
    pub(super) fn select(&self, min_t: i64, max_t: i64) -> Option<Selection> {
        let mut chunks: Vec<Arc<Chunk>> = self
            .finished
            .iter()
            .filter(|c| touches(c, min_t, max_t))
            .cloned()
            .collect();
        if self.growing_touches(min_t, max_t) {
            chunks.push(Arc::new(self.growing.snapshot()));
        }
        (!chunks.is_empty()).then(|| Selection {
            labels: self.labels.clone(),
            chunks,
        })
    }
}

fn touches(chunk: &Chunk, min_t: i64, max_t: i64) -> bool {
    chunk.last_t >= min_t && chunk.first_t <= max_t
}

fn chunk_bytes(chunk: &Chunk) -> usize {
    chunk.bytes() + CHUNK_OVERHEAD
}

/// A series that a query has selected. Its samples are still compressed.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) labels: Labels,
    chunks: Vec<Arc<Chunk>>,
}

impl Selection {
    /// The largest number of samples that decoding may return.
    pub(crate) fn sample_count(&self) -> usize {
        self.chunks.iter().map(|c| c.count).sum()
    }

    /// Time stamps and values between `min_t` and `max_t`, both inclusive, including staleness markers.
    pub(crate) fn decode(&self, min_t: i64, max_t: i64) -> (Vec<i64>, Vec<f64>) {
        let n = self.sample_count();
        let (mut ts, mut vs) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for chunk in &self.chunks {
            chunk.decode(min_t, max_t, &mut ts, &mut vs);
        }
        (ts, vs)
    }
}
