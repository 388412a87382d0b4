//! The bounded buffer between the threads that log and the thread that writes.
//!
//! It is one byte buffer that is swapped as a whole. A record costs its thread a short lock and a copy, but no
//! allocation and, while the writer is awake, no system call. When the buffer is full, the record is dropped and
//! counted. No caller waits.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tracing::Level;

use super::batch::{Batch, Meta};

/// Bytes per record of queue length. The average line has a third of this.
const BYTES_PER_RECORD: usize = 1024;

#[derive(Debug, Default)]
struct State {
    batch: Batch,
    writer_sleeps: bool,
    accepted: u64,
    done: u64,
    flush_wanted: bool,
    reopen_wanted: bool,
    closed: bool,
}

/// The next task of the writer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Write the batch that was taken.
    Write,
    /// Reopen the file.
    Reopen,
    /// End, because the queue is closed and empty.
    End,
}

/// The bounded queue between the threads that log and the thread that writes. A full queue drops lines and counts them.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    to_writer: Condvar,
    from_writer: Condvar,
    max_records: usize,
    max_bytes: usize,
    dropped: AtomicU64,
}

impl Queue {
    /// A queue for at most `max_records` records (at least one), with a kibibyte for each.
    pub(super) fn new(max_records: usize) -> Queue {
        let max_records = max_records.max(1);
        Queue {
            state: Mutex::default(),
            to_writer: Condvar::new(),
            from_writer: Condvar::new(),
            max_records,
            // The queue always has space for one line of the largest length.
            max_bytes: max_records
                .saturating_mul(BYTES_PER_RECORD)
                .max(super::json::MAX_LINE_BYTES),
            dropped: AtomicU64::new(0),
        }
    }

    /// Queues a line, which must end with a newline, or drops and counts it.
    pub(super) fn push(&self, timestamp_us: i64, level: Level, service: &'static str, line: &[u8]) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let batch = &mut state.batch;
        let full = batch.records.len() >= self.max_records
            || batch.bytes.len() + line.len() > self.max_bytes;
        if full || state.closed {
            drop(guard);
            self.count_dropped(1);
            return;
        }
        batch.bytes.extend_from_slice(line);
        batch.records.push(Meta {
            timestamp_us,
            level,
            service_name: service,
            end: batch.bytes.len(),
        });
        state.accepted += 1;
        // A writer that rests to let lines gather is woken only when the queue is half full.
        let half_full = batch.records.len() == self.max_records.div_ceil(2);
        let wake = mem::take(&mut state.writer_sleeps) || half_full;
        drop(guard);
        if wake {
            self.to_writer.notify_one();
        }
    }

    /// Called by the writer. Waits for a task, and swaps the waiting lines into `batch`, which must be empty.
    pub(super) fn take(&self, batch: &mut Batch) -> Task {
        let mut state = self.state.lock();
        loop {
            if mem::take(&mut state.reopen_wanted) {
                return Task::Reopen;
            }
            if !state.batch.records.is_empty() {
                break;
            }
            if state.closed {
                return Task::End;
            }
            state.writer_sleeps = true;
            self.to_writer.wait(&mut state);
            state.writer_sleeps = false;
        }
        mem::swap(&mut state.batch, batch);
        Task::Write
    }

    /// Called by the writer. Records that it has written `records` more records.
    pub(super) fn done(&self, records: usize) {
        self.state.lock().done += records as u64;
        self.from_writer.notify_all();
    }

    /// Called by the writer. Rests so that lines gather, unless a flush waits for them.
    pub(super) fn linger(&self, time: Duration) {
        let mut state = self.state.lock();
        if !state.flush_wanted && !state.closed {
            self.to_writer.wait_for(&mut state, time);
        }
        state.flush_wanted = false;
    }

    /// Waits until all earlier records are written. `false` if this takes longer than `timeout`.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        let target = state.accepted;
        while state.done < target {
            state.flush_wanted = true;
            self.to_writer.notify_one();
            if self
                .from_writer
                .wait_until(&mut state, deadline)
                .timed_out()
            {
                return state.done >= target;
            }
        }
        true
    }

    /// Makes the writer reopen its file before it writes further lines.
    pub(super) fn reopen(&self) {
        self.state.lock().reopen_wanted = true;
        self.to_writer.notify_one();
    }

    /// Makes the writer write the waiting lines and end.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.to_writer.notify_one();
    }

    pub(super) fn count_dropped(&self, records: u64) {
        self.dropped.fetch_add(records, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(queue: &Queue) -> Batch {
        let mut batch = Batch::default();
        assert_eq!(queue.take(&mut batch), Task::Write);
        batch
    }

    #[test]
    fn no_more_records_wait_than_the_queue_is_long() {
        let queue = Queue::new(3);
        (0..5).for_each(|_| queue.push(0, Level::INFO, "test", b"line\n"));
        assert_eq!((waiting(&queue).records.len(), queue.dropped()), (3, 2));
    }

    #[test]
    fn no_more_bytes_wait_than_a_kibibyte_for_each_record() {
        let queue = Queue::new(100);
        let line = [b'x'; 10 * BYTES_PER_RECORD];
        (0..12).for_each(|_| queue.push(0, Level::INFO, "test", &line));
        assert_eq!((waiting(&queue).records.len(), queue.dropped()), (10, 2));
    }
}
