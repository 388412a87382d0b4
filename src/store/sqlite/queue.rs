//! Places and admissions.

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use super::SqliteStore;
use super::idempotency;
use super::writer::Tx;
use crate::domain::queue::Admission;
use crate::domain::{Place, Timestamp, UserId, statement};
use crate::store::{
    Idempotency, Keyed, NewPlace, NextPlace, QueueSnapshot, RegisterOutcome, StoreError, Ticket,
};

impl SqliteStore {
    /// The queue in the state in which the last process left it.
    pub async fn queue_snapshot(&self) -> Result<QueueSnapshot, StoreError> {
        self.readers
            .run_unbounded(statement::QUEUE_RESTORE, snapshot)
            .await
    }

    /// See `Store::register`.
    ///
    /// # Errors
    /// [`StoreError`]. The place must not be used then.
    pub async fn register(&self, new: NewPlace) -> Result<RegisterOutcome, StoreError> {
        let is_keyed = new.key.is_some();
        let register = move |tx: &mut Tx<'_>| register(tx, &new);
        match is_keyed {
            true => {
                self.writer
                    .run_atomic(statement::QUEUE_REGISTER, register)
                    .await
            }
            false => self.writer.run(statement::QUEUE_REGISTER, register).await,
        }
    }

    /// The live place that was given under `key`.
    pub async fn ticket(
        &self,
        user: UserId,
        key: Idempotency,
    ) -> Result<Option<Keyed<Ticket>>, StoreError> {
        self.readers
            .run(statement::IDEMPOTENCY_READ, move |conn| {
                ticket(conn, user, &key)
            })
            .await
    }

    /// The place that `user` holds in the database.
    pub async fn standing(&self, user: UserId) -> Result<Option<Place>, StoreError> {
        self.readers
            .run(statement::QUEUE_READ, move |conn| standing(conn, user))
            .await
    }

    /// Returns whether the admission of `place` ended early, or the place never existed.
    pub async fn has_ended(&self, place: Place) -> Result<bool, StoreError> {
        self.readers
            .run(statement::QUEUE_READ, move |conn| has_ended(conn, place))
            .await
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
        self.writer
            .run_atomic(statement::QUEUE_REGISTER_NEXT, move |tx| {
                register_next(tx, user, now, above, expired_up_to, key.as_ref())
            })
            .await
    }

    /// Makes an admission durable: all places up to `watermark` are admitted from `at` on.
    ///
    /// # Errors
    /// [`StoreError`]. No user was admitted then.
    pub async fn admit(&self, watermark: Place, at: Timestamp) -> Result<(), StoreError> {
        self.writer
            .run(statement::QUEUE_ADMIT, move |tx| admit(tx, watermark, at))
            .await
    }

    /// Stores the admission settings.
    pub async fn save_admission(&self, admission: Admission) -> Result<(), StoreError> {
        self.writer
            .run(statement::QUEUE_SAVE_ADMISSION, move |tx| {
                save_admission(tx, &admission)
            })
            .await
    }
}

/// SQLite integers are signed. Places count from 1 and never exceed the signed range.
pub(super) fn signed(place: Place) -> i64 {
    i64::try_from(place.0).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(value: i64) -> Place {
    Place(u64::try_from(value).unwrap_or(0))
}

/// The live place that was given under `key`. An answer to another request under this key is a mismatch.
pub(super) fn ticket(
    conn: &Connection,
    user: UserId,
    key: &Idempotency,
) -> Result<Option<Keyed<Ticket>>, StoreError> {
    let found = idempotency::find(conn, user, key)?;
    let lives = match &found {
        Some(Keyed::Replayed(ticket)) => !has_ended(conn, Ticket::place(*ticket))?,
        _ => true,
    };
    Ok(found.filter(|_| lives))
}

pub(super) fn register(tx: &mut Tx<'_>, new: &NewPlace) -> Result<RegisterOutcome, StoreError> {
    let Some(key) = &new.key else {
        return insert_or_look(tx, new);
    };
    let has_run_out = |place: Place| place <= new.expired_up_to || Some(place) == new.replaces;
    match ticket(tx.conn, new.user, key)? {
        Some(Keyed::Mismatch) => return Ok(RegisterOutcome::Mismatch),
        Some(Keyed::Replayed(ticket) | Keyed::Fresh(ticket)) if !has_run_out(ticket.place()) => {
            return Ok(RegisterOutcome::Replayed(ticket));
        }
        _ => {}
    }
    let outcome = insert_or_look(tx, new)?;
    if outcome == RegisterOutcome::Kept {
        store_ticket(tx, new.user, key, new.place, new.now)?;
    }
    Ok(outcome)
}

fn store_ticket(
    tx: &Tx<'_>,
    user: UserId,
    key: &Idempotency,
    place: Place,
    issued_at: Timestamp,
) -> Result<(), StoreError> {
    let ticket = Ticket::Registered { place, issued_at };
    idempotency::store(tx, user, key, &ticket, issued_at)
}

fn insert_or_look(tx: &mut Tx<'_>, new: &NewPlace) -> Result<RegisterOutcome, StoreError> {
    let (place, user, now) = (new.place, new.user, new.now);
    if let Some(old) = new.replaces {
        end(tx, old, now)?;
    }
    match insert(tx, place, user, now) {
        Ok(()) => return Ok(RegisterOutcome::Kept),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {}
        Err(error) => return Err(error.into()),
    }
    if exists(tx, place)? {
        return Ok(RegisterOutcome::NumberTaken(last_place(tx)?));
    }
    if let Some((standing, true)) = live(tx, user)? {
        return Ok(RegisterOutcome::Standing(standing));
    }
    // The answer to the earlier registration was lost, so the user registers again at the end of the queue.
    tx.conn
        .prepare_cached(
            "UPDATE queue_places SET ended_at = ?2 WHERE user_id = ?1 AND ended_at IS NULL",
        )?
        .execute(params![user.0, now.0])?;
    insert(tx, place, user, now)?;
    Ok(RegisterOutcome::Kept)
}

pub(super) fn register_next(
    tx: &mut Tx<'_>,
    user: UserId,
    now: Timestamp,
    above: Place,
    expired_up_to: Place,
    key: Option<&Idempotency>,
) -> Result<NextPlace, StoreError> {
    if let Some(key) = key {
        match ticket(tx.conn, user, key)? {
            Some(Keyed::Mismatch) => return Ok(NextPlace::Mismatch),
            Some(Keyed::Replayed(ticket) | Keyed::Fresh(ticket))
                if ticket.place() > expired_up_to =>
            {
                return Ok(NextPlace::Replayed(ticket));
            }
            _ => {}
        }
    }
    match live(tx, user)? {
        Some((place, _)) if place > expired_up_to => return Ok(NextPlace::Already(place)),
        Some((expired, _)) => end(tx, expired, now)?,
        None => {}
    }
    let place = Place(last_place(tx)?.max(above).0 + 1);
    insert(tx, place, user, now)?;
    tx.conn
        .prepare_cached("UPDATE queue_places SET handed_out = 1 WHERE place = ?1")?
        .execute([signed(place)])?;
    if let Some(key) = key {
        store_ticket(tx, user, key, place, now)?;
    }
    Ok(NextPlace::New(place))
}

/// The live place of the user, if there is one.
pub(super) fn standing(conn: &Connection, user: UserId) -> Result<Option<Place>, StoreError> {
    Ok(conn
        .prepare_cached("SELECT place FROM queue_places WHERE user_id = ?1 AND ended_at IS NULL")?
        .query_row([user.0], |row| row.get(0).map(unsigned))
        .optional()?)
}

/// The live place of the user, and whether the store gave it out.
fn live(tx: &Tx<'_>, user: UserId) -> Result<Option<(Place, bool)>, StoreError> {
    Ok(tx
        .conn
        .prepare_cached(
            "SELECT place, handed_out FROM queue_places WHERE user_id = ?1 AND ended_at IS NULL",
        )?
        .query_row([user.0], |row| Ok((unsigned(row.get(0)?), row.get(1)?)))
        .optional()?)
}

fn exists(tx: &Tx<'_>, place: Place) -> Result<bool, StoreError> {
    Ok(tx
        .conn
        .prepare_cached("SELECT 1 FROM queue_places WHERE place = ?1")?
        .exists([signed(place)])?)
}

fn last_place(tx: &Tx<'_>) -> Result<Place, StoreError> {
    Ok(tx
        .conn
        .prepare_cached("SELECT coalesce(max(place), 0) FROM queue_places")?
        .query_row([], |row| row.get(0).map(unsigned))?)
}

/// Returns whether the admission of the place ended with a payment or a new registration, or the place never existed.
pub(super) fn has_ended(conn: &Connection, place: Place) -> Result<bool, StoreError> {
    let ended = conn
        .prepare_cached("SELECT ended_at IS NOT NULL FROM queue_places WHERE place = ?1")?
        .query_row([signed(place)], |row| row.get(0))
        .optional()?;
    Ok(ended.unwrap_or(true))
}

fn insert(tx: &Tx<'_>, place: Place, user: UserId, now: Timestamp) -> rusqlite::Result<()> {
    tx.conn
        .prepare_cached("INSERT INTO queue_places (place, user_id, issued_at) VALUES (?1, ?2, ?3)")?
        .execute(params![signed(place), user.0, now.0])
        .map(drop)
}

/// Ends the live place of a user by which something was paid, if the user holds nothing that can still be paid, by
/// whichever place.
const END_IF_SPENT: &str = "UPDATE queue_places SET ended_at = ?2
     WHERE user_id = ?1 AND ended_at IS NULL
       AND EXISTS (SELECT 1 FROM reservations r
                   WHERE r.user_id = ?1 AND r.place = queue_places.place AND r.status = 1)
       AND NOT EXISTS (SELECT 1 FROM reservations r
                       WHERE r.user_id = ?1 AND r.status = 0 AND r.expires_at > ?2)
     RETURNING place";

/// Ends the admission of `user` if it has a payment, and the user has no hold that can still be paid. Returns the place
/// that ended.
pub(super) fn end_if_spent(
    tx: &Tx<'_>,
    user: UserId,
    now: Timestamp,
) -> Result<Option<Place>, StoreError> {
    Ok(tx
        .conn
        .prepare_cached(END_IF_SPENT)?
        .query_row(params![user.0, now.0], |row| row.get(0).map(unsigned))
        .optional()?)
}

/// Ends the admission of a place that a new registration replaces.
fn end(tx: &mut Tx<'_>, place: Place, now: Timestamp) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached(
            "UPDATE queue_places SET ended_at = ?2 WHERE place = ?1 AND ended_at IS NULL",
        )?
        .execute(params![signed(place), now.0])?;
    Ok(())
}

pub(super) fn admit(tx: &mut Tx<'_>, watermark: Place, at: Timestamp) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached("INSERT OR IGNORE INTO admissions (mark, at) VALUES (?1, ?2)")?
        .execute(params![signed(watermark), at.0])?;
    Ok(())
}

pub(super) fn save_admission(tx: &mut Tx<'_>, admission: &Admission) -> Result<(), StoreError> {
    let text = serde_json::to_string(admission)
        .map_err(|error| StoreError::Unavailable(format!("admission settings: {error}")))?;
    tx.conn
        .prepare_cached(
            "INSERT INTO meta (key, value) VALUES ('admission', ?1)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )?
        .execute([text])?;
    Ok(())
}

pub(super) fn snapshot(conn: &Connection) -> Result<QueueSnapshot, StoreError> {
    let places = conn
        .prepare("SELECT place, user_id, ended_at IS NOT NULL FROM queue_places ORDER BY place")?
        .query_map([], |row| {
            Ok((unsigned(row.get(0)?), UserId(row.get(1)?), row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    let admissions = conn
        .prepare("SELECT mark, at FROM admissions ORDER BY mark")?
        .query_map([], |row| {
            Ok((unsigned(row.get(0)?), Timestamp(row.get(1)?)))
        })?
        .collect::<Result<_, _>>()?;
    let text: Option<String> = conn
        .query_row(
            "SELECT value FROM meta WHERE key = 'admission'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    let admission = match text {
        Some(text) => Some(serde_json::from_str(&text).map_err(|error| {
            StoreError::Damaged(format!("the admission settings cannot be read: {error}"))
        })?),
        None => None,
    };
    Ok(QueueSnapshot {
        places,
        admissions,
        admission,
    })
}
