//! Taking and freeing seats.

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use super::queue;
use super::writer::Tx;
use crate::domain::reservation::TransitionError;
use crate::domain::{
    Money, PerformanceDateId, Place, ReservationId, ReservationStatus, SeatId, Timestamp, UserId,
};
use crate::store::{CancelOutcome, ReservationRow, Reserve, ReserveOutcome, StoreError};

/// Takes the seat in the version that was read. Without a version, takes it in any version.
const TAKE_SEAT: &str = "UPDATE seats SET status = 1, version = version + 1
     WHERE id = ?1 AND version = coalesce(?2, version) AND status = 0
     RETURNING performance_date_id, price";

const INSERT: &str =
    "INSERT INTO reservations (seat_id, user_id, price, status, created_at, expires_at, place)
     VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6)";

/// Sets a seat's row to agree with the live reservation that holds it.
const FOLLOW_RESERVATION: &str = "UPDATE seats SET status =
     (SELECT status + 1 FROM reservations WHERE seat_id = ?1 AND status IN (0, 1)) WHERE id = ?1";

const FREE_SEAT: &str = "UPDATE seats SET status = 0, version = version + 1
     WHERE id = ?1 AND status = 1 RETURNING performance_date_id";

/// A hold keeps its seat and counts against the limit until it expires, even before the sweep removes it.
const LIVE: &str = "SELECT count(*) FROM reservations
     WHERE user_id = ?1 AND (status = 1 OR (status = 0 AND expires_at > ?2))";

/// The expired hold of a seat that has not changed since it was read.
const RUN_OUT: &str = "SELECT r.id, r.seat_id, r.user_id FROM reservations r JOIN seats s ON s.id = r.seat_id
     WHERE r.seat_id = ?1 AND r.status = 0 AND r.expires_at <= ?2 AND s.version = coalesce(?3, s.version)";

/// Tries to take the seat for its user, after it frees the seat from an expired hold. Returns also the places whose
/// admission ended with that hold.
pub(super) fn reserve(
    tx: &mut Tx<'_>,
    wish: &Reserve,
    ended: &mut Vec<Place>,
) -> Result<ReserveOutcome, StoreError> {
    if queue::has_ended(tx.conn, wish.place)? {
        return Ok(ReserveOutcome::PlaceEnded);
    }
    let live: u32 = tx
        .conn
        .prepare_cached(LIVE)?
        .query_row([wish.user.0, wish.now.0], |row| row.get(0))?;
    if live >= wish.limit {
        return Ok(ReserveOutcome::LimitReached);
    }
    let mut taken = take_seat(tx, wish.seat, wish.seen_version)?;
    if taken.is_none() {
        let run_out = params![wish.seat.0, wish.now.0, wish.seen_version];
        let freed = end_holds(tx, RUN_OUT, run_out, wish.now)?;
        if freed.0 > 0 {
            ended.extend(freed.1);
            taken = take_seat(tx, wish.seat, None)?;
        }
    }
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
        wish.expires_at.0,
        queue::signed(wish.place)
    ]);
    match inserted {
        Ok(_) => {
            tx.touch(PerformanceDateId(date));
            Ok(ReserveOutcome::Reserved {
                id: ReservationId(tx.conn.last_insert_rowid()),
                expires_at: wish.expires_at,
            })
        }
        // The unique index refuses the row: another live reservation holds the seat, although the seat's row says
        // otherwise.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            tx.conn
                .prepare_cached(FOLLOW_RESERVATION)?
                .execute([wish.seat.0])?;
            Ok(ReserveOutcome::Conflict)
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the seat's date and price if the seat was free. The statement compares the version, so the loser of a race
/// updates no row.
fn take_seat(
    tx: &Tx<'_>,
    seat: SeatId,
    version: Option<i64>,
) -> Result<Option<(i64, i64)>, StoreError> {
    Ok(tx
        .conn
        .prepare_cached(TAKE_SEAT)?
        .query_row(params![seat.0, version], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?)
}

pub(super) fn cancel(
    tx: &mut Tx<'_>,
    id: ReservationId,
    user: UserId,
    now: Timestamp,
    ended: &mut Vec<Place>,
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
            ended.extend(queue::end_if_spent(tx, user, now)?);
            Ok(CancelOutcome::Cancelled)
        }
        Err(TransitionError::AlreadyPaid) => Ok(CancelOutcome::AlreadyPaid),
        Err(TransitionError::Expired) => Ok(CancelOutcome::Unknown),
    }
}

/// Columns: id, seat, user.
const DUE: &str =
    "SELECT id, seat_id, user_id FROM reservations WHERE status = 0 AND expires_at <= ?1 LIMIT ?2";

/// Ends expired holds. Returns their number and the places whose admission ended with them.
pub(super) fn expire(
    tx: &mut Tx<'_>,
    now: Timestamp,
    most: u32,
) -> Result<(u64, Vec<Place>), StoreError> {
    end_holds(tx, DUE, params![now.0, most], now)
}

/// Ends the holds that `select` finds. Returns their number and the places whose admission ended with them.
fn end_holds(
    tx: &mut Tx<'_>,
    select: &str,
    params: impl rusqlite::Params,
    now: Timestamp,
) -> Result<(u64, Vec<Place>), StoreError> {
    let due: Vec<(i64, i64, i64)> = tx
        .conn
        .prepare_cached(select)?
        .query_map(params, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (id, seat, _) in &due {
        let to = ReservationStatus::Expired;
        release(tx, ReservationId(*id), SeatId(*seat), to)?;
    }
    let mut ended = Vec::new();
    for (.., user) in &due {
        ended.extend(queue::end_if_spent(tx, UserId(*user), now)?);
    }
    Ok((due.len() as u64, ended))
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

/// A reservation in its current state.
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

/// At most `most` reservations of `user` with ids above `after`, by id.
pub(super) fn of_user(
    conn: &Connection,
    user: UserId,
    after: ReservationId,
    most: u32,
) -> Result<Vec<ReservationRow>, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT id, seat_id, price, status, expires_at FROM reservations
             WHERE user_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        )?
        .query_map(params![user.0, after.0, most], |row| {
            let code = row.get(3)?;
            Ok(ReservationRow {
                id: ReservationId(row.get(0)?),
                seat: SeatId(row.get(1)?),
                price: Money(row.get(2)?),
                status: ReservationStatus::from_code(code)
                    .ok_or(rusqlite::Error::IntegralValueOutOfRange(3, code))?,
                expires_at: Timestamp(row.get(4)?),
            })
        })?
        .collect::<Result<_, _>>()?)
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
