//! Subscriptions to records. Each has its own bound, and a slow reader delays no other. Every reader gets a clone of
//! each record, so a record should be a pointer.
//!
//! tokio's `broadcast` does not fit. Its ring keeps each record until it is overwritten, so it would hold the text of
//! the last 16,384 log lines (about 6 MB) after all readers have read them. It also wakes the readers for each record
//! and not once per batch of the log writer (every 10 ms).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Records that are sent together with one wake-up.
type Batch<T> = Vec<T>;

/// A reader's end.
#[derive(Debug)]
pub struct Subscription<T> {
    batches: mpsc::UnboundedReceiver<Batch<T>>,
    /// The rest of the current batch.
    rest: VecDeque<T>,
    waiting: Arc<AtomicUsize>,
    missed: Arc<AtomicU64>,
}

impl<T> Subscription<T> {
    /// The next record. `None` when the subscription has ended.
    pub async fn recv(&mut self) -> Option<T> {
        while self.rest.is_empty() {
            self.rest = self.batches.recv().await?.into();
        }
        self.take()
    }

    /// Waits for at least one record, then appends up to `limit` records to `into`. Returns their number, or 0 when
    /// the subscription has ended.
    pub async fn recv_many(&mut self, into: &mut Vec<T>, limit: usize) -> usize {
        let Some(first) = self.recv().await else {
            return 0;
        };
        into.push(first);
        let mut number = 1;
        while number < limit
            && let Some(record) = self.try_recv()
        {
            into.push(record);
            number += 1;
        }
        number
    }

    /// The next record if one is already waiting.
    pub fn try_recv(&mut self) -> Option<T> {
        while self.rest.is_empty() {
            self.rest = self.batches.try_recv().ok()?.into();
        }
        self.take()
    }

    fn take(&mut self) -> Option<T> {
        let record = self.rest.pop_front()?;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Some(record)
    }

    /// The number of waiting records.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The number of records that were missed because `capacity` others were waiting.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// A shared counter of the missed records.
    pub(super) fn missed_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.missed)
    }
}

#[derive(Debug)]
struct Subscriber<T> {
    batches: mpsc::UnboundedSender<Batch<T>>,
    /// The number of waiting records. It bounds the channel, which has no bound itself.
    waiting: Arc<AtomicUsize>,
    capacity: usize,
    missed: Arc<AtomicU64>,
}

impl<T: Clone> Subscriber<T> {
    /// Sends the records. Returns `false` if the reader was dropped.
    fn offer(&self, records: &[T]) -> bool {
        if self.batches.is_closed() {
            return false;
        }
        // Only the reader can change the count now, so there is at least this much space.
        let room = self
            .capacity
            .saturating_sub(self.waiting.load(Ordering::Relaxed));
        let (fits, rest) = records.split_at(records.len().min(room));
        self.missed.fetch_add(rest.len() as u64, Ordering::Relaxed);
        if fits.is_empty() {
            return true;
        }
        self.waiting.fetch_add(fits.len(), Ordering::Relaxed);
        self.batches.send(fits.to_vec()).is_ok()
    }
}

/// All readers of one kind of record.
#[derive(Debug)]
pub(super) struct Subscribers<T> {
    list: Mutex<Vec<Subscriber<T>>>,
    any: AtomicBool,
}

impl<T> Default for Subscribers<T> {
    fn default() -> Self {
        Subscribers {
            list: Mutex::new(Vec::new()),
            any: AtomicBool::new(false),
        }
    }
}

impl<T: Clone> Subscribers<T> {
    /// Adds a reader. At most `capacity` records wait for it.
    pub(super) fn subscribe(&self, capacity: usize) -> Subscription<T> {
        let (sender, batches) = mpsc::unbounded_channel();
        let (missed, waiting) = (Arc::default(), Arc::default());
        let mut list = self.list.lock();
        list.push(Subscriber {
            batches: sender,
            waiting: Arc::clone(&waiting),
            capacity: capacity.max(1),
            missed: Arc::clone(&missed),
        });
        self.any.store(true, Ordering::Relaxed);
        Subscription {
            batches,
            rest: VecDeque::new(),
            waiting,
            missed,
        }
    }

    /// Returns whether there is a reader.
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Sends `records` to all readers.
    pub(super) fn offer(&self, records: impl IntoIterator<Item = T>) {
        let mut list = self.list.lock();
        if list.is_empty() {
            return;
        }
        let records: Batch<T> = records.into_iter().collect();
        list.retain(|subscriber| subscriber.offer(&records));
        self.any.store(!list.is_empty(), Ordering::Relaxed);
    }

    /// Ends all subscriptions.
    pub(super) fn close(&self) {
        self.list.lock().clear();
        self.any.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(records: &mut Subscription<i32>) -> Vec<i32> {
        std::iter::from_fn(|| records.try_recv()).collect()
    }

    #[test]
    fn no_more_wait_for_a_reader_than_it_asked_for_however_they_come_and_the_rest_is_counted() {
        let subscribers = Subscribers::default();
        let mut records = subscribers.subscribe(3);
        subscribers.offer(0..10);
        assert_eq!((records.waiting(), records.missed()), (3, 7));
        assert_eq!(read(&mut records), [0, 1, 2]);
        (10..20).for_each(|n| subscribers.offer([n]));
        assert_eq!((records.waiting(), records.missed()), (3, 14));
        assert_eq!(read(&mut records), [10, 11, 12]);
    }

    #[test]
    fn a_dropped_reader_is_removed() {
        let subscribers = Subscribers::default();
        let (dropped, stays) = (subscribers.subscribe(1), subscribers.subscribe(1));
        drop(dropped);
        subscribers.offer([1]);
        assert_eq!((subscribers.list.lock().len(), stays.waiting()), (1, 1));
        drop(stays);
        subscribers.offer([2]);
        assert!(!subscribers.any());
    }
}
