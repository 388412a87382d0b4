//! Balances, charges and payments.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::queue;
use super::reservations::{find, set_status};
use super::writer::Tx;
use crate::domain::reservation::TransitionError;
use crate::domain::{Money, PerformanceDateId, ReservationStatus, Timestamp, UserId};
use crate::store::{ChargeOutcome, Pay, PayOutcome, StoreError};

const SET_BALANCE: &str =
    "UPDATE users SET balance = ?2, version = version + 1, modified_at = ?3 WHERE id = ?1";
const ENTER: &str =
    "INSERT INTO ledger (user_id, kind, amount, reservation_id, at) VALUES (?1, ?2, ?3, ?4, ?5)";
const SELL_SEAT: &str = "UPDATE seats SET status = 2, version = version + 1
     WHERE id = ?1 AND status = 1 RETURNING performance_date_id";

pub(super) fn balance(conn: &Connection, user: UserId) -> Result<Option<Money>, StoreError> {
    Ok(conn
        .prepare_cached("SELECT balance FROM users WHERE id = ?1")?
        .query_row([user.0], |row| row.get(0).map(Money))
        .optional()?)
}

pub(super) fn charge(
    tx: &mut Tx<'_>,
    user: UserId,
    amount: Money,
    now: Timestamp,
) -> Result<ChargeOutcome, StoreError> {
    let Some(before) = balance(tx.conn, user)? else {
        return Ok(ChargeOutcome::UnknownUser);
    };
    let Ok(after) = before.charged(amount) else {
        return Ok(ChargeOutcome::Overflow);
    };
    tx.conn
        .prepare_cached(SET_BALANCE)?
        .execute(params![user.0, after.0, now.0])?;
    tx.conn
        .prepare_cached(ENTER)?
        .execute(params![user.0, 0, amount.0, None::<i64>, now.0])?;
    Ok(ChargeOutcome::Charged {
        balance: after,
        at: now,
    })
}

pub(super) fn pay(tx: &mut Tx<'_>, pay: &Pay) -> Result<PayOutcome, StoreError> {
    let found = find(tx, pay.reservation)?;
    let own = found.as_ref().filter(|found| found.user == pay.user);
    if own.is_some_and(|own| own.status == ReservationStatus::Paid) {
        // Paying again succeeds even if the admission has ended: a user who has paid is not sent back to the queue.
        return Ok(PayOutcome::AlreadyPaid);
    }
    if queue::has_ended(tx.conn, pay.place)? {
        return Ok(PayOutcome::PlaceEnded);
    }
    let Some(found) = found else {
        return Ok(PayOutcome::Unknown);
    };
    if found.user != pay.user {
        return Ok(PayOutcome::Foreign);
    }
    let paid = match found.status.pay(pay.now, found.expires_at) {
        Ok(paid) => paid,
        Err(TransitionError::AlreadyPaid) => return Ok(PayOutcome::AlreadyPaid),
        Err(TransitionError::Expired) => return Ok(PayOutcome::Expired),
    };
    let before = balance(tx.conn, pay.user)?.unwrap_or_default();
    let Some(after) = before.paid(Money(found.price)) else {
        return Ok(PayOutcome::BalanceTooLow);
    };
    tx.conn
        .prepare_cached(SET_BALANCE)?
        .execute(params![pay.user.0, after.0, pay.now.0])?;
    let id = pay.reservation.0;
    tx.conn
        .prepare_cached(ENTER)?
        .execute(params![pay.user.0, 1, found.price, id, pay.now.0])?;
    set_status(tx, pay.reservation, paid)?;
    tx.conn
        .prepare_cached("UPDATE reservations SET place = ?2 WHERE id = ?1")?
        .execute(params![id, queue::signed(pay.place)])?;
    let date: Option<i64> = tx
        .conn
        .prepare_cached(SELL_SEAT)?
        .query_row([found.seat.0], |row| row.get(0))
        .optional()?;
    if let Some(date) = date {
        tx.touch(PerformanceDateId(date));
    }
    Ok(PayOutcome::Paid)
}
