//! PostgreSQL: one database for several servers, a schema a dataset, a pool of connections a server.
//!
//! Every booking is one statement and one round trip, in a transaction of its own, and is on disk when
//! the answer comes. Races are decided by the rows: the seat's version, and unique indexes for the live
//! reservation of a seat, the user's slots and the keys of requests; a loser is rolled back as a whole
//! and asks again, so no locks are held between statements. Registrations of a server go to the
//! database together (`group`).

mod accounts;
mod attempts;
mod audit;
mod bulk;
mod database;
mod fault;
mod faulty;
mod group;
mod idempotency;
mod pool;
mod presence_lock;
mod queue;
mod registering;
mod reservations;
mod schema;
mod seats;
mod snapshot;
mod target;

use std::sync::Arc;
use std::time::Duration;

pub use bulk::{Loaded, PgBulk};
pub use database::Database;
pub use presence_lock::PresenceLock;
pub use reservations::RESERVE;

use super::date_versions::DateVersions;
use super::{
    Answer, Audit, CancelOutcome, Catalog, ChargeOutcome, DatasetInfo, Fact, Idempotency, Keyed,
    Pay, PayOutcome, ReservationRow, Reserve, ReserveOutcome, SeatCounts, SeatPreview, SeatRow,
    Settled, StoreError,
};
use crate::domain::queue::Admission;
use crate::domain::{
    Money, PerformanceDateId, Place, ReservationId, SeatId, Timestamp, UserId, statement,
};
use attempts::{Attempts, Repeat};
use group::Group;
use pool::Pool;
use registering::{HandingOut, Registering};
use reservations::Changed;

/// How a database is used.
#[derive(Clone, Copy, Debug)]
pub struct PgOptions {
    /// Connections of one server to one dataset.
    pub connections: usize,
    /// How long a caller waits for one of them.
    pub acquire_timeout: Duration,
    /// How long the making of one may take.
    pub connect_timeout: Duration,
    /// How long one statement may take, and twice as long as it may wait for a lock.
    pub statement_timeout: Duration,
    /// How long an operation may take in all, repeats included.
    pub timeout: Duration,
    /// Statements slower than this are logged.
    pub slow: Duration,
}

impl Default for PgOptions {
    fn default() -> Self {
        PgOptions {
            connections: 16,
            acquire_timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(4),
            timeout: Duration::from_secs(5),
            slow: Duration::from_millis(100),
        }
    }
}

/// How long a seat map may be shown although another server may have changed a seat of it.
const SHARED_FOR: Duration = Duration::from_millis(250);

/// An open dataset.
pub struct PgStore {
    pool: Arc<Pool>,
    info: DatasetInfo,
    versions: DateVersions,
    registering: Group<Registering>,
    handing_out: Group<HandingOut>,
    in_use: PresenceLock,
}

impl PgStore {
    fn new(pool: Arc<Pool>, info: DatasetInfo, in_use: PresenceLock) -> PgStore {
        let timeout = pool.options.timeout;
        PgStore {
            versions: DateVersions::new(info.dates),
            registering: Group::start(Registering(Arc::clone(&pool)), timeout),
            handing_out: Group::start(HandingOut(Arc::clone(&pool)), timeout),
            pool,
            info,
            in_use,
        }
    }

    /// What the dataset consists of.
    #[must_use]
    pub fn info(&self) -> &DatasetInfo {
        &self.info
    }

    /// Moves with every change of a seat of `date` that this server committed; `None` when there is no
    /// such date.
    #[must_use]
    pub fn date_version(&self, date: PerformanceDateId) -> Option<u64> {
        self.versions.get(date)
    }

    /// How long what was read of seats may be shown although other servers may have changed them.
    #[must_use]
    pub fn shared_for(&self) -> Duration {
        SHARED_FOR
    }

    /// Finishes what is under way and closes the connections.
    pub async fn close(&self) {
        tokio::join!(self.registering.close(), self.handing_out.close());
        self.pool.close().await;
        self.in_use.release().await;
    }

    /// Concerts and dates.
    ///
    /// # Errors
    /// As every read: [`StoreError`].
    pub async fn catalog(&self) -> Result<Catalog, StoreError> {
        seats::catalog(&mut self.read(statement::CATALOG_READ)).await
    }

    /// Makes an admission durable: everyone up to `watermark` is in since `at`.
    ///
    /// # Errors
    /// [`StoreError`]; then nobody was admitted, or it will turn out that they were.
    pub async fn admit(&self, watermark: Place, at: Timestamp) -> Result<(), StoreError> {
        queue::admit(&mut self.safe(statement::QUEUE_ADMIT), watermark, at).await
    }

    /// Keeps the admission settings.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save_admission(&self, admission: Admission) -> Result<(), StoreError> {
        queue::save_admission(&mut self.safe(statement::QUEUE_SAVE_ADMISSION), &admission).await
    }

    /// Always [`SeatPreview::Deferred`]: [`PgStore::reserve`] looks in the statement that takes the seat.
    ///
    /// # Errors
    /// None.
    pub async fn preview(
        &self,
        _seat: SeatId,
        _user: UserId,
        _key: Option<Idempotency>,
        _now: Timestamp,
    ) -> Result<SeatPreview, StoreError> {
        Ok(SeatPreview::Deferred)
    }

    /// The answer already given under `key`, if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replay<T: Answer>(
        &self,
        user: UserId,
        key: Idempotency,
    ) -> Result<Option<Keyed<T>>, StoreError> {
        idempotency::find(&mut self.read(statement::IDEMPOTENCY_READ), user, &key).await
    }

    /// All seats of a date, by number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn seats_of(&self, date: PerformanceDateId) -> Result<Vec<SeatRow>, StoreError> {
        seats::of_date(&mut self.read(statement::SEATS_READ), date).await
    }

    /// Seats of the concert on sale by status.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn seat_counts(&self) -> Result<SeatCounts, StoreError> {
        seats::counts(
            &mut self.read(statement::SEATS_COUNT),
            self.info.on_sale_seats,
        )
        .await
    }

    /// Tries to reserve: version, unique index and limit in one statement.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reserve(
        &self,
        reserve: Reserve,
        key: Option<Idempotency>,
    ) -> Result<Settled<Keyed<ReserveOutcome>>, StoreError> {
        let mut attempts = self.keyed(statement::RESERVATION_CREATE, key.as_ref());
        let changed = reservations::reserve(&mut attempts, &reserve, key.as_ref()).await?;
        Ok(self.settled(changed))
    }

    /// Remembers a refusal that was decided before the store was asked, so that a repeat of the
    /// keyed request is answered alike; gives back what was answered first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remember_refusal(
        &self,
        user: UserId,
        key: Idempotency,
        refusal: ReserveOutcome,
        now: Timestamp,
    ) -> Result<Keyed<ReserveOutcome>, StoreError> {
        let mut attempts = self.safe(statement::RESERVATION_REFUSE);
        idempotency::remember(&mut attempts, user, &key, &refusal, now).await
    }

    /// Gives a hold back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn cancel(
        &self,
        reservation: ReservationId,
        user: UserId,
        now: Timestamp,
        key: Option<Idempotency>,
    ) -> Result<Settled<Keyed<CancelOutcome>>, StoreError> {
        let (mut attempts, key) = (self.safe(statement::RESERVATION_CANCEL), key.as_ref());
        let changed = reservations::cancel(&mut attempts, reservation, user, now, key).await?;
        Ok(self.settled(changed))
    }

    /// At most `most` reservations of `user` with ids above `after`, by id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reservations_of(
        &self,
        user: UserId,
        after: ReservationId,
        most: u32,
    ) -> Result<Vec<ReservationRow>, StoreError> {
        reservations::of_user(
            &mut self.read(statement::RESERVATIONS_READ),
            user,
            after,
            most,
        )
        .await
    }

    /// Ends up to `most` holds that ran out; gives the number ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn expire_holds(
        &self,
        now: Timestamp,
        most: u32,
    ) -> Result<Settled<u64>, StoreError> {
        let mut attempts = self.safe(statement::RESERVATION_EXPIRE);
        let changed = reservations::expire(&mut attempts, now, most).await?;
        Ok(self.settled(changed))
    }

    /// Forgets answers to keyed requests that are older than `before`, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_answers(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        idempotency::forget(&mut self.safe(statement::IDEMPOTENCY_FORGET), before, most).await
    }

    /// The balance of `user`, or `None` when there is no such user.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn balance(&self, user: UserId) -> Result<Option<Money>, StoreError> {
        accounts::balance(&mut self.read(statement::ACCOUNT_READ), user).await
    }

    /// Adds `amount` to the balance of `user`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn charge(
        &self,
        user: UserId,
        amount: Money,
        now: Timestamp,
        key: Option<Idempotency>,
    ) -> Result<Keyed<ChargeOutcome>, StoreError> {
        let mut attempts = self.keyed(statement::ACCOUNT_CHARGE, key.as_ref());
        accounts::charge(&mut attempts, user, amount, now, key.as_ref()).await
    }

    /// Pays a reservation, and ends the payer's place with the last hold made by it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn pay(
        &self,
        pay: Pay,
        key: Option<Idempotency>,
    ) -> Result<Settled<Keyed<PayOutcome>>, StoreError> {
        let mut attempts = self.keyed(statement::RESERVATION_PAY, key.as_ref());
        let changed = accounts::pay(&mut attempts, &pay, key.as_ref()).await?;
        Ok(self.settled(changed))
    }

    /// Counts violations of the business truth over everything in the database.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit(&self) -> Result<Audit, StoreError> {
        let mut attempts = self.long(statement::AUDIT_COUNT);
        loop {
            let count = audit::count(&self.pool, self.info.on_sale_seats);
            match attempts.bounded(count).await {
                Ok(counts) => return Ok(counts),
                Err(fault) => attempts.again(fault).await?,
            }
        }
    }

    /// Those of `facts` that are not in the database.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn missing(&self, facts: Vec<Fact>) -> Result<Vec<Fact>, StoreError> {
        let mut attempts = self.long(statement::AUDIT_LOOKUP);
        loop {
            let looking = audit::missing(&self.pool, &facts);
            match attempts.bounded(looking).await {
                Ok(missing) => return Ok(missing),
                Err(fault) => attempts.again(fault).await?,
            }
        }
    }

    /// For each idempotency key, whether its write was done.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn done(&self, keys: Vec<(UserId, String)>) -> Result<Vec<bool>, StoreError> {
        let (users, keys): (Vec<i64>, Vec<String>) =
            keys.into_iter().map(|(user, key)| (user.0, key)).unzip();
        let mut attempts = self.long(statement::AUDIT_LOOKUP);
        loop {
            let looking = audit::done(&self.pool, &users, &keys);
            match attempts.bounded(looking).await {
                Ok(done) => return Ok(done),
                Err(fault) => attempts.again(fault).await?,
            }
        }
    }

    /// Writes a row and waits for its commit.
    ///
    /// # Errors
    /// [`StoreError`] with what is wrong.
    pub async fn ping(&self) -> Result<(), StoreError> {
        // First: a standby would only be asked again and again for the write.
        let rows = self
            .read(statement::PING)
            .rows(faulty::TAKES_NO_WRITES, &[])
            .await?;
        if rows.first().is_none_or(|row| row.get::<_, bool>(0)) {
            return Err(StoreError::Unavailable(fault::READ_ONLY.to_owned()));
        }
        self.safe(statement::PING)
            .rows(faulty::WRITE_A_ROW, &[])
            .await?;
        Ok(())
    }

    /// Reads.
    fn read(&self, name: &'static str) -> Attempts<'_> {
        Attempts::new(&self.pool, name, Repeat::Read)
    }

    /// Writes that done twice are done once.
    fn safe(&self, name: &'static str) -> Attempts<'_> {
        Attempts::new(&self.pool, name, Repeat::Safe)
    }

    /// The same over the whole dataset, which takes as long as it takes (within reason).
    fn long(&self, name: &'static str) -> Attempts<'_> {
        Attempts::within(&self.pool, name, Repeat::Read, snapshot::LONG)
    }

    /// A write that is done once if it has a key: its repeat finds the kept answer.
    fn keyed(&self, name: &'static str, key: Option<&Idempotency>) -> Attempts<'_> {
        let repeat = match key {
            Some(_) => Repeat::Safe,
            None => Repeat::Never,
        };
        Attempts::new(&self.pool, name, repeat)
    }

    /// Notes the dates that changed.
    fn settled<T>(&self, changed: Changed<T>) -> Settled<T> {
        for date in changed.dates {
            self.versions.bump(date);
        }
        Settled {
            outcome: changed.outcome,
            ended: changed.ended,
        }
    }
}
