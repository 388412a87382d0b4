//! The database behind the store. The URL at the start selects it once.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::mysql::MySqlStore;
use super::postgres::PgStore;
use super::sqlite::SqliteStore;
use super::{
    Answer, Audit, CancelOutcome, Catalog, ChargeOutcome, DatasetInfo, Fact, Idempotency, Keyed,
    NewPlace, NextPlace, Pay, PayOutcome, QueueSnapshot, RegisterOutcome, ReservationRow, Reserve,
    ReserveOutcome, SeatCounts, SeatPreview, SeatRow, Settled, StoreError, Ticket, Unclosed,
};
use crate::domain::queue::Admission;
use crate::domain::{Money, PerformanceDateId, Place, ReservationId, SeatId, Timestamp, UserId};

/// The time for which a seat map may be shown although another server may have changed one of its seats.
const SHARED_FOR: Duration = Duration::from_millis(250);

/// An open dataset of one of the databases.
pub enum Store {
    /// A file that only this process uses.
    Sqlite(SqliteStore),
    /// A schema in a PostgreSQL database that other servers may also use.
    Postgres(PgStore),
    /// A database of its own on a MySQL or MariaDB server that other servers may also use.
    MySql(MySqlStore),
}

/// Calls the same function on each variant.
macro_rules! each {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            Store::Sqlite($store) => $call,
            Store::Postgres($store) => $call,
            Store::MySql($store) => $call,
        }
    };
}

impl Store {
    /// The description of the dataset.
    #[must_use]
    pub fn info(&self) -> &DatasetInfo {
        each!(self, store => store.info())
    }

    /// A number that changes with every change of a seat of `date` that this server committed. `None` when there is
    /// no such date.
    #[must_use]
    pub fn date_version(&self, date: PerformanceDateId) -> Option<u64> {
        each!(self, store => store.date_version(date))
    }

    /// The label value of this database in metrics.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        match self {
            Store::Sqlite(_) => "sqlite",
            Store::Postgres(_) => "postgres",
            Store::MySql(_) => "mysql",
        }
    }

    /// Takes `number` connections (by default all) away from other work until the future is dropped. It never
    /// resolves.
    pub async fn hold_connections(&self, number: Option<usize>) {
        each!(self, store => store.hold_connections(number).await)
    }

    /// Resolves when the store cannot be used any more, with whether it panicked.
    pub fn writer_broke(&self) -> BoxFuture<'static, bool> {
        match self {
            Store::Sqlite(store) => Box::pin(store.writer_broke()),
            // The store recovers when the database does.
            Store::Postgres(_) | Store::MySql(_) => Box::pin(std::future::pending()),
        }
    }

    /// The time for which a read of seats may be shown although other servers may have changed them. `None` when no
    /// other server changes them, so that [`date_version`](Store::date_version) is exact.
    #[must_use]
    pub fn shared_for(&self) -> Option<Duration> {
        match self {
            Store::Sqlite(_) => None,
            Store::Postgres(_) | Store::MySql(_) => Some(SHARED_FOR),
        }
    }

    /// Finishes the work in progress and closes the database.
    ///
    /// # Errors
    /// [`Unclosed`], only of a file.
    pub async fn close(&self) -> Result<(), Unclosed> {
        match self {
            Store::Sqlite(store) => return store.close().await,
            Store::Postgres(store) => store.close().await,
            Store::MySql(store) => store.close().await,
        }
        Ok(())
    }

    /// Concerts and dates.
    ///
    /// # Errors
    /// [`StoreError`], like every read.
    pub async fn catalog(&self) -> Result<Catalog, StoreError> {
        each!(self, store => store.catalog().await)
    }

    /// The queue in the state in which the last process left it.
    pub async fn queue_snapshot(&self) -> Result<QueueSnapshot, StoreError> {
        each!(self, store => store.queue_snapshot().await)
    }

    /// Makes a place durable, together with its ticket under its key. If the user has a live place that the queue
    /// does not know, the answer to that registration was lost. That place ends, or is given again if the key is the
    /// same.
    ///
    /// # Errors
    /// [`StoreError`]. The place must not be used then.
    pub async fn register(&self, new: NewPlace) -> Result<RegisterOutcome, StoreError> {
        each!(self, store => store.register(new).await)
    }

    /// The live place that was given under `key`.
    pub async fn ticket(
        &self,
        user: UserId,
        key: Idempotency,
    ) -> Result<Option<Keyed<Ticket>>, StoreError> {
        each!(self, store => store.ticket(user, key).await)
    }

    /// The place that `user` holds in the database.
    pub async fn standing(&self, user: UserId) -> Result<Option<Place>, StoreError> {
        each!(self, store => store.standing(user).await)
    }

    /// Returns whether the admission of `place` ended early, or the place never existed.
    pub async fn has_ended(&self, place: Place) -> Result<bool, StoreError> {
        each!(self, store => store.has_ended(place).await)
    }

    /// Gives the next place above `above` when the shared queue does not answer. If the user has a live place up to
    /// `expired_up_to`, that place has expired and is replaced.
    pub async fn register_next(
        &self,
        user: UserId,
        now: Timestamp,
        above: Place,
        expired_up_to: Place,
        key: Option<Idempotency>,
    ) -> Result<NextPlace, StoreError> {
        each!(self, store => store.register_next(user, now, above, expired_up_to, key).await)
    }

    /// Makes an admission durable: all places up to `watermark` are admitted from `at` on.
    ///
    /// # Errors
    /// [`StoreError`]. No user was admitted then.
    pub async fn admit(&self, watermark: Place, at: Timestamp) -> Result<(), StoreError> {
        each!(self, store => store.admit(watermark, at).await)
    }

    /// Stores the admission settings.
    pub async fn save_admission(&self, admission: Admission) -> Result<(), StoreError> {
        each!(self, store => store.save_admission(admission).await)
    }

    /// Reads a seat at `now` before it is locked, and the answer that was already given under `key`.
    pub async fn preview(
        &self,
        seat: SeatId,
        user: UserId,
        key: Option<Idempotency>,
        now: Timestamp,
    ) -> Result<SeatPreview, StoreError> {
        each!(self, store => store.preview(seat, user, key, now).await)
    }

    /// The answer that was already given under `key`, if there is one.
    pub async fn replay<T: Answer>(
        &self,
        user: UserId,
        key: Idempotency,
    ) -> Result<Option<Keyed<T>>, StoreError> {
        each!(self, store => store.replay(user, key).await)
    }

    /// All seats of a date in the order of their numbers.
    pub async fn seats_of(&self, date: PerformanceDateId) -> Result<Vec<SeatRow>, StoreError> {
        each!(self, store => store.seats_of(date).await)
    }

    /// Seats of the concert on sale by status.
    pub async fn seat_counts(&self) -> Result<SeatCounts, StoreError> {
        each!(self, store => store.seat_counts().await)
    }

    /// Tries to reserve. Version check, unique index and limit apply in one transaction. An expired hold on the seat
    /// ends first.
    pub async fn reserve(
        &self,
        reserve: Reserve,
        key: Option<Idempotency>,
    ) -> Result<Settled<Keyed<ReserveOutcome>>, StoreError> {
        each!(self, store => store.reserve(reserve, key).await)
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
        each!(self, store => store.remember_refusal(user, key, refusal, now).await)
    }

    /// Cancels a hold.
    pub async fn cancel(
        &self,
        reservation: ReservationId,
        user: UserId,
        now: Timestamp,
        key: Option<Idempotency>,
    ) -> Result<Settled<Keyed<CancelOutcome>>, StoreError> {
        each!(self, store => store.cancel(reservation, user, now, key).await)
    }

    /// Ends up to `most` expired holds. Returns their number.
    pub async fn expire_holds(
        &self,
        now: Timestamp,
        most: u32,
    ) -> Result<Settled<u64>, StoreError> {
        each!(self, store => store.expire_holds(now, most).await)
    }

    /// At most `most` reservations of `user` with ids above `after`, in ascending order.
    pub async fn reservations_of(
        &self,
        user: UserId,
        after: ReservationId,
        most: u32,
    ) -> Result<Vec<ReservationRow>, StoreError> {
        each!(self, store => store.reservations_of(user, after, most).await)
    }

    /// Deletes at most `most` answers to keyed requests that are older than `before`.
    pub async fn forget_answers(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        each!(self, store => store.forget_answers(before, most).await)
    }

    /// The balance of `user`, or `None` when there is no such user.
    pub async fn balance(&self, user: UserId) -> Result<Option<Money>, StoreError> {
        each!(self, store => store.balance(user).await)
    }

    /// Adds `amount` to the balance of `user`.
    pub async fn charge(
        &self,
        user: UserId,
        amount: Money,
        now: Timestamp,
        key: Option<Idempotency>,
    ) -> Result<Keyed<ChargeOutcome>, StoreError> {
        each!(self, store => store.charge(user, amount, now, key).await)
    }

    /// Pays a reservation. The payer's admission ends when the payer has no hold left.
    pub async fn pay(
        &self,
        pay: Pay,
        key: Option<Idempotency>,
    ) -> Result<Settled<Keyed<PayOutcome>>, StoreError> {
        each!(self, store => store.pay(pay, key).await)
    }

    /// Counts violations of the rules of the sale in the whole database.
    pub async fn audit(&self) -> Result<Audit, StoreError> {
        each!(self, store => store.audit().await)
    }

    /// Returns those of `facts` that are not in the database.
    pub async fn missing(&self, facts: Vec<Fact>) -> Result<Vec<Fact>, StoreError> {
        each!(self, store => store.missing(facts).await)
    }

    /// Returns for each idempotency key whether its write was done. A stored refusal counts as not done.
    pub async fn done(&self, keys: Vec<(UserId, String)>) -> Result<Vec<bool>, StoreError> {
        each!(self, store => store.done(keys).await)
    }

    /// Checks that the database accepts writes.
    ///
    /// # Errors
    /// [`StoreError`] with the reason.
    pub async fn ping(&self) -> Result<(), StoreError> {
        each!(self, store => store.ping().await)
    }
}
