//! Records handed to whoever reads them: bounded, and nobody waits for a slow reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc::{self, error::TrySendError};

/// A reader's end.
#[derive(Debug)]
pub struct Subscription<T> {
    records: mpsc::Receiver<Arc<T>>,
    missed: Arc<AtomicU64>,
}

impl<T> Subscription<T> {
    /// The next record; `None` once there will be no more.
    pub async fn recv(&mut self) -> Option<Arc<T>> {
        self.records.recv().await
    }

    /// Waits for at least one record, then appends up to `limit` to `into`. Returns how many; 0 once
    /// there will be no more.
    pub async fn recv_many(&mut self, into: &mut Vec<Arc<T>>, limit: usize) -> usize {
        self.records.recv_many(into, limit).await
    }

    /// The next record if there is one already.
    pub fn try_recv(&mut self) -> Option<Arc<T>> {
        self.records.try_recv().ok()
    }

    /// Records that wait here.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.records.len()
    }

    /// Records that came while `capacity` others were waiting here.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// The same count, for whoever reports it.
    pub(super) fn missed_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.missed)
    }
}

#[derive(Debug)]
struct Subscriber<T> {
    records: mpsc::Sender<Arc<T>>,
    missed: Arc<AtomicU64>,
}

impl<T> Subscriber<T> {
    /// False once the reader has gone.
    fn offer(&self, record: &Arc<T>) -> bool {
        match self.records.try_send(Arc::clone(record)) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

/// Everybody who reads.
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

impl<T> Subscribers<T> {
    /// A reader for whom at most `capacity` records wait.
    pub(super) fn subscribe(&self, capacity: usize) -> Subscription<T> {
        let (sender, records) = mpsc::channel(capacity.max(1));
        let missed = Arc::new(AtomicU64::new(0));
        let mut list = self.list.lock();
        list.push(Subscriber {
            records: sender,
            missed: Arc::clone(&missed),
        });
        self.any.store(true, Ordering::Relaxed);
        Subscription { records, missed }
    }

    /// Whether anybody reads.
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Hands `records` to everybody.
    pub(super) fn offer(&self, records: impl IntoIterator<Item = T>) {
        let mut list = self.list.lock();
        for record in records {
            if list.is_empty() {
                break;
            }
            let record = Arc::new(record);
            list.retain(|subscriber| subscriber.offer(&record));
        }
        self.any.store(!list.is_empty(), Ordering::Relaxed);
    }

    /// Tells every reader that nothing more will come.
    pub(super) fn close(&self) {
        self.list.lock().clear();
        self.any.store(false, Ordering::Relaxed);
    }
}
