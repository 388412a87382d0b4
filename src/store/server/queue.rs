//! Admissions, the admission settings, and the durable state of the queue.

use super::registering::{self, Wanted};
use super::{Dialect, ServerStore, Session};
use crate::domain::queue::Admission;
use crate::domain::{Place, Timestamp, UserId, statement};
use crate::store::fault::Fault;
use crate::store::keyed;
use crate::store::retry::Retry;
use crate::store::{
    Idempotency, Keyed, NewPlace, NextPlace, QueueSnapshot, RegisterOutcome, StoreError, Ticket,
};

const PLACES: &str = "SELECT place, user_id, ended_at FROM queue_places ORDER BY place";

const ADMISSIONS: &str = "SELECT mark, at FROM admissions ORDER BY mark";

/// The key of the admission settings in `meta`.
const ADMISSION: &str = "admission";

impl<D: Dialect> ServerStore<D> {
    pub(in crate::store) async fn queue_snapshot(&self) -> Result<QueueSnapshot, StoreError> {
        self.snapshot(statement::QUEUE_RESTORE, snapshot::<D>).await
    }

    pub(in crate::store) async fn admit(
        &self,
        watermark: Place,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let params = [signed(watermark).into(), at.0.into()];
        let mut retry = self.safe(statement::QUEUE_ADMIT);
        retry.run(D::SQL.admit, &params).await?;
        Ok(())
    }

    pub(in crate::store) async fn save_admission(
        &self,
        admission: Admission,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(&admission)
            .map_err(|error| StoreError::Unavailable(format!("admission settings: {error}")))?;
        let params = [ADMISSION.into(), text.as_str().into()];
        let mut retry = self.safe(statement::QUEUE_SAVE_ADMISSION);
        retry.run(D::SQL.set_meta, &params).await?;
        Ok(())
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
        let reply = retry.run(D::SQL.standing, &[user.0.into()]).await?;
        let row = reply.rows.first();
        Ok(row.map(|row| D::int(row, 0).map(unsigned)).transpose()?)
    }

    pub(in crate::store) async fn has_ended(&self, place: Place) -> Result<bool, StoreError> {
        has_ended(&mut self.read(statement::QUEUE_READ), place).await
    }
}

/// A place as a signed column value. Places count from 1 and never exceed the signed range.
pub(super) fn signed(place: Place) -> i64 {
    i64::try_from(place.0).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(value: i64) -> Place {
    Place(u64::try_from(value).unwrap_or(0))
}

/// Ends the live places of the users of `places`, if they are spent, and returns those that ended. A failure is
/// only logged, because the place then ends when its admission time is over.
pub(super) async fn end_spent<D: Dialect>(
    retry: &mut Retry<'_, D>,
    places: Vec<i64>,
    now: Timestamp,
) -> Vec<Place> {
    if places.is_empty() {
        return Vec::new();
    }
    let params = [places.as_slice().into(), now.0.into()];
    let place = |row| D::int(row, 0).map(unsigned);
    let ended = match retry.run(D::SQL.end_spent, &params).await {
        Ok(reply) => reply.rows.iter().map(place).collect(),
        Err(fault) => Err(fault),
    };
    ended.unwrap_or_else(|fault: Fault| {
        let error = StoreError::from(fault);
        tracing::warn!(%error, "admissions without holds were not ended; they end by their time");
        Vec::new()
    })
}

/// Returns whether the place ended by a payment or by a new registration, or never existed.
async fn has_ended<D: Dialect>(retry: &mut Retry<'_, D>, place: Place) -> Result<bool, StoreError> {
    let reply = retry.run(D::SQL.lives, &[signed(place).into()]).await?;
    Ok(reply.rows.is_empty())
}

/// The live place that was given under `key`, or a mismatch if the key belongs to another request.
pub(super) async fn ticket<D: Dialect>(
    retry: &mut Retry<'_, D>,
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

/// Reads the queue from one snapshot.
async fn snapshot<D: Dialect>(mut session: Session<D>) -> Result<QueueSnapshot, Fault> {
    let place = |row: &D::Row| {
        let (place, user) = (unsigned(D::int(row, 0)?), UserId(D::int(row, 1)?));
        Ok((place, user, D::opt(row, 2)?.is_some()))
    };
    let places = session.each(PLACES, place).await?;
    let admission = |row: &D::Row| Ok((unsigned(D::int(row, 0)?), Timestamp(D::int(row, 1)?)));
    let admissions = session.each(ADMISSIONS, admission).await?;
    let parsed = |row: &D::Row| {
        serde_json::from_str(D::text(row, 0)?).map_err(|error| {
            Fault::damaged(format!("the admission settings cannot be read: {error}"))
        })
    };
    let settings = session.row(D::SQL.meta, &[ADMISSION.into()]).await?;
    Ok(QueueSnapshot {
        places,
        admissions,
        admission: settings.as_ref().map(parsed).transpose()?,
    })
}
