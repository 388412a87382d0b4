//! Group commit: one thread with one connection puts all requests that have arrived into one transaction.
//!
//! The reply to a request is sent after the commit that contains its write, never before.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::ffi::SQLITE_IOERR_WRITE;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot, watch};

use super::commits::Commits;
use super::faulty::HELD;
use super::{Options, SYSTEM};
use crate::domain::{PerformanceDateId, statement};
use crate::faults::Faults;
use crate::store::date_versions::DateVersions;
use crate::store::turn::Turn;
use crate::store::{StoreError, Unclosed};
use crate::telemetry::{Metrics, Statement, TraceHandle, connection_acquired};

/// The largest number of requests that wait for the writer.
const QUEUE: usize = 32_768;
/// The largest number of requests in one transaction.
const BATCH: usize = 1_024;
/// A transaction that is this old takes no more requests, because its requests already wait for the commit.
const GROUP_TIME: Duration = Duration::from_millis(100);

/// The view of the transaction that the work inside it gets.
pub(super) struct Tx<'a> {
    /// The connection inside the transaction.
    pub(super) conn: &'a Connection,
    touched: Vec<PerformanceDateId>,
}

impl Tx<'_> {
    /// Records that this transaction changed a seat of `date`.
    pub(super) fn touch(&mut self, date: PerformanceDateId) {
        self.touched.push(date);
    }
}

/// Runs in the transaction. Returns the function to call after the commit or its failure.
type Work = Box<dyn FnOnce(&mut Tx<'_>) -> Reply + Send>;
type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

struct Job {
    name: &'static str,
    queued: Instant,
    trace: TraceHandle,
    turn: Turn,
    work: Work,
}

/// The data that the writer thread owns.
pub(super) struct Written {
    pub(super) connection: Connection,
    pub(super) commits: Commits,
    pub(super) file: PathBuf,
}

impl Written {
    /// Closes the file so that it is complete without its log.
    fn close(self) -> Result<(), Unclosed> {
        let (connection, file) = (self.connection, self.file);
        let moved = self.commits.close(&connection);
        let closed = connection.close().map_err(|(_, error)| error.into());
        moved.and(closed).map_err(|error| {
            let unclosed = Unclosed { file, error };
            tracing::error!("{unclosed}");
            unclosed
        })
    }
}

/// The handle to the writer thread.
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<Result<(), Unclosed>>>>,
    timeout: Duration,
    broke: watch::Receiver<bool>,
}

/// Reports whether the writer thread panicked when it ends.
struct Ending(watch::Sender<bool>);

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.send_replace(true);
        }
    }
}

impl Writer {
    /// Starts the thread that owns `written`.
    pub(super) fn start(
        written: Written,
        options: Options,
        versions: Arc<DateVersions>,
        metrics: Metrics,
        faults: Faults,
    ) -> Result<Writer, StoreError> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (ending, broke) = watch::channel(false);
        let ending = Ending(ending);
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || {
                let _ending = ending;
                run(written, receiver, &versions, &metrics, options, &faults)
            })
            .map_err(|error| StoreError::Unavailable(format!("writer thread: {error}")))?;
        Ok(Writer {
            queue: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            timeout: options.timeout,
            broke,
        })
    }

    /// Resolves when the thread has ended, with `true` if it panicked.
    pub(super) fn broke(&self) -> impl Future<Output = bool> + Send + 'static {
        let mut broke = self.broke.clone();
        // The thread drops the sender when it ends without a panic, so an error means no panic.
        async move { broke.wait_for(|broke| *broke).await.is_ok() }
    }

    /// Runs `work`, which must change the database in at most one statement, and waits for its commit. Work that the
    /// writer has not begun before the time-out is not done.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let work: Work = Box::new(move |tx| {
            let result = work(tx);
            Box::new(move |committed| {
                let answer = result.and_then(|value| committed.map(|()| value));
                // The caller may have given up. The write stays done.
                drop(sender.send(answer));
            })
        });
        let turn = Turn::default();
        self.enqueue(Job {
            name,
            queued: Instant::now(),
            trace: TraceHandle::current(),
            turn: turn.clone(),
            work,
        })?;
        turn.outcome(receiver, self.timeout).await
    }

    /// Like [`Writer::run`], for work of several statements. Either all of them take effect or none.
    pub(super) async fn run_atomic<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(name, move |tx| {
            tx.conn.prepare_cached("SAVEPOINT work")?.execute([])?;
            let touched = tx.touched.len();
            let result = work(tx);
            if result.is_err() {
                tx.touched.truncate(touched);
                tx.conn.prepare_cached("ROLLBACK TO work")?.execute([])?;
            }
            tx.conn.prepare_cached("RELEASE work")?.execute([])?;
            result
        })
        .await
    }

    fn enqueue(&self, job: Job) -> Result<(), StoreError> {
        let queue = self.queue.lock();
        let Some(queue) = queue.as_ref() else {
            return Err(StoreError::Unavailable("the database is closed".to_owned()));
        };
        queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => {
                StoreError::Unavailable("the writer has stopped".to_owned())
            }
        })
    }

    /// Refuses new work, finishes the queued work, and closes the connection.
    ///
    /// # Errors
    /// [`Unclosed`]. The file is then complete only together with its log.
    pub(super) async fn close(&self) -> Result<(), Unclosed> {
        self.queue.lock().take();
        let thread = self.thread.lock().take();
        let Some(thread) = thread else { return Ok(()) };
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        match joined {
            Ok(Ok(closed)) => closed,
            // The panic of the writer thread has already been reported.
            _ => Ok(()),
        }
    }
}

fn run(
    mut written: Written,
    mut queue: mpsc::Receiver<Job>,
    versions: &DateVersions,
    metrics: &Metrics,
    options: Options,
    faults: &Faults,
) -> Result<(), Unclosed> {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        let mut jobs = batch.drain(..);
        while jobs.len() > 0 {
            commit_group(&mut written, &mut jobs, versions, metrics, options, faults);
        }
        drop(jobs);
        written.commits.checkpoint_if_due(&written.connection);
    }
    written.close()
}

fn commit_group(
    written: &mut Written,
    jobs: &mut std::vec::Drain<'_, Job>,
    versions: &DateVersions,
    metrics: &Metrics,
    options: Options,
    faults: &Faults,
) {
    let mut replies: Vec<Reply> = Vec::with_capacity(jobs.len());
    let mut traces: Vec<TraceHandle> = Vec::with_capacity(jobs.len());
    let started = Instant::now();
    let mut tx = Tx {
        conn: &written.connection,
        touched: Vec::new(),
    };
    let changes = tx.conn.total_changes();
    let mut begun = begin(tx.conn);
    while replies.is_empty() || started.elapsed() < GROUP_TIME {
        let Some(job) = jobs.next() else { break };
        if !job.turn.begin() {
            continue;
        }
        connection_acquired(Some(metrics), &job.trace, job.queued);
        if begun.is_ok() && tx.conn.is_autocommit() {
            // A full disk or an I/O error ended the transaction, so its writes are lost.
            fail(&mut replies, &rolled_back());
            tx.touched.clear();
            begun = begin(tx.conn);
        }
        let began = Instant::now();
        faults.slow_down_thread(job.name);
        replies.push((job.work)(&mut tx));
        if job.name == HELD {
            continue;
        }
        let statement = Statement::ended(job.name, SYSTEM, began);
        statement.report(Some(metrics), &job.trace, options.slow);
        traces.push(job.trace);
    }
    let touched = std::mem::take(&mut tx.touched);
    let began = Instant::now();
    faults.slow_down_thread(statement::COMMIT);
    if !options.commit_delay.is_zero() {
        std::thread::sleep(options.commit_delay);
    }
    let changed = tx.conn.total_changes() != changes;
    let committed = begun.and_then(|()| match tx.conn.is_autocommit() {
        true => Err(rolled_back()),
        // Like a log that cannot grow: this commit is the first to need the disk.
        false if changed && faults.disk_is_full() => Err(disk_full()),
        false => commit(tx.conn, &written.commits, changed),
    });
    let commit = Statement {
        error: committed.as_ref().err().map(|why| why.to_string().into()),
        ..Statement::ended(statement::COMMIT, SYSTEM, began)
    };
    report_commit(commit, &traces, metrics, options.slow);
    drop(traces);
    match committed {
        Ok(()) => {
            if changed {
                written.commits.committed();
            }
            touched.into_iter().for_each(|date| versions.bump(date));
            replies.into_iter().for_each(|reply| reply(Ok(())));
        }
        Err(error) => {
            tracing::error!(%error, "a group of writes could not be committed");
            if !written.connection.is_autocommit() {
                // The failed commit is answered below.
                drop(written.connection.execute_batch("ROLLBACK"));
            }
            fail(&mut replies, &error);
        }
    }
}

fn begin(connection: &Connection) -> Result<(), StoreError> {
    Ok(connection.execute_batch("BEGIN IMMEDIATE")?)
}

fn rolled_back() -> StoreError {
    StoreError::Unwritable("the transaction was rolled back".to_owned())
}

fn disk_full() -> StoreError {
    let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
    rusqlite::Error::SqliteFailure(full, None).into()
}

/// Commits if the files are still at their paths. Only a transaction that changed something is numbered, because only
/// such a transaction needs the disk.
fn commit(connection: &Connection, commits: &Commits, changed: bool) -> Result<(), StoreError> {
    if changed {
        commits.in_place()?;
        commits.number(connection)?;
    }
    connection.execute_batch("COMMIT").map_err(commit_failed)
}

/// The error of a COMMIT that failed. After most I/O errors, as of the fsync, the whole transaction may already be in the
/// log, where the next start would find it. After an error of a write it is not: the end of the transaction is written
/// last.
fn commit_failed(error: rusqlite::Error) -> StoreError {
    let extended = error.sqlite_error().map(|failed| failed.extended_code);
    match error.sqlite_error_code() {
        Some(ErrorCode::SystemIoFailure) if extended != Some(SQLITE_IOERR_WRITE) => {
            StoreError::Unknown(format!("{error}: is the disk failing?"))
        }
        _ => error.into(),
    }
}

/// Reports a commit once to the metrics and the log, and to the trace of each of its requests.
fn report_commit(commit: Statement, traces: &[TraceHandle], metrics: &Metrics, slow: Duration) {
    if let Some((first, others)) = traces.split_first() {
        for trace in others {
            drop(commit.step(trace));
        }
        commit.report(Some(metrics), first, slow);
    }
}

fn fail(replies: &mut Vec<Reply>, why: &StoreError) {
    for reply in replies.drain(..) {
        reply(Err(why.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(dir: &std::path::Path) -> Writer {
        let file = dir.join(format!("{}.db", rand::random::<u64>()));
        let mut connection = Connection::open(&file).unwrap();
        crate::store::sqlite::schema::migrate(&mut connection).unwrap();
        let commits = Commits::begin(&mut connection, &file, 0).unwrap();
        let written = Written {
            connection,
            commits,
            file,
        };
        let versions = Arc::new(DateVersions::new(1));
        let metrics = Metrics::new().unwrap();
        let (options, faults) = (Options::default(), Faults::default());
        Writer::start(written, options, versions, metrics, faults).unwrap()
    }

    #[test]
    fn after_an_io_error_of_the_commit_the_outcome_is_unknown() {
        use rusqlite::ffi;
        let failed = |code| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            commit_failed(error)
        };
        for code in [
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_SHMMAP,
            ffi::SQLITE_IOERR,
        ] {
            let outcome = failed(code);
            assert!(
                matches!(outcome, StoreError::Unknown(_)),
                "{code}: {outcome:?}"
            );
        }
        // A log that cannot grow lacks the end of the transaction.
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE] {
            let outcome = failed(code);
            assert!(
                matches!(outcome, StoreError::Unwritable(_)),
                "{code}: {outcome:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_writer_that_breaks_says_so_and_one_that_is_closed_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let broken = writer(dir.path());
        let broke = broken.broke();
        let answer = broken.run::<()>("test", |_| {
            assert!(std::hint::black_box(false), "breaks on purpose");
            Ok(())
        });
        assert!(matches!(answer.await, Err(StoreError::Unavailable(_))));
        assert!(broke.await);

        let closed = writer(dir.path());
        let broke = closed.broke();
        closed.close().await.unwrap();
        assert!(!broke.await);
    }
}
