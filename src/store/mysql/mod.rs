//! MySQL and MariaDB: one database for several servers, a database per dataset, a pool of connections per server.
//!
//! Every booking is one prepared `CALL` of a stored procedure: one round trip, and one transaction that is on disk when
//! the answer comes. The rows decide races: the seat's version, and unique indexes for the live reservation of a seat,
//! the slots of a user and the keys of requests. The loser is rolled back and decided again. The registrations of a
//! server go to the database together.
//!
//! No request begins a transaction with a statement of its own. A caller who gives up could leave such a transaction
//! open on a connection that another caller then borrows.

mod accounts;
mod audit;
mod bulk;
mod columns;
mod database;
mod driver;
mod errors;
mod gate;
mod presence;
mod queue;
mod registering;
mod reservations;
mod schema;
mod seats;
mod snapshot;
mod target;
mod version;

use std::sync::Arc;

pub use bulk::{Loaded, MySqlBulk};
pub use database::Database;

use super::batcher::Batcher;
use super::date_versions::DateVersions;
use super::keyed::{self, Changed};
pub use super::pooled::PoolOptions as MySqlOptions;
use super::pooled::{self, Driver as _};
pub use super::presence::PresenceLock;
use super::retry::{self, Repeat};
use super::{
    Answer, Audit, CancelOutcome, Catalog, ChargeOutcome, DatasetInfo, Fact, Idempotency, Keyed,
    LONG_READ, Pay, PayOutcome, ReservationRow, Reserve, ReserveOutcome, SeatCounts, SeatPreview,
    SeatRow, Settled, StoreError,
};
use crate::domain::queue::Admission;
use crate::domain::{
    Money, PerformanceDateId, Place, ReservationId, SeatId, Timestamp, UserId, statement,
};
use columns::int;
use driver::MySqlDriver;
use registering::{HandingOut, Registering};

type Pool = pooled::Pool<MySqlDriver>;
type Retry<'a> = retry::Retry<'a, MySqlDriver>;

/// As durable as any write of the sale, so it fails where they would.
const WRITE_A_ROW: &str = "INSERT INTO meta (`key`, value) VALUES ('readiness', UTC_TIMESTAMP())
    ON DUPLICATE KEY UPDATE value = VALUES(value)";

/// An open dataset.
pub struct MySqlStore {
    pool: Arc<Pool>,
    info: DatasetInfo,
    versions: DateVersions,
    registering: Batcher<Registering>,
    handing_out: Batcher<HandingOut>,
    presence: PresenceLock,
}

impl MySqlStore {
    fn new(pool: Arc<Pool>, info: DatasetInfo, presence: PresenceLock) -> MySqlStore {
        let timeout = pool.options.timeout;
        MySqlStore {
            versions: DateVersions::new(info.dates),
            registering: Batcher::start(Registering(Arc::clone(&pool)), timeout),
            handing_out: Batcher::start(HandingOut(Arc::clone(&pool)), timeout),
            pool,
            info,
            presence,
        }
    }

    pub(super) fn info(&self) -> &DatasetInfo {
        &self.info
    }

    pub(super) fn date_version(&self, date: PerformanceDateId) -> Option<u64> {
        self.versions.get(date)
    }

    pub(super) async fn close(&self) {
        tokio::join!(self.registering.close(), self.handing_out.close());
        self.pool.close().await;
        self.presence.release().await;
    }

    pub(super) async fn hold_connections(&self, number: Option<usize>) {
        self.pool.hold_connections(number).await
    }

    pub(super) async fn catalog(&self) -> Result<Catalog, StoreError> {
        seats::catalog(&mut self.read(statement::CATALOG_READ)).await
    }

    pub(super) async fn admit(&self, watermark: Place, at: Timestamp) -> Result<(), StoreError> {
        queue::admit(&mut self.safe(statement::QUEUE_ADMIT), watermark, at).await
    }

    pub(super) async fn save_admission(&self, admission: Admission) -> Result<(), StoreError> {
        queue::save_admission(&mut self.safe(statement::QUEUE_SAVE_ADMISSION), &admission).await
    }

    /// Always [`SeatPreview::Deferred`]: [`MySqlStore::reserve`] reads the seat in the statement that takes it.
    pub(super) async fn preview(
        &self,
        _seat: SeatId,
        _user: UserId,
        _key: Option<Idempotency>,
        _now: Timestamp,
    ) -> Result<SeatPreview, StoreError> {
        Ok(SeatPreview::Deferred)
    }

    pub(super) async fn replay<T: Answer>(
        &self,
        user: UserId,
        key: Idempotency,
    ) -> Result<Option<Keyed<T>>, StoreError> {
        keyed::find(&mut self.read(statement::IDEMPOTENCY_READ), user, &key).await
    }

    pub(super) async fn seats_of(
        &self,
        date: PerformanceDateId,
    ) -> Result<Vec<SeatRow>, StoreError> {
        seats::of_date(&mut self.read(statement::SEATS_READ), date).await
    }

    pub(super) async fn seat_counts(&self) -> Result<SeatCounts, StoreError> {
        let on_sale = self.info.on_sale_seats;
        seats::counts(&mut self.read(statement::SEATS_COUNT), on_sale).await
    }

    pub(super) async fn reserve(
        &self,
        reserve: Reserve,
        key: Option<Idempotency>,
    ) -> Result<Settled<Keyed<ReserveOutcome>>, StoreError> {
        let mut retry = self.keyed(statement::RESERVATION_CREATE, key.as_ref());
        let changed = reservations::reserve(&mut retry, &reserve, key.as_ref()).await?;
        Ok(self.settled(changed))
    }

    pub(super) async fn remember_refusal(
        &self,
        user: UserId,
        key: Idempotency,
        refusal: ReserveOutcome,
        now: Timestamp,
    ) -> Result<Keyed<ReserveOutcome>, StoreError> {
        let mut retry = self.safe(statement::RESERVATION_REFUSE);
        keyed::remember(&mut retry, user, &key, &refusal, now).await
    }

    pub(super) async fn cancel(
        &self,
        reservation: ReservationId,
        user: UserId,
        now: Timestamp,
        key: Option<Idempotency>,
    ) -> Result<Settled<Keyed<CancelOutcome>>, StoreError> {
        let (mut retry, key) = (self.safe(statement::RESERVATION_CANCEL), key.as_ref());
        let changed = reservations::cancel(&mut retry, reservation, user, now, key).await?;
        Ok(self.settled(changed))
    }

    pub(super) async fn reservations_of(
        &self,
        user: UserId,
        after: ReservationId,
        most: u32,
    ) -> Result<Vec<ReservationRow>, StoreError> {
        let mut retry = self.read(statement::RESERVATIONS_READ);
        reservations::of_user(&mut retry, user, after, most).await
    }

    pub(super) async fn expire_holds(
        &self,
        now: Timestamp,
        most: u32,
    ) -> Result<Settled<u64>, StoreError> {
        let mut retry = self.safe(statement::RESERVATION_EXPIRE);
        let changed = reservations::expire(&mut retry, now, most).await?;
        Ok(self.settled(changed))
    }

    pub(super) async fn forget_answers(
        &self,
        before: Timestamp,
        most: u32,
    ) -> Result<u64, StoreError> {
        keyed::forget(&mut self.safe(statement::IDEMPOTENCY_FORGET), before, most).await
    }

    pub(super) async fn balance(&self, user: UserId) -> Result<Option<Money>, StoreError> {
        accounts::balance(&mut self.read(statement::ACCOUNT_READ), user).await
    }

    pub(super) async fn charge(
        &self,
        user: UserId,
        amount: Money,
        now: Timestamp,
        key: Option<Idempotency>,
    ) -> Result<Keyed<ChargeOutcome>, StoreError> {
        let mut retry = self.keyed(statement::ACCOUNT_CHARGE, key.as_ref());
        accounts::charge(&mut retry, user, amount, now, key.as_ref()).await
    }

    pub(super) async fn pay(
        &self,
        pay: Pay,
        key: Option<Idempotency>,
    ) -> Result<Settled<Keyed<PayOutcome>>, StoreError> {
        let mut retry = self.keyed(statement::RESERVATION_PAY, key.as_ref());
        let changed = accounts::pay(&mut retry, &pay, key.as_ref()).await?;
        Ok(self.settled(changed))
    }

    pub(super) async fn audit(&self) -> Result<Audit, StoreError> {
        let mut retry = self.long(statement::AUDIT_COUNT);
        let on_sale = self.info.on_sale_seats;
        loop {
            match retry.bounded(audit::count(&self.pool, on_sale)).await {
                Ok(counts) => return Ok(counts),
                Err(fault) => retry.again(fault).await?,
            }
        }
    }

    pub(super) async fn missing(&self, facts: Vec<Fact>) -> Result<Vec<Fact>, StoreError> {
        let mut retry = self.long(statement::AUDIT_LOOKUP);
        loop {
            match retry.bounded(audit::missing(&self.pool, &facts)).await {
                Ok(missing) => return Ok(missing),
                Err(fault) => retry.again(fault).await?,
            }
        }
    }

    pub(super) async fn done(&self, keys: Vec<(UserId, String)>) -> Result<Vec<bool>, StoreError> {
        let mut retry = self.long(statement::AUDIT_LOOKUP);
        audit::done(&mut retry, &keys).await
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        // First, because the write would be repeated on a replica.
        let reply = self
            .read(statement::PING)
            .run(MySqlDriver::IS_READ_ONLY, &[])
            .await?;
        let read_only = match reply.rows.first() {
            Some(row) => int(row, 0)? != 0,
            None => true,
        };
        if read_only {
            return Err(StoreError::Unavailable(errors::READ_ONLY.to_owned()));
        }
        let mut retry = self.safe(statement::PING);
        retry.run(WRITE_A_ROW, &[]).await?;
        Ok(())
    }

    /// An operation that only reads.
    fn read(&self, name: &'static str) -> Retry<'_> {
        Retry::new(&self.pool, name, Repeat::Read)
    }

    /// A write that has the same effect when it is done twice.
    fn safe(&self, name: &'static str) -> Retry<'_> {
        Retry::new(&self.pool, name, Repeat::Safe)
    }

    /// An operation that reads the whole dataset.
    fn long(&self, name: &'static str) -> Retry<'_> {
        Retry::within(&self.pool, name, Repeat::Read, LONG_READ)
    }

    /// A write that may be repeated if it has a key: the repeat finds the stored answer.
    fn keyed(&self, name: &'static str, key: Option<&Idempotency>) -> Retry<'_> {
        let repeat = match key {
            Some(_) => Repeat::Safe,
            None => Repeat::Never,
        };
        Retry::new(&self.pool, name, repeat)
    }

    /// Records the dates that changed.
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
