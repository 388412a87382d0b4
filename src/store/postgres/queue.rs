//! Admissions, the admission settings, and the queue in the database.

use futures_util::TryStreamExt as _;
use sqlx::postgres::PgRow;

use super::columns::{get, int, opt};
use super::driver::PgDriver;
use super::registering::{self, Wanted};
use super::{PgStore, Pool, Retry, errors, snapshot};
use crate::domain::queue::Admission;
use crate::domain::{Place, Timestamp, UserId, statement};
use crate::store::fault::Fault;
use crate::store::keyed;
use crate::store::pooled::Lease;
use crate::store::values::Value;
use crate::store::{
    Idempotency, Keyed, LONG_READ, NewPlace, NextPlace, QueueSnapshot, RegisterOutcome, StoreError,
    Ticket,
};

impl PgStore {
    pub(in crate::store) async fn queue_snapshot(&self) -> Result<QueueSnapshot, StoreError> {
        let mut retry = self.long(statement::QUEUE_RESTORE);
        loop {
            match retry.bounded(snapshot(&self.pool)).await {
                Ok(snapshot) => return Ok(snapshot),
                Err(fault) => retry.again(fault).await?,
            }
        }
    }

    pub(in crate::store) async fn register(
        &self,
        new: NewPlace,
    ) -> Result<RegisterOutcome, StoreError> {
        if new.replaces.is_none() && self.registering.request(new.clone()).await? {
            return Ok(RegisterOutcome::Kept);
        }
        registering::register(&mut self.safe(statement::QUEUE_REGISTER), &new).await
    }

    pub(in crate::store) async fn register_next(
        &self,
        user: UserId,
        now: Timestamp,
        above: Place,
        expired_up_to: Place,
        key: Option<Idempotency>,
    ) -> Result<NextPlace, StoreError> {
        if let Some(key) = key.clone() {
            match self.ticket(user, key).await? {
                Some(Keyed::Mismatch) => return Ok(NextPlace::Mismatch),
                Some(Keyed::Replayed(ticket) | Keyed::Fresh(ticket))
                    if ticket.place() > expired_up_to =>
                {
                    return Ok(NextPlace::Replayed(ticket));
                }
                _ => {}
            }
        }
        let wanted = Wanted {
            user,
            now,
            above,
            expired_up_to,
            key,
        };
        self.handing_out.request(wanted).await
    }

    pub(in crate::store) async fn ticket(
        &self,
        user: UserId,
        key: Idempotency,
    ) -> Result<Option<Keyed<Ticket>>, StoreError> {
        ticket(&mut self.read(statement::IDEMPOTENCY_READ), user, &key).await
    }

    pub(in crate::store) async fn standing(
        &self,
        user: UserId,
    ) -> Result<Option<Place>, StoreError> {
        let mut retry = self.read(statement::QUEUE_READ);
        let reply = retry.run(STANDING, &[user.0.into()]).await?;
        let row = reply.rows.first();
        Ok(row.map(|row| int(row, 0).map(unsigned)).transpose()?)
    }

    pub(in crate::store) async fn has_ended(&self, place: Place) -> Result<bool, StoreError> {
        has_ended(&mut self.read(statement::QUEUE_READ), place).await
    }
}

const ADMIT: &str = "INSERT INTO admissions (mark, at) VALUES ($1, $2) ON CONFLICT DO NOTHING";

const SAVE_ADMISSION: &str = "INSERT INTO meta (key, value) VALUES ('admission', $1)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";

const END_SPENT: &str = include_str!("sql/end_spent.sql");

const STANDING: &str = "SELECT place FROM queue_places WHERE user_id = $1 AND ended_at IS NULL";

const LIVES: &str = "SELECT 1 FROM queue_places WHERE place = $1 AND ended_at IS NULL";

const PLACES: &str = "SELECT place, user_id, ended_at FROM queue_places ORDER BY place";

const ADMISSIONS: &str = "SELECT mark, at FROM admissions ORDER BY mark";

const ADMISSION: &str = "SELECT value FROM meta WHERE key = 'admission'";

/// A place as a `bigint`. Places count from 1, and no queue reaches the largest.
pub(super) fn signed(place: Place) -> i64 {
    i64::try_from(place.0).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(value: i64) -> Place {
    Place(u64::try_from(value).unwrap_or(0))
}

pub(super) async fn admit(
    retry: &mut Retry<'_>,
    watermark: Place,
    at: Timestamp,
) -> Result<(), StoreError> {
    let params: [Value<'_>; 2] = [signed(watermark).into(), at.0.into()];
    retry.run(ADMIT, &params).await?;
    Ok(())
}

pub(super) async fn save_admission(
    retry: &mut Retry<'_>,
    admission: &Admission,
) -> Result<(), StoreError> {
    let text = serde_json::to_string(admission)
        .map_err(|error| StoreError::Unavailable(format!("admission settings: {error}")))?;
    retry.run(SAVE_ADMISSION, &[text.as_str().into()]).await?;
    Ok(())
}

/// Ends those of `places` that are spent, and returns them. This follows from what is already decided. So a failure is
/// logged, and the admission ends by its time.
pub(super) async fn end_spent(
    retry: &mut Retry<'_>,
    places: Vec<i64>,
    now: Timestamp,
) -> Vec<Place> {
    if places.is_empty() {
        return Vec::new();
    }
    let ended = match retry
        .run(END_SPENT, &[places.as_slice().into(), now.0.into()])
        .await
    {
        Ok(reply) => reply
            .rows
            .iter()
            .map(|row| int(row, 0).map(unsigned))
            .collect(),
        Err(fault) => Err(fault),
    };
    ended.unwrap_or_else(|fault: Fault| {
        let error = StoreError::from(fault);
        tracing::warn!(%error, "admissions without holds were not ended; they end by their time");
        Vec::new()
    })
}

/// Whether the place ended by a payment or by a new registration, or never existed.
async fn has_ended(retry: &mut Retry<'_>, place: Place) -> Result<bool, StoreError> {
    let reply = retry.run(LIVES, &[signed(place).into()]).await?;
    Ok(reply.rows.is_empty())
}

/// The place that was given under `key`, while it lives. The answer to another request is a mismatch.
pub(super) async fn ticket(
    retry: &mut Retry<'_>,
    user: UserId,
    key: &Idempotency,
) -> Result<Option<Keyed<Ticket>>, StoreError> {
    let found = keyed::find(retry, user, key).await?;
    let lives = match &found {
        Some(Keyed::Replayed(ticket)) => !has_ended(retry, Ticket::place(*ticket)).await?,
        _ => true,
    };
    Ok(found.filter(|_| lives))
}

/// The queue as of one moment.
async fn snapshot(pool: &Pool) -> Result<QueueSnapshot, Fault> {
    let mut lease = pool.lend().await?;
    snapshot::begin(&mut lease).await?;
    let places = places(&mut lease).await?;
    let admissions = lease.run(ADMISSIONS, &[]).await?.rows;
    let settings = lease.run(ADMISSION, &[]).await?.rows;
    lease.commit().await?;
    let admission = |row: &PgRow| Ok((unsigned(int(row, 0)?), Timestamp(int(row, 1)?)));
    let parsed = |row: &PgRow| {
        serde_json::from_str(get(row, 0)?).map_err(|error| {
            Fault::damaged(format!("the admission settings cannot be read: {error}"))
        })
    };
    Ok(QueueSnapshot {
        places,
        admissions: admissions
            .iter()
            .map(admission)
            .collect::<Result<_, Fault>>()?,
        admission: settings.first().map(parsed).transpose()?,
    })
}

/// Row by row, so that a million places are not in memory twice.
async fn places(lease: &mut Lease<'_, PgDriver>) -> Result<Vec<(Place, UserId, bool)>, Fault> {
    let failed = |error| errors::of_statement(&error, LONG_READ);
    let mut rows = sqlx::query(PLACES).fetch(lease.connection()?);
    let mut places = Vec::new();
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        let (place, user) = (unsigned(int(&row, 0)?), UserId(int(&row, 1)?));
        places.push((place, user, opt(&row, 2)?.is_some()));
    }
    Ok(places)
}
