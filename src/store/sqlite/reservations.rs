//! Taking and freeing seats.

use rusqlite::{ErrorCode, OptionalExtension as _, params};

use super::queue;
use super::writer::Tx;
use crate::domain::reservation::TransitionError;
use crate::domain::{
    PerformanceDateId, ReservationId, ReservationStatus, SeatId, Timestamp, UserId,
};
use crate::store::{CancelOutcome, Reserve, ReserveOutcome, StoreError};

/// With the version it was seen at; without one, whatever it is now.
const TAKE_SEAT: &str = "UPDATE seats SET status = 1, version = version + 1
     WHERE id = ?1 AND version = coalesce(?2, version) AND status = 0
     RETURNING performance_date_id, price";

const INSERT: &str =
    "INSERT INTO reservations (seat_id, user_id, price, status, created_at, expires_at)
     VALUES (?1, ?2, ?3, 0, ?4, ?5)";

/// Puts a seat's row back in agreement with the live reservation that holds it.
const FOLLOW_RESERVATION: &str = "UPDATE seats SET status =
     (SELECT status + 1 FROM reservations WHERE seat_id = ?1 AND status IN (0, 1)) WHERE id = ?1";

const FREE_SEAT: &str = "UPDATE seats SET status = 0, version = version + 1
     WHERE id = ?1 AND status = 1 RETURNING performance_date_id";

pub(super) fn reserve(tx: &mut Tx<'_>, wish: &Reserve) -> Result<ReserveOutcome, StoreError> {
    if queue::has_ended(tx, wish.place)? {
        return Ok(ReserveOutcome::PlaceEnded);
    }
    let live: u32 = tx
        .conn
        .prepare_cached(
            "SELECT count(*) FROM reservations WHERE user_id = ?1 AND status IN (0, 1)",
        )?
        .query_row([wish.user.0], |row| row.get(0))?;
    if live >= wish.limit {
        return Ok(ReserveOutcome::LimitReached);
    }
    // The version makes the loser of a race visible: its row count is zero.
    let taken: Option<(i64, i64)> = tx
        .conn
        .prepare_cached(TAKE_SEAT)?
        .query_row(params![wish.seat.0, wish.seen_version], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((date, price)) = taken else {
        return Ok(match wish.seen_version {
            Some(_) => ReserveOutcome::Conflict,
            None => ReserveOutcome::Taken,
        });
    };
    let inserted = tx.conn.prepare_cached(INSERT)?.execute(params![
        wish.seat.0,
        wish.user.0,
        price,
        wish.now.0,
        wish.expires_at.0
    ]);
    match inserted {
        Ok(_) => {
            tx.touch(PerformanceDateId(date));
            Ok(ReserveOutcome::Reserved {
                id: ReservationId(tx.conn.last_insert_rowid()),
                expires_at: wish.expires_at,
            })
        }
        // The unique index: another live reservation holds the seat, whatever its row says.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            tx.conn
                .prepare_cached(FOLLOW_RESERVATION)?
                .execute([wish.seat.0])?;
            Ok(ReserveOutcome::Conflict)
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn cancel(
    tx: &mut Tx<'_>,
    id: ReservationId,
    user: UserId,
    now: Timestamp,
) -> Result<CancelOutcome, StoreError> {
    let Some(found) = find(tx, id)? else {
        return Ok(CancelOutcome::Unknown);
    };
    if found.user != user {
        return Ok(CancelOutcome::Foreign);
    }
    if found.status == ReservationStatus::Pending && now >= found.expires_at {
        return Ok(CancelOutcome::Unknown);
    }
    match found.status.cancel() {
        Ok(status) => {
            release(tx, id, found.seat, status)?;
            Ok(CancelOutcome::Cancelled)
        }
        Err(TransitionError::AlreadyPaid) => Ok(CancelOutcome::AlreadyPaid),
        Err(TransitionError::Expired) => Ok(CancelOutcome::Unknown),
    }
}

pub(super) fn expire(tx: &mut Tx<'_>, now: Timestamp, most: u32) -> Result<u64, StoreError> {
    let due: Vec<(i64, i64)> = tx
        .conn
        .prepare_cached(
            "SELECT id, seat_id FROM reservations WHERE status = 0 AND expires_at <= ?1 LIMIT ?2",
        )?
        .query_map(params![now.0, most], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (id, seat) in &due {
        release(
            tx,
            ReservationId(*id),
            SeatId(*seat),
            ReservationStatus::Expired,
        )?;
    }
    Ok(due.len() as u64)
}

fn release(
    tx: &mut Tx<'_>,
    id: ReservationId,
    seat: SeatId,
    to: ReservationStatus,
) -> Result<(), StoreError> {
    set_status(tx, id, to)?;
    let date: Option<i64> = tx
        .conn
        .prepare_cached(FREE_SEAT)?
        .query_row([seat.0], |row| row.get(0))
        .optional()?;
    if let Some(date) = date {
        tx.touch(PerformanceDateId(date));
    }
    Ok(())
}

/// A reservation as it stands.
pub(super) struct Found {
    pub(super) seat: SeatId,
    pub(super) user: UserId,
    pub(super) price: i64,
    pub(super) status: ReservationStatus,
    pub(super) expires_at: Timestamp,
}

pub(super) fn find(tx: &Tx<'_>, id: ReservationId) -> Result<Option<Found>, StoreError> {
    Ok(tx
        .conn
        .prepare_cached(
            "SELECT seat_id, user_id, price, status, expires_at FROM reservations WHERE id = ?1",
        )?
        .query_row([id.0], |row| {
            let code = row.get(3)?;
            Ok(Found {
                seat: SeatId(row.get(0)?),
                user: UserId(row.get(1)?),
                price: row.get(2)?,
                status: ReservationStatus::from_code(code)
                    .ok_or(rusqlite::Error::IntegralValueOutOfRange(3, code))?,
                expires_at: Timestamp(row.get(4)?),
            })
        })
        .optional()?)
}

pub(super) fn set_status(
    tx: &Tx<'_>,
    id: ReservationId,
    to: ReservationStatus,
) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached("UPDATE reservations SET status = ?2 WHERE id = ?1")?
        .execute(params![id.0, to.code()])?;
    Ok(())
}
