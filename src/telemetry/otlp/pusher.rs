//! A thread that takes the waiting records in batches and sends them.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use parking_lot::{Condvar, Mutex};

use super::delivery::{Delivery, Retry};
use crate::backoff::Backoff;
use crate::telemetry::Subscription;

/// The largest number of records per batch. A record has some 500 bytes, and collectors accept 4 MiB.
const BATCH: usize = 1_024;
/// The time in which records gather before they are sent.
const GATHER: Duration = Duration::from_secs(1);
/// The pause between two checks for a full batch.
const CHECK_EVERY: Duration = Duration::from_millis(100);
/// The number of attempts before a batch is given up.
const TRIES: u32 = 4;
/// A bound that [`TRIES`] attempts do not reach.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Sends a batch. The error is the reason why it was not accepted.
pub(super) trait SendBatch<T>: Send + 'static {
    fn send(&mut self, batch: &[T]) -> Result<(), String>;
}

/// The handle to the thread.
#[derive(Debug)]
pub(super) struct Pusher {
    stop: Arc<StopSignal>,
    ended: mpsc::Receiver<()>,
}

#[derive(Debug, Default)]
struct StopSignal {
    stopping: Mutex<bool>,
    changed: Condvar,
}

impl StopSignal {
    /// Waits for `time` or for the signal. Returns whether the signal came.
    fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut stopping = self.stopping.lock();
        while !*stopping {
            if self.changed.wait_until(&mut stopping, end).timed_out() {
                break;
            }
        }
        *stopping
    }
}

impl Pusher {
    pub(super) fn start<T: Clone + Send + Sync + 'static>(
        records: Subscription<T>,
        sender: impl SendBatch<T>,
        delivery: Arc<Delivery>,
    ) -> anyhow::Result<Pusher> {
        delivery.missed(records.missed_counter());
        let stop = Arc::new(StopSignal::default());
        let (over, ended) = mpsc::sync_channel(1);
        let work = Work {
            records,
            sender,
            delivery: Arc::clone(&delivery),
            stop: Arc::clone(&stop),
        };
        thread::Builder::new()
            .name(format!("otlp-{}", delivery.signal().label()))
            .spawn(move || {
                work.run();
                // The handle may be gone, so that no caller waits for the end.
                let _ = over.send(());
            })
            .context("cannot start the thread that pushes over OTLP")?;
        Ok(Pusher { stop, ended })
    }

    /// Makes the thread send the waiting records and end.
    pub(super) fn stop(&self) {
        *self.stop.stopping.lock() = true;
        self.stop.changed.notify_all();
    }

    /// Waits for the end, until `until` at the latest.
    pub(super) fn ended_by(self, until: Instant) {
        let _in_time = self
            .ended
            .recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

struct Work<T, S> {
    records: Subscription<T>,
    sender: S,
    delivery: Arc<Delivery>,
    stop: Arc<StopSignal>,
}

impl<T, S: SendBatch<T>> Work<T, S> {
    fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let since = Instant::now();
            let mut stopping = false;
            while !stopping && self.records.waiting() < BATCH && since.elapsed() < GATHER {
                stopping = self.stop.wait(CHECK_EVERY);
            }
            while self.take(&mut batch) {
                self.deliver(&batch);
                batch.clear();
            }
            if stopping {
                return;
            }
        }
    }

    fn take(&mut self, batch: &mut Vec<T>) -> bool {
        while batch.len() < BATCH
            && let Some(record) = self.records.try_recv()
        {
            batch.push(record);
        }
        !batch.is_empty()
    }

    /// Sends a batch, with several attempts. After that it is given up, so that later batches can be sent.
    fn deliver(&mut self, batch: &[T]) {
        let mut backoff = Backoff::new(Duration::from_millis(500), LONGEST_PAUSE);
        for attempt in 1..=TRIES {
            let reached = self.delivery.reaches_collector();
            let Err(error) = reached.and_then(|()| self.sender.send(batch)) else {
                self.delivery.pushed(None);
                return;
            };
            let refusal = self.delivery.refusal(&error);
            self.delivery.pushed(Some(&refusal.why));
            let jittered = backoff.next(rand::random_range(0.5..1.5));
            let wait = match refusal.retry {
                Retry::Soon => jittered,
                Retry::After(asked) => asked.max(jittered),
                Retry::Never => break,
            };
            if attempt < TRIES && self.stop.wait(wait) {
                break;
            }
        }
        self.delivery.lost(batch.len() as u64);
    }
}

/// Splits batches by service.
pub(super) fn by_service<T>(
    batch: &[T],
    service: impl Fn(&T) -> &'static str,
) -> Vec<(&'static str, Vec<&T>)> {
    let mut parts: Vec<(&'static str, Vec<&T>)> = Vec::new();
    for record in batch {
        let of = service(record);
        match parts.iter_mut().find(|(name, _)| *name == of) {
            Some((_, part)) => part.push(record),
            None => parts.push((of, vec![record])),
        }
    }
    parts
}

#[cfg(test)]
mod tests;
