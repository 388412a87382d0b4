//! Admissions, the admission settings, and the queue as it is durable.

use futures_util::TryStreamExt as _;

use super::attempts::Attempts;
use super::fault::{self, Fault};
use super::idempotency;
use super::pool::{Lease, Pool};
use super::registering::{self, Wanted};
use super::{PgStore, snapshot};
use crate::domain::queue::Admission;
use crate::domain::{Place, Timestamp, UserId, statement};
use crate::store::{
    Idempotency, Keyed, NewPlace, NextPlace, QueueSnapshot, RegisterOutcome, StoreError, Ticket,
};

impl PgStore {
    /// The queue as it is durable.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn queue_snapshot(&self) -> Result<QueueSnapshot, StoreError> {
        let mut attempts = self.long(statement::QUEUE_RESTORE);
        loop {
            match attempts.bounded(snapshot(&self.pool)).await {
                Ok(snapshot) => return Ok(snapshot),
                Err(fault) => attempts.again(fault).await?,
            }
        }
    }

    /// As [`Store::register`](crate::store::Store::register).
    ///
    /// # Errors
    /// [`StoreError`]; then the place must not be used.
    pub async fn register(&self, new: NewPlace) -> Result<RegisterOutcome, StoreError> {
        if new.replaces.is_none() && self.registering.ask(new.clone()).await? {
            return Ok(RegisterOutcome::Kept);
        }
        registering::register(&mut self.safe(statement::QUEUE_REGISTER), &new).await
    }

    /// Hands out the next place above `above` by itself, for when the shared queue cannot be asked. A
    /// live place of the user up to `expired_up_to` has had its time and is replaced.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn register_next(
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
        self.handing_out.ask(wanted).await
    }

    /// The place given under `key`, while it lives.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ticket(
        &self,
        user: UserId,
        key: Idempotency,
    ) -> Result<Option<Keyed<Ticket>>, StoreError> {
        ticket(&mut self.read(statement::IDEMPOTENCY_READ), user, &key).await
    }

    /// The place where `user` stands, as far as it is durable.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn standing(&self, user: UserId) -> Result<Option<Place>, StoreError> {
        standing(&mut self.read(statement::QUEUE_READ), user).await
    }

    /// Whether `place` has ended before its time, or never was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_ended(&self, place: Place) -> Result<bool, StoreError> {
        has_ended(&mut self.read(statement::QUEUE_READ), place).await
    }
}

const ADMIT: &str = "INSERT INTO admissions (mark, at) VALUES ($1, $2) ON CONFLICT DO NOTHING";

const SAVE_ADMISSION: &str = "INSERT INTO meta (key, value) VALUES ('admission', $1)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// Ends places by which something was paid and by which nothing is held that could still be paid. A
/// statement of its own, after the commit of what may have been the last payment or hold.
const END_SPENT: &str = "UPDATE queue_places q SET ended_at = $2
    WHERE q.place = ANY($1) AND q.ended_at IS NULL
      AND EXISTS (SELECT 1 FROM reservations r
                  WHERE r.user_id = q.user_id AND r.place = q.place AND r.status = 1)
      AND NOT EXISTS (SELECT 1 FROM reservations r
                      WHERE r.user_id = q.user_id AND coalesce(r.place, q.place) = q.place
                        AND r.status = 0 AND r.expires_at > $2)
    RETURNING place";

const STANDING: &str = "SELECT place FROM queue_places WHERE user_id = $1 AND ended_at IS NULL";

const LIVES: &str = "SELECT 1 FROM queue_places WHERE place = $1 AND ended_at IS NULL";

const PLACES: &str = "SELECT place, user_id, ended_at IS NOT NULL FROM queue_places ORDER BY place";

/// PostgreSQL's integers are signed; places count from 1 and never get there.
pub(super) fn signed(place: Place) -> i64 {
    i64::try_from(place.0).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(value: i64) -> Place {
    Place(u64::try_from(value).unwrap_or(0))
}

pub(super) async fn admit(
    attempts: &mut Attempts<'_>,
    watermark: Place,
    at: Timestamp,
) -> Result<(), StoreError> {
    attempts.rows(ADMIT, &[&signed(watermark), &at.0]).await?;
    Ok(())
}

pub(super) async fn save_admission(
    attempts: &mut Attempts<'_>,
    admission: &Admission,
) -> Result<(), StoreError> {
    let text = serde_json::to_string(admission)
        .map_err(|error| StoreError::Unavailable(format!("admission settings: {error}")))?;
    attempts.rows(SAVE_ADMISSION, &[&text]).await?;
    Ok(())
}

/// Ends those of `places` that are spent; gives them. What it does is a consequence of what is decided
/// already, so a failure is logged, and the admission ends by its time.
pub(super) async fn end_spent(
    attempts: &mut Attempts<'_>,
    places: Vec<i64>,
    now: Timestamp,
) -> Vec<Place> {
    if places.is_empty() {
        return Vec::new();
    }
    match attempts.rows(END_SPENT, &[&places, &now.0]).await {
        Ok(rows) => rows.iter().map(|row| unsigned(row.get(0))).collect(),
        Err(fault) => {
            let error = StoreError::from(fault);
            tracing::warn!(%error, "admissions without holds were not ended; they end by their time");
            Vec::new()
        }
    }
}

/// The place where the user stands, if there is one.
pub(super) async fn standing(
    attempts: &mut Attempts<'_>,
    user: UserId,
) -> Result<Option<Place>, StoreError> {
    let rows = attempts.rows(STANDING, &[&user.0]).await?;
    Ok(rows.first().map(|row| unsigned(row.get(0))))
}

/// Whether the place ended by a payment or by a new registration, or never was.
pub(super) async fn has_ended(
    attempts: &mut Attempts<'_>,
    place: Place,
) -> Result<bool, StoreError> {
    Ok(attempts.rows(LIVES, &[&signed(place)]).await?.is_empty())
}

/// The place given under `key` while it lives; another request's answer is a mismatch.
pub(super) async fn ticket(
    attempts: &mut Attempts<'_>,
    user: UserId,
    key: &Idempotency,
) -> Result<Option<Keyed<Ticket>>, StoreError> {
    let found = idempotency::find(attempts, user, key).await?;
    let lives = match &found {
        Some(Keyed::Replayed(ticket)) => !has_ended(attempts, Ticket::place(*ticket)).await?,
        _ => true,
    };
    Ok(found.filter(|_| lives))
}

/// Everything about the queue as of one moment.
pub(super) async fn snapshot(pool: &Pool) -> Result<QueueSnapshot, Fault> {
    let mut lease = pool.lend().await?;
    snapshot::begin(&mut lease).await?;
    let places = places(&lease).await?;
    let admissions = lease
        .rows("SELECT mark, at FROM admissions ORDER BY mark", &[])
        .await?
        .iter()
        .map(|row| (unsigned(row.get(0)), Timestamp(row.get(1))))
        .collect();
    let settings = lease
        .rows("SELECT value FROM meta WHERE key = 'admission'", &[])
        .await?;
    snapshot::end(&mut lease).await?;
    let admission = match settings.first() {
        Some(row) => Some(serde_json::from_str(row.get(0)).map_err(|error| {
            Fault::Final(StoreError::Damaged(format!(
                "the admission settings cannot be read: {error}"
            )))
        })?),
        None => None,
    };
    Ok(QueueSnapshot {
        places,
        admissions,
        admission,
    })
}

/// Row by row: a million places do not stand in memory twice.
async fn places(lease: &Lease<'_>) -> Result<Vec<(Place, UserId, bool)>, Fault> {
    let failed = |error| fault::of_statement(&error, snapshot::LONG);
    let none: [i64; 0] = [];
    let rows = lease
        .client()
        .query_raw(PLACES, none)
        .await
        .map_err(failed)?;
    rows.map_ok(|row| (unsigned(row.get(0)), UserId(row.get(1)), row.get(2)))
        .try_collect()
        .await
        .map_err(failed)
}
