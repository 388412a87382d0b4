//! Places and admissions.

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use super::writer::Tx;
use crate::domain::queue::Admission;
use crate::domain::{Place, Timestamp, UserId};
use crate::store::{NextPlace, QueueSnapshot, RegisterOutcome, StoreError};

/// SQLite integers are signed; places count from 1 and never get there.
fn signed(place: Place) -> i64 {
    i64::try_from(place.0).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> Place {
    Place(u64::try_from(value).unwrap_or(0))
}

pub(super) fn register(
    tx: &mut Tx<'_>,
    place: Place,
    user: UserId,
    now: Timestamp,
    replaces: Option<Place>,
) -> Result<RegisterOutcome, StoreError> {
    if let Some(old) = replaces {
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
    // A place whose registration nobody was told of, because its answer came too late: the user came
    // again, and stands at the end.
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
) -> Result<NextPlace, StoreError> {
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
    Ok(NextPlace::New(place))
}

/// Where the user stands, and whether that place was handed out from here.
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

/// Whether the place was used up, or left behind by a new registration.
pub(super) fn has_ended(tx: &Tx<'_>, place: Place) -> Result<bool, StoreError> {
    let ended = tx
        .conn
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

/// Ends a place: used up by a payment, or left behind by a new registration.
pub(super) fn end(tx: &mut Tx<'_>, place: Place, now: Timestamp) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached(
            "UPDATE queue_places SET ended_at = ?2 WHERE place = ?1 AND ended_at IS NULL",
        )?
        .execute(params![signed(place), now.0])?;
    Ok(())
}

pub(super) fn admit(tx: &mut Tx<'_>, mark: Place, at: Timestamp) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached("INSERT OR IGNORE INTO admissions (mark, at) VALUES (?1, ?2)")?
        .execute(params![signed(mark), at.0])?;
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
