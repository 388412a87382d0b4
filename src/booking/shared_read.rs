//! One read at a time, whose result is shared by all requests that came before it began.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::store::StoreError;

/// A read of the database that many requests want at once.
#[derive(Debug)]
pub(super) struct SharedRead<T> {
    /// The result of the last read.
    last: Mutex<Last<T>>,
    /// Held by the request that reads.
    reader: tokio::sync::Mutex<()>,
    /// Notified when a read ends, with a result or with an error.
    ended: Notify,
}

#[derive(Debug)]
struct Last<T> {
    /// The result, and the time at which its read began.
    result: Option<(Instant, Arc<T>)>,
    /// The error, and the time at which the read failed.
    failed: Option<(Instant, StoreError)>,
}

impl<T> Default for SharedRead<T> {
    fn default() -> SharedRead<T> {
        SharedRead {
            last: Mutex::new(Last {
                result: None,
                failed: None,
            }),
            reader: tokio::sync::Mutex::default(),
            ended: Notify::new(),
        }
    }
}

impl<T> SharedRead<T> {
    /// The last result, however old.
    pub(super) fn last(&self) -> Option<Arc<T>> {
        let last = self.last.lock();
        last.result.as_ref().map(|(_, result)| Arc::clone(result))
    }

    /// The result of a read that began after this call, or an older one that `is_fresh` accepts. One of many
    /// concurrent requests runs its `read` for all of them.
    ///
    /// # Errors
    /// A read failed after this call. It failed for all requests that waited for it. Otherwise each of them would read
    /// in turn, and the last would wait for all time-outs.
    pub(super) async fn get<F: Future<Output = Result<T, StoreError>>>(
        &self,
        is_fresh: impl Fn(&T) -> bool,
        read: impl FnOnce() -> F,
    ) -> Result<Arc<T>, StoreError> {
        let asked = Instant::now();
        loop {
            // Registered before the check, so that a read that ends in between is not missed.
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if let Some(known) = self.known(asked, &is_fresh)? {
                return Ok(known);
            }
            let Ok(reader) = self.reader.try_lock() else {
                // All waiting requests continue together. If they took the lock, they would continue one after the
                // other.
                ended.await;
                continue;
            };
            let _turn = Turn {
                _reader: reader,
                _ends: Ends(&self.ended),
            };
            // The future of a read is large, and most requests do not read.
            return self.run(Box::pin(read())).await;
        }
    }

    fn known(
        &self,
        asked: Instant,
        is_fresh: impl Fn(&T) -> bool,
    ) -> Result<Option<Arc<T>>, StoreError> {
        let last = self.last.lock();
        if let Some((read_at, result)) = &last.result
            && (*read_at >= asked || is_fresh(result))
        {
            return Ok(Some(Arc::clone(result)));
        }
        match &last.failed {
            Some((at, error)) if *at >= asked => Err(error.clone()),
            _ => Ok(None),
        }
    }

    /// Reads, and keeps the result, or the error, for the requests that wait.
    async fn run(
        &self,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<Arc<T>, StoreError> {
        let read_at = Instant::now();
        let read = read.await.inspect_err(|error| {
            self.last.lock().failed = Some((Instant::now(), error.clone()));
        });
        let result = Arc::new(read?);
        self.last.lock().result = Some((read_at, Arc::clone(&result)));
        Ok(result)
    }
}

/// The turn to read. Dropping it, also on cancellation, wakes the requests that wait.
struct Turn<'s> {
    // Fields are dropped in this order: the turn is free before the waiting requests wake up.
    _reader: tokio::sync::MutexGuard<'s, ()>,
    _ends: Ends<'s>,
}

struct Ends<'s>(&'s Notify);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::time::Duration;

    use futures_util::future::join_all;

    use super::*;

    /// Reads for a moment. Returns the number of the read, and counts the reads that run at once.
    async fn read(number: &AtomicU32, running: &AtomicU32) -> Result<u32, StoreError> {
        assert_eq!(running.fetch_add(1, Relaxed), 0, "one read at a time");
        tokio::time::sleep(Duration::from_millis(10)).await;
        running.fetch_sub(1, Relaxed);
        Ok(number.fetch_add(1, Relaxed) + 1)
    }

    #[tokio::test]
    async fn requests_share_a_read_that_began_after_they_came() {
        let (shared, number, running) = (SharedRead::default(), 0.into(), 0.into());
        let get = || shared.get(|_| false, || read(&number, &running));
        let results = join_all((0..40).map(|_| get())).await;
        let results: Vec<u32> = results.into_iter().map(|one| *one.unwrap()).collect();
        assert!(results.iter().all(|one| *one <= 2), "{results:?}");
        assert!(number.load(Relaxed) <= 2);
        let before = number.load(Relaxed);
        assert_eq!(
            *get().await.unwrap(),
            before + 1,
            "an old result is not shared"
        );
        let fresh = shared.get(|_| true, || read(&number, &running)).await;
        assert_eq!(*fresh.unwrap(), before + 1);
    }

    #[tokio::test]
    async fn a_read_that_is_given_up_lets_the_next_request_read() {
        let (shared, number, running) = (SharedRead::default(), 0.into(), AtomicU32::new(0));
        let mut first = Box::pin(shared.get(|_| false, std::future::pending));
        assert!(futures_util::poll!(&mut first).is_pending());
        let next = shared.get(|_| false, || read(&number, &running));
        let (result, ()) = tokio::join!(next, async { drop(first) });
        assert_eq!(*result.unwrap(), 1);
    }
}
