//! The audit of the sale. It counts the rows themselves, not the counters of the server.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::seats;
use crate::domain::UserId;
use crate::store::{Audit, Fact, StoreError, answers};

const OVERSOLD: &str = "SELECT count(*) FROM
    (SELECT 1 FROM reservations NOT INDEXED WHERE status IN (0, 1) GROUP BY seat_id HAVING count(*) > 1)";

/// Each held or sold seat has a live reservation with the matching status. A seat without one is a violation.
const SEATS_WITHOUT: &str = "SELECT count(*) FROM seats s WHERE s.status <> 0 AND 1 <>
    (SELECT count(*) FROM reservations r WHERE r.seat_id = s.id AND r.status IN (0, 1) AND r.status = s.status - 1)";

const RESERVATIONS_WITHOUT: &str =
    "SELECT count(*) FROM reservations r JOIN seats s ON s.id = r.seat_id
    WHERE r.status IN (0, 1) AND s.status <> r.status + 1";

const PAID_WITHOUT: &str = "SELECT count(*) FROM reservations r WHERE r.status = 1 AND 1 <>
    (SELECT count(*) FROM ledger l WHERE l.reservation_id = r.id AND l.kind = 1
        AND l.amount = r.price AND l.user_id = r.user_id)";

const LEDGER_WITHOUT: &str = "SELECT count(*) FROM ledger l WHERE l.kind = 1 AND NOT EXISTS
    (SELECT 1 FROM reservations r WHERE r.id = l.reservation_id AND r.status = 1)";

const WRONG_BALANCES: &str = "SELECT count(*) FROM users u LEFT JOIN
    (SELECT user_id, sum(CASE kind WHEN 0 THEN amount ELSE -amount END) AS net FROM ledger GROUP BY user_id) l
    ON l.user_id = u.id WHERE u.balance <> coalesce(l.net, 0) + coalesce(
    (SELECT json_extract(value, '$.initial_balance') FROM meta WHERE key = 'dataset'), 0)";

const DUPLICATE_PLACES: &str = "SELECT count(*) FROM
    (SELECT 1 FROM queue_places NOT INDEXED WHERE ended_at IS NULL GROUP BY user_id HAVING count(*) > 1)";

pub(super) fn count(conn: &Connection, on_sale: u64) -> Result<Audit, StoreError> {
    // All counts read one snapshot, because the sale continues in the meantime.
    let tx = conn.unchecked_transaction()?;
    let one = |sql: &str| -> Result<u64, StoreError> {
        let count: i64 = tx.prepare(sql)?.query_row([], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    };
    let seats = seats::counts(&tx, on_sale)?;
    Ok(Audit {
        oversold_seats: one(OVERSOLD)?,
        seats_without_reservation: one(SEATS_WITHOUT)?,
        reservations_without_seat: one(RESERVATIONS_WITHOUT)?,
        paid_without_ledger: one(PAID_WITHOUT)?,
        ledger_without_paid: one(LEDGER_WITHOUT)?,
        wrong_balances: one(WRONG_BALANCES)?,
        duplicate_places: one(DUPLICATE_PLACES)?,
        seats_available: seats.available,
        seats_pending: seats.pending,
        seats_sold: seats.unavailable,
        reservations: one("SELECT count(*) FROM reservations")?,
        reservations_paid: one("SELECT count(*) FROM reservations WHERE status = 1")?,
        places: one("SELECT count(*) FROM queue_places")?,
    })
}

pub(super) fn missing(conn: &Connection, facts: Vec<Fact>) -> Result<Vec<Fact>, StoreError> {
    let tx = conn.unchecked_transaction()?;
    let mut missing = Vec::new();
    for fact in facts {
        if !holds(&tx, fact)? {
            missing.push(fact);
        }
    }
    Ok(missing)
}

fn holds(conn: &Connection, fact: Fact) -> Result<bool, StoreError> {
    let found: Option<i64> = match fact {
        Fact::Place(place, user) => conn
            .prepare_cached("SELECT 1 FROM queue_places WHERE place = ?1 AND user_id = ?2")?
            .query_row(params![i64::try_from(place.0).unwrap_or(-1), user.0], |row| row.get(0)),
        Fact::Reservation(id, user, seat) => conn
            .prepare_cached(
                "SELECT 1 FROM reservations WHERE id = ?1 AND user_id = ?2 AND seat_id = ?3",
            )?
            .query_row(params![id.0, user.0, seat.0], |row| row.get(0)),
        Fact::Payment(id) => conn
            .prepare_cached("SELECT 1 FROM reservations WHERE id = ?1 AND status = 1")?
            .query_row([id.0], |row| row.get(0)),
        Fact::Charges(user, sum) => conn
            .prepare_cached(
                "SELECT 1 FROM ledger WHERE user_id = ?1 AND kind = 0 GROUP BY user_id HAVING sum(amount) >= ?2",
            )?
            .query_row(params![user.0, sum.0], |row| row.get(0)),
    }
    .optional()?;
    Ok(found.is_some())
}

/// Returns whether the write of each key was done. All keys are looked up in one snapshot.
pub(super) fn done(conn: &Connection, keys: &[(UserId, String)]) -> Result<Vec<bool>, StoreError> {
    let tx = conn.unchecked_transaction()?;
    let mut find = tx.prepare("SELECT answer FROM idempotency WHERE user_id = ?1 AND key = ?2")?;
    let done = keys.iter().map(|(user, key)| {
        let answer: Option<String> = find
            .query_row(params![user.0, key], |row| row.get(0))
            .optional()?;
        Ok(answer.is_some_and(|answer| answers::is_done(&answer)))
    });
    done.collect()
}
