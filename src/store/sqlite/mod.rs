//! SQLite: one file per dataset, one writer thread that commits in groups, and a few reader threads.
//!
//! An acknowledged write is on disk: the writer replies after the `COMMIT` that contains the write
//! (`synchronous=FULL`). Group commit makes this cheap: requests that arrive during one commit share the next one.
//! `rusqlite` runs on dedicated threads instead of an async pool, because a group commit needs the connection for the
//! whole batch.

mod accounts;
mod audit;
pub mod backup;
pub mod bulk;
mod commit_record;
mod commits;
mod continuity;
mod faulty;
mod idempotency;
mod queue;
mod readers;
mod reservations;
mod schema;
mod seats;
mod wal_scan;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::date_versions::DateVersions;
use super::{
    Answer, Audit, CancelOutcome, Catalog, ChargeOutcome, DatasetInfo, Fact, Idempotency, Keyed,
    Pay, PayOutcome, ReservationRow, Reserve, ReserveOutcome, SeatCounts, SeatPreview, SeatRow,
    Settled, StoreError, Unclosed,
};
use crate::domain::{
    Money, PerformanceDateId, ReservationId, SeatId, Timestamp, UserId, statement,
};
use crate::faults::Faults;
use crate::telemetry::Metrics;
use commits::Commits;
use readers::Readers;
use writer::{Writer, Written};

/// The database's name in traces.
const SYSTEM: &str = "sqlite";

/// The options for opening a dataset.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Number of reader threads.
    pub readers: usize,
    /// The longest time for which a caller waits for an answer.
    pub timeout: Duration,
    /// Statements slower than this are logged.
    pub slow: Duration,
    /// A delay that is added to every commit, to rehearse a slow disk.
    pub commit_delay: Duration,
    /// Opens a dataset even if it lacks acknowledged writes.
    pub accept_data_loss: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            readers: 4,
            timeout: Duration::from_secs(5),
            slow: Duration::from_millis(100),
            commit_delay: Duration::ZERO,
            accept_data_loss: false,
        }
    }
}

/// Describes the dataset in `file` without opening it for work.
pub fn describe(file: &Path) -> Result<DatasetInfo, StoreError> {
    schema::examine(file)?;
    schema::read_info(&schema::open_reader(file)?)
}

/// Returns whether `file` holds a dataset that was loaded to its end. A load that was killed leaves neither a log nor a
/// commit record nor a description.
#[must_use]
pub fn is_complete(file: &Path) -> bool {
    let traces = [commit_record::path_of(file), wal_scan::log_of(file)];
    traces.iter().any(|trace| trace.exists()) || describe(file).is_ok()
}

/// An open dataset.
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
    info: DatasetInfo,
    versions: Arc<DateVersions>,
    reader_count: usize,
}

impl SqliteStore {
    /// Opens the dataset in `file` and runs the migrations that are due.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the file is not a concertctl database, [`StoreError::Unavailable`] when it cannot
    /// be opened.
    pub fn open(
        file: &Path,
        options: Options,
        metrics: Metrics,
        faults: Faults,
    ) -> Result<Self, StoreError> {
        schema::examine(file)?;
        let number = continuity::check(file, options.accept_data_loss)?;
        let mut connection = schema::open_writer(file)?;
        schema::migrate(&mut connection)?;
        let commits = Commits::begin(&mut connection, file, number)?;
        let info = schema::read_info(&connection)?;
        let versions = Arc::new(DateVersions::new(info.dates));
        let readers = Readers::start(file, options, metrics.clone(), faults.clone())?;
        let written = Written {
            connection,
            commits,
            file: file.to_owned(),
        };
        let writer = Writer::start(written, options, Arc::clone(&versions), metrics, faults)?;
        Ok(SqliteStore {
            writer,
            readers,
            info,
            versions,
            reader_count: options.readers.max(1),
        })
    }

    /// The description of the dataset.
    #[must_use]
    pub fn info(&self) -> &DatasetInfo {
        &self.info
    }

    /// A number that changes with every committed change of a seat of `date`. `None` when there is no such date.
    #[must_use]
    pub fn date_version(&self, date: PerformanceDateId) -> Option<u64> {
        self.versions.get(date)
    }

    /// Resolves when the writer thread has ended, with `true` if it panicked. No write is possible after that.
    pub fn writer_broke(&self) -> impl Future<Output = bool> + Send + 'static {
        self.writer.broke()
    }

    /// Waits for the work in progress and closes the file. The writer closes last: only the writer can move the log
    /// into the file, and only when no reader is open.
    ///
    /// # Errors
    /// [`Unclosed`]. The file is then complete only together with its log.
    pub async fn close(&self) -> Result<(), Unclosed> {
        self.readers.close().await;
        self.writer.close().await
    }

    /// Concerts and dates.
    ///
    /// # Errors
    /// [`StoreError`], like every read.
    pub async fn catalog(&self) -> Result<Catalog, StoreError> {
        self.readers
            .run(statement::CATALOG_READ, seats::catalog)
            .await
    }

    /// Reads a seat at `now` before it is locked, and the answer that was already given under `key`.
    pub async fn preview(
        &self,
        seat: SeatId,
        user: UserId,
        key: Option<Idempotency>,
        now: Timestamp,
    ) -> Result<SeatPreview, StoreError> {
        self.readers
            .run(statement::SEAT_READ, move |conn| {
                let replay = match &key {
                    Some(key) => idempotency::find(conn, user, key)?,
                    None => None,
                };
                let seat = seats::seat(conn, seat, now)?;
                Ok(SeatPreview::Seen { seat, replay })
            })
            .await
    }

    /// The answer that was already given under `key`, if there is one.
    pub async fn replay<T: Answer>(
        &self,
        user: UserId,
        key: Idempotency,
    ) -> Result<Option<Keyed<T>>, StoreError> {
        self.readers
            .run(statement::IDEMPOTENCY_READ, move |conn| {
                idempotency::find(conn, user, &key)
            })
            .await
    }

    /// All seats of a date in the order of their numbers.
    pub async fn seats_of(&self, date: PerformanceDateId) -> Result<Vec<SeatRow>, StoreError> {
        self.readers
            .run(statement::SEATS_READ, move |conn| {
                seats::of_date(conn, date)
            })
            .await
    }

    /// Seats of the concert on sale by status.
    pub async fn seat_counts(&self) -> Result<SeatCounts, StoreError> {
        let on_sale = self.info.on_sale_seats;
        self.readers
            .run(statement::SEATS_COUNT, move |conn| {
                seats::counts(conn, on_sale)
            })
            .await
    }

    /// Tries to reserve. Version check, unique index and limit apply in one transaction.
    pub async fn reserve(
        &self,
        reserve: Reserve,
        key: Option<Idempotency>,
    ) -> Result<Settled<Keyed<ReserveOutcome>>, StoreError> {
        self.writer
            .run_atomic(statement::RESERVATION_CREATE, move |tx| {
                let mut ended = Vec::new();
                let outcome = idempotency::once(tx, reserve.user, key, reserve.now, |tx| {
                    reservations::reserve(tx, &reserve, &mut ended)
                })?;
                Ok(Settled { outcome, ended })
            })
            .await
    }

    /// Stores a refusal that the caller decided without the store, so that a repeat of the keyed request gets the
    /// same answer. Returns the first answer.
    pub async fn remember_refusal(
        &self,
        user: UserId,
        key: Idempotency,
        refusal: ReserveOutcome,
        now: Timestamp,
    ) -> Result<Keyed<ReserveOutcome>, StoreError> {
        self.writer
            .run_atomic(statement::RESERVATION_REFUSE, move |tx| {
                idempotency::once(tx, user, Some(key), now, |_| Ok(refusal))
            })
            .await
    }

    /// Cancels a hold.
    pub async fn cancel(
        &self,
        reservation: ReservationId,
        user: UserId,
        now: Timestamp,
        key: Option<Idempotency>,
    ) -> Result<Settled<Keyed<CancelOutcome>>, StoreError> {
        self.writer
            .run_atomic(statement::RESERVATION_CANCEL, move |tx| {
                let mut ended = Vec::new();
                let outcome = idempotency::once(tx, user, key, now, |tx| {
                    reservations::cancel(tx, reservation, user, now, &mut ended)
                })?;
                Ok(Settled { outcome, ended })
            })
            .await
    }

    /// Ends up to `most` expired holds. Returns their number.
    pub async fn expire_holds(
        &self,
        now: Timestamp,
        most: u32,
    ) -> Result<Settled<u64>, StoreError> {
        self.writer
            .run_atomic(statement::RESERVATION_EXPIRE, move |tx| {
                let (outcome, ended) = reservations::expire(tx, now, most)?;
                Ok(Settled { outcome, ended })
            })
            .await
    }

    /// At most `most` reservations of `user` with ids above `after`, in ascending order.
    pub async fn reservations_of(
        &self,
        user: UserId,
        after: ReservationId,
        most: u32,
    ) -> Result<Vec<ReservationRow>, StoreError> {
        self.readers
            .run(statement::RESERVATIONS_READ, move |conn| {
                reservations::of_user(conn, user, after, most)
            })
            .await
    }

    /// Deletes at most `most` answers to keyed requests that are older than `before`.
    pub async fn forget_answers(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        self.writer
            .run(statement::IDEMPOTENCY_FORGET, move |tx| {
                idempotency::forget(tx, before, most)
            })
            .await
    }

    /// The balance of `user`, or `None` when there is no such user.
    pub async fn balance(&self, user: UserId) -> Result<Option<Money>, StoreError> {
        self.readers
            .run(statement::ACCOUNT_READ, move |conn| {
                accounts::balance(conn, user)
            })
            .await
    }

    /// Adds `amount` to the balance of `user`.
    pub async fn charge(
        &self,
        user: UserId,
        amount: Money,
        now: Timestamp,
        key: Option<Idempotency>,
    ) -> Result<Keyed<ChargeOutcome>, StoreError> {
        self.writer
            .run_atomic(statement::ACCOUNT_CHARGE, move |tx| {
                idempotency::once(tx, user, key, now, |tx| {
                    accounts::charge(tx, user, amount, now)
                })
            })
            .await
    }

    /// Pays a reservation. The payer's admission ends when the payer has no hold left.
    pub async fn pay(
        &self,
        pay: Pay,
        key: Option<Idempotency>,
    ) -> Result<Settled<Keyed<PayOutcome>>, StoreError> {
        self.writer
            .run_atomic(statement::RESERVATION_PAY, move |tx| {
                let outcome =
                    idempotency::once(tx, pay.user, key, pay.now, |tx| accounts::pay(tx, &pay))?;
                let is_paid = outcome == Keyed::Fresh(PayOutcome::Paid);
                let ended = match is_paid {
                    true => queue::end_if_spent(tx, pay.user, pay.now)?,
                    false => None,
                };
                Ok(Settled {
                    outcome,
                    ended: ended.into_iter().collect(),
                })
            })
            .await
    }

    /// Counts violations of the rules of the sale in the whole database.
    pub async fn audit(&self) -> Result<Audit, StoreError> {
        let on_sale = self.info.on_sale_seats;
        self.readers
            .run_unbounded(statement::AUDIT_COUNT, move |conn| {
                audit::count(conn, on_sale)
            })
            .await
    }

    /// Returns those of `facts` that are not in the database.
    pub async fn missing(&self, facts: Vec<Fact>) -> Result<Vec<Fact>, StoreError> {
        self.readers
            .run_unbounded(statement::AUDIT_LOOKUP, move |conn| {
                audit::missing(conn, facts)
            })
            .await
    }

    /// Returns for each idempotency key whether its write was done.
    pub async fn done(&self, keys: Vec<(UserId, String)>) -> Result<Vec<bool>, StoreError> {
        self.readers
            .run_unbounded(statement::AUDIT_LOOKUP, move |conn| {
                audit::done(conn, &keys)
            })
            .await
    }

    /// Writes a row and waits for its commit.
    ///
    /// # Errors
    /// [`StoreError`] with the reason.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.writer
            .run(statement::PING, |tx| {
                let sql = "UPDATE commits SET number = number";
                tx.conn.prepare_cached(sql)?.execute([])?;
                Ok(())
            })
            .await
    }
}
