//! A few threads with one read-only connection each. Readers see the last commit and never wait for the writer (WAL).

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::{Connection, InterruptHandle};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::faulty::HELD;
use super::{Options, SYSTEM, schema};
use crate::faults::Faults;
use crate::store::{LONG_READ, StoreError};
use crate::telemetry::{Metrics, Statement, TraceHandle, connection_acquired};

/// The largest number of reads that wait for a connection.
const QUEUE: usize = 16_384;

/// The number of steps of SQLite's virtual machine, a few milliseconds, after which a long read checks that its caller
/// still waits.
const STEPS: std::ffi::c_int = 100_000;

/// The longest wait for an interrupted reader when the store closes.
const END_WITHIN: Duration = Duration::from_secs(5);

struct Job {
    name: &'static str,
    queued: Instant,
    trace: TraceHandle,
    work: Box<dyn FnOnce(&mut Connection) + Send>,
}

/// The handle to the reader threads.
pub(super) struct Readers {
    queue: Mutex<Option<mpsc::SyncSender<Job>>>,
    threads: Mutex<Vec<(JoinHandle<()>, InterruptHandle)>>,
    timeout: Duration,
}

impl Readers {
    /// Opens the connections and starts the threads.
    pub(super) fn start(
        file: &Path,
        options: Options,
        metrics: Metrics,
        faults: Faults,
    ) -> Result<Readers, StoreError> {
        let (sender, receiver) = mpsc::sync_channel::<Job>(QUEUE);
        let receiver = Arc::new(Mutex::new(receiver));
        let busy = Arc::new(AtomicU64::new(0));
        let max = options.readers.max(1) as u64;
        let mut threads = Vec::new();
        for at in 0..max {
            let mut connection = schema::open_reader(file)?;
            let interrupt = connection.get_interrupt_handle();
            let (receiver, busy, metrics, faults) = (
                Arc::clone(&receiver),
                Arc::clone(&busy),
                metrics.clone(),
                faults.clone(),
            );
            let thread = std::thread::Builder::new()
                .name(format!("sqlite-reader-{at}"))
                .spawn(move || {
                    run(
                        &mut connection,
                        &receiver,
                        &busy,
                        max,
                        &metrics,
                        options.slow,
                        &faults,
                    )
                })
                .map_err(|error| StoreError::Unavailable(format!("reader thread: {error}")))?;
            threads.push((thread, interrupt));
        }
        metrics.set_db_connections(0, max, max);
        Ok(Readers {
            queue: Mutex::new(Some(sender)),
            threads: Mutex::new(threads),
            timeout: options.timeout,
        })
    }

    /// Runs `work` on the next free connection.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run_within(self.timeout, name, |conn| work(conn)).await
    }

    /// Like [`Readers::run`], for work over the whole dataset, with a long time-out. If the caller is gone, the work is
    /// interrupted, because it would occupy the connection for minutes without use.
    pub(super) async fn run_unbounded<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = CancellationToken::new();
        let _waits = gone.clone().drop_guard();
        let work = move |conn: &mut Connection| unless_gone(conn, gone, work);
        self.run_within(LONG_READ, name, work).await
    }

    async fn run_within<T: Send + 'static>(
        &self,
        timeout: Duration,
        name: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let job = Job {
            name,
            queued: Instant::now(),
            trace: TraceHandle::current(),
            // The caller may have given up.
            work: Box::new(move |conn| drop(sender.send(work(conn)))),
        };
        match self.queue.lock().as_ref() {
            None => return Err(StoreError::Unavailable("the database is closed".to_owned())),
            Some(queue) => queue.try_send(job).map_err(|error| match error {
                mpsc::TrySendError::Full(_) => StoreError::Overloaded,
                mpsc::TrySendError::Disconnected(_) => {
                    StoreError::Unavailable("the readers have stopped".to_owned())
                }
            })?,
        }
        match tokio::time::timeout(timeout, receiver).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(StoreError::Unavailable("a reader has stopped".to_owned())),
            Err(_) => Err(StoreError::Timeout(timeout)),
        }
    }

    /// Refuses new work, interrupts the running reads, and waits until the connections are closed.
    pub(super) async fn close(&self) {
        self.queue.lock().take();
        let threads = std::mem::take(&mut *self.threads.lock());
        let until = Instant::now() + END_WITHIN;
        for (thread, interrupt) in threads {
            while !thread.is_finished() && Instant::now() < until {
                // The interrupt is repeated, because a queued read begins after the interrupted one.
                interrupt.interrupt();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if !thread.is_finished() {
                tracing::warn!("a reader of the database did not end within {END_WITHIN:?}");
            }
        }
    }
}

/// Does the work, and interrupts it when `gone` is cancelled.
fn unless_gone<T>(
    connection: &mut Connection,
    gone: CancellationToken,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection.progress_handler(STEPS, Some(move || gone.is_cancelled()))?;
    let done = work(connection);
    connection.progress_handler(0, None::<fn() -> bool>)?;
    done
}

fn run(
    connection: &mut Connection,
    queue: &Mutex<mpsc::Receiver<Job>>,
    busy: &AtomicU64,
    max: u64,
    metrics: &Metrics,
    slow: Duration,
    faults: &Faults,
) {
    loop {
        // The lock is held during the wait: the thread that has the lock gets the next work.
        let job = match queue.lock().recv() {
            Ok(job) => job,
            Err(_) => return,
        };
        let used = busy.fetch_add(1, Ordering::Relaxed) + 1;
        metrics.set_db_connections(used, max.saturating_sub(used), max);
        connection_acquired(Some(metrics), &job.trace, job.queued);
        let began = Instant::now();
        faults.slow_down_thread(job.name);
        (job.work)(connection);
        if job.name != HELD {
            Statement::ended(job.name, SYSTEM, began).report(Some(metrics), &job.trace, slow);
        }
        let used = busy.fetch_sub(1, Ordering::Relaxed) - 1;
        metrics.set_db_connections(used, max.saturating_sub(used), max);
    }
}
