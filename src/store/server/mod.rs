//! A dataset on a database server that several servers of the sale may share: the common part of PostgreSQL and MySQL.
//!
//! Every booking is one statement and one round trip, in a transaction of its own, and is on disk before the answer.
//! The rows decide races: the version of the seat, and unique indexes for the live reservation of a seat, the slots of
//! a user and the keys of requests. The loser is rolled back as a whole and decided again. The batcher writes the
//! registrations of a server together.
//!
//! No request begins a transaction with a statement of its own. If its caller gave up, such a transaction could stay
//! open on a connection that another caller then borrows.

mod accounts;
mod audit;
mod database;
mod dialect;
mod presence;
mod queue;
mod registering;
mod reservations;
mod schema;
mod seats;
mod session;
mod statements;

use std::sync::Arc;

pub(super) use database::Database;
pub(super) use dialect::{Dialect, Purpose};
pub use presence::PresenceLock;
pub(super) use presence::{Present, Use};
pub(super) use schema::{migrate, write_info};
pub(super) use session::Session;
pub(super) use session::failed;
pub(super) use statements::Statements;

use super::batcher::Batcher;
use super::date_versions::DateVersions;
use super::fault::Fault;
use super::keyed::{self, Changed};
use super::pooled::Pool;
use super::retry::{Repeat, Retry};
use super::{
    Answer, DatasetInfo, Idempotency, Keyed, LONG_READ, ReserveOutcome, SeatPreview, Settled,
    StoreError,
};
use crate::domain::{PerformanceDateId, SeatId, Timestamp, UserId, statement};
use registering::{HandingOut, Registering};

/// An open dataset.
pub struct ServerStore<D: Dialect> {
    pool: Arc<Pool<D>>,
    /// Opens the sessions that read the whole dataset.
    long: D,
    info: DatasetInfo,
    versions: DateVersions,
    registering: Batcher<Registering<D>>,
    handing_out: Batcher<HandingOut<D>>,
    presence: PresenceLock,
}

impl<D: Dialect> ServerStore<D> {
    fn new(
        pool: Arc<Pool<D>>,
        long: D,
        info: DatasetInfo,
        presence: PresenceLock,
    ) -> ServerStore<D> {
        let timeout = pool.options.timeout;
        ServerStore {
            versions: DateVersions::new(info.dates),
            registering: Batcher::start(Registering(Arc::clone(&pool)), timeout),
            handing_out: Batcher::start(HandingOut(Arc::clone(&pool)), timeout),
            pool,
            long,
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

    /// Always [`SeatPreview::Deferred`]: [`ServerStore::reserve`] reads the seat in the statement that takes it.
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

    pub(super) async fn forget_answers(
        &self,
        before: Timestamp,
        most: u32,
    ) -> Result<u64, StoreError> {
        keyed::forget(&mut self.safe(statement::IDEMPOTENCY_FORGET), before, most).await
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        // The read comes first, because a write would be repeated on a replica.
        let reading = self.read(statement::PING).run(D::IS_READ_ONLY, &[]).await?;
        if reading.rows.first().map_or(Ok(1), |row| D::int(row, 0))? != 0 {
            return Err(StoreError::Unavailable(D::READ_ONLY.to_owned()));
        }
        // This write is as durable as any write of the sale, so it fails where they would. The value is random, because
        // a database does not write a row whose value stays the same.
        let value = format!("{:016x}", rand::random::<u64>());
        let params = ["readiness".into(), value.as_str().into()];
        let mut retry = self.safe(statement::PING);
        retry.run(D::SQL.set_meta, &params).await?;
        Ok(())
    }

    /// Runs `read` on one snapshot, while the sale continues.
    async fn snapshot<T, F>(
        &self,
        name: &'static str,
        read: impl Fn(Session<D>) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut retry = Retry::within(&self.pool, name, Repeat::Read, LONG_READ);
        loop {
            let attempt = async {
                let allowed = self.pool.options.connect_timeout;
                let mut session = Session::connect(&self.long, allowed).await?;
                session.run(D::SQL.snapshot).await?;
                read(session).await
            };
            match retry.bounded(attempt).await {
                Ok(read) => return Ok(read),
                Err(fault) => retry.again(fault).await?,
            }
        }
    }

    /// A retried operation that only reads.
    fn read(&self, name: &'static str) -> Retry<'_, D> {
        Retry::new(&self.pool, name, Repeat::Read)
    }

    /// A retried write that is idempotent.
    fn safe(&self, name: &'static str) -> Retry<'_, D> {
        Retry::new(&self.pool, name, Repeat::Safe)
    }

    /// A retried write. It may be repeated if it has a key, because the repeat finds the stored answer.
    fn keyed(&self, name: &'static str, key: Option<&Idempotency>) -> Retry<'_, D> {
        let repeat = match key {
            Some(_) => Repeat::Safe,
            None => Repeat::Never,
        };
        Retry::new(&self.pool, name, repeat)
    }

    /// Records the dates whose seats changed.
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
