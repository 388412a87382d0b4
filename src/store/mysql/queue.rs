//! Admissions, the admission settings, and the durable state of the queue.

use super::columns::{int, text};
use super::registering::{self, Wanted};
use super::snapshot::Snapshot;
use super::{MySqlStore, registering::json};
use super::{Pool, Retry};
use crate::domain::queue::Admission;
use crate::domain::{Place, Timestamp, UserId, statement};
use crate::store::fault::Fault;
use crate::store::keyed::{self};
use crate::store::values::Value;
use crate::store::{
    Idempotency, Keyed, NewPlace, NextPlace, QueueSnapshot, RegisterOutcome, StoreError, Ticket,
};

impl MySqlStore {
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
        standing(&mut self.read(statement::QUEUE_READ), user).await
    }

    pub(in crate::store) async fn has_ended(&self, place: Place) -> Result<bool, StoreError> {
        has_ended(&mut self.read(statement::QUEUE_READ), place).await
    }
}

const ADMIT: &str =
    "INSERT INTO admissions (mark, at) VALUES (?, ?) ON DUPLICATE KEY UPDATE at = admissions.at";

const SAVE_ADMISSION: &str = "INSERT INTO meta (`key`, value) VALUES ('admission', ?)
    ON DUPLICATE KEY UPDATE value = VALUES(value)";

const END_SPENT: &str = "CALL end_spent(?, ?)";

const STANDING: &str = "SELECT place FROM queue_places WHERE live_user = ?";

const LIVES: &str = "SELECT 1 FROM queue_places WHERE place = ? AND ended_at IS NULL";

const PLACES: &str = "SELECT place, user_id, ended_at IS NOT NULL FROM queue_places ORDER BY place";

const ADMISSIONS: &str = "SELECT mark, at FROM admissions ORDER BY mark";

const ADMISSION: &str = "SELECT value FROM meta WHERE `key` = 'admission'";

/// The columns of places are signed. Places count from 1 and never reach the limit.
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

/// Ends those of `places` that are spent, and returns them. This follows from what was decided before, so a failure is
/// logged only: the admission then ends by its time.
pub(super) async fn end_spent(
    retry: &mut Retry<'_>,
    places: Vec<i64>,
    now: Timestamp,
) -> Vec<Place> {
    if places.is_empty() {
        return Vec::new();
    }
    let ended = async {
        let places = json(&places)?;
        let params: [Value<'_>; 2] = [places.as_str().into(), now.0.into()];
        let reply = retry.run(END_SPENT, &params).await?;
        let place = |row| int(row, 0).map(unsigned);
        reply.rows.iter().map(place).collect::<Result<Vec<_>, _>>()
    };
    match ended.await {
        Ok(ended) => ended,
        Err(fault) => {
            let error = StoreError::from(fault);
            tracing::warn!(%error, "admissions without holds were not ended; they end by their time");
            Vec::new()
        }
    }
}

pub(super) async fn standing(
    retry: &mut Retry<'_>,
    user: UserId,
) -> Result<Option<Place>, StoreError> {
    let reply = retry.run(STANDING, &[user.0.into()]).await?;
    let row = reply.rows.first();
    Ok(row.map(|row| int(row, 0).map(unsigned)).transpose()?)
}

pub(super) async fn has_ended(retry: &mut Retry<'_>, place: Place) -> Result<bool, StoreError> {
    let reply = retry.run(LIVES, &[signed(place).into()]).await?;
    Ok(reply.rows.is_empty())
}

/// The live place that was given under `key`. The answer to another request is a mismatch.
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
    let mut snapshot = Snapshot::begin(pool).await?;
    let place = |row: &_| {
        Ok((
            unsigned(int(row, 0)?),
            UserId(int(row, 1)?),
            int(row, 2)? == 1,
        ))
    };
    let places = snapshot.each(PLACES, place).await?;
    let admission = |row: &_| Ok((unsigned(int(row, 0)?), Timestamp(int(row, 1)?)));
    let admissions = snapshot.each(ADMISSIONS, admission).await?;
    let settings = snapshot.rows(ADMISSION, &[]).await?;
    let admission = match settings.first() {
        Some(row) => Some(serde_json::from_str(text(row, 0)?).map_err(|error| {
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
