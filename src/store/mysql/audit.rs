//! The audit: violations of the rules of the sale, counted over the rows, and the look-up of acknowledged writes.

use super::columns::int;
use super::queue::signed;
use super::registering::json;
use super::seats;
use super::snapshot::Snapshot;
use super::{Pool, Retry};
use crate::domain::UserId;
use crate::store::fault::Fault;
use crate::store::{AnswerCode, Audit, Fact, StoreError};

const COUNT: &str = include_str!("sql/audit.sql");

/// The facts of one kind are a JSON array of arrays: the number of the fact, and its values.
const MISSING_PLACES: &str = "SELECT f.nth
    FROM JSON_TABLE(?, '$[*]' COLUMNS (
        nth BIGINT PATH '$[0]', place BIGINT PATH '$[1]', user_id BIGINT PATH '$[2]')) AS f
    WHERE NOT EXISTS (SELECT 1 FROM queue_places q WHERE q.place = f.place AND q.user_id = f.user_id)";

const MISSING_RESERVATIONS: &str = "SELECT f.nth
    FROM JSON_TABLE(?, '$[*]' COLUMNS (
        nth BIGINT PATH '$[0]', id BIGINT PATH '$[1]', user_id BIGINT PATH '$[2]',
        seat_id BIGINT PATH '$[3]')) AS f
    WHERE NOT EXISTS (SELECT 1 FROM reservations r
        WHERE r.id = f.id AND r.user_id = f.user_id AND r.seat_id = f.seat_id)";

const MISSING_PAYMENTS: &str = "SELECT f.nth
    FROM JSON_TABLE(?, '$[*]' COLUMNS (nth BIGINT PATH '$[0]', id BIGINT PATH '$[1]')) AS f
    WHERE NOT EXISTS (SELECT 1 FROM reservations r WHERE r.id = f.id AND r.status = 1)";

const MISSING_CHARGES: &str = "SELECT f.nth
    FROM JSON_TABLE(?, '$[*]' COLUMNS (
        nth BIGINT PATH '$[0]', user_id BIGINT PATH '$[1]', amount BIGINT PATH '$[2]')) AS f
    WHERE COALESCE((SELECT SUM(l.amount) FROM ledger l WHERE l.user_id = f.user_id AND l.kind = 0), 0)
          < f.amount";

const STORED_ANSWERS: &str = "SELECT f.nth, i.answer
    FROM JSON_TABLE(?, '$[*]' COLUMNS (
        nth BIGINT PATH '$[0]', user_id BIGINT PATH '$[1]',
        hex VARCHAR(510) CHARACTER SET ascii PATH '$[2]')) AS f
        STRAIGHT_JOIN idempotency i ON i.user_id = f.user_id AND i.`key` = UNHEX(f.hex)";

pub(super) async fn count(pool: &Pool, on_sale: u64) -> Result<Audit, Fault> {
    let mut snapshot = Snapshot::begin(pool).await?;
    let counted = snapshot.rows(COUNT, &[]).await?;
    let on_sale = seats::up_to(on_sale);
    let by_status = snapshot.rows(seats::COUNTS, &[on_sale]).await?;
    let row = counted
        .first()
        .ok_or_else(|| Fault::unavailable("it counted nothing"))?;
    let at = |column: usize| int(row, column).map(|count| u64::try_from(count).unwrap_or(0));
    let seats = seats::tally(&by_status).map_err(Fault::Final)?;
    Ok(Audit {
        oversold_seats: at(0)?,
        seats_without_reservation: at(1)?,
        reservations_without_seat: at(2)?,
        paid_without_ledger: at(3)?,
        ledger_without_paid: at(4)?,
        wrong_balances: at(5)?,
        duplicate_places: at(6)?,
        seats_available: seats.available,
        seats_pending: seats.pending,
        seats_sold: seats.unavailable,
        reservations: at(7)?,
        reservations_paid: at(8)?,
        places: at(9)?,
    })
}

/// Returns those of `facts` that are not in the database, as of one moment, in their order.
pub(super) async fn missing(pool: &Pool, facts: &[Fact]) -> Result<Vec<Fact>, Fault> {
    let [mut places, mut reservations, mut payments, mut charges] = [(); 4].map(|()| Vec::new());
    for (nth, fact) in facts.iter().enumerate() {
        let nth = i64::try_from(nth).unwrap_or(i64::MAX);
        match *fact {
            Fact::Place(place, user) => places.push(vec![nth, signed(place), user.0]),
            Fact::Reservation(id, user, seat) => {
                reservations.push(vec![nth, id.0, user.0, seat.0]);
            }
            Fact::Payment(id) => payments.push(vec![nth, id.0]),
            Fact::Charges(user, sum) => charges.push(vec![nth, user.0, sum.0]),
        }
    }
    let mut missing = vec![false; facts.len()];
    let mut snapshot = Snapshot::begin(pool).await?;
    for (asked, sql) in [
        (&places, MISSING_PLACES),
        (&reservations, MISSING_RESERVATIONS),
        (&payments, MISSING_PAYMENTS),
        (&charges, MISSING_CHARGES),
    ] {
        if asked.is_empty() {
            continue;
        }
        let asked = json(asked)?;
        for row in snapshot.rows(sql, &[asked.as_str().into()]).await? {
            if let Some(missing) = missing.get_mut(index(int(&row, 0)?)) {
                *missing = true;
            }
        }
    }
    let lost = facts.iter().zip(missing).filter(|(_, missing)| *missing);
    Ok(lost.map(|(fact, _)| *fact).collect())
}

/// Returns for each user and key whether the write was done.
pub(super) async fn done(
    retry: &mut Retry<'_>,
    keys: &[(UserId, String)],
) -> Result<Vec<bool>, StoreError> {
    let asked = keys.iter().enumerate();
    let asked = asked.map(|(nth, (user, key))| (nth, user.0, hex::encode(key)));
    let asked = json(&asked.collect::<Vec<_>>())?;
    let reply = retry.run(STORED_ANSWERS, &[asked.as_str().into()]).await?;
    let mut done = vec![false; keys.len()];
    for row in &reply.rows {
        if let Some(done) = done.get_mut(index(int(row, 0)?)) {
            *done = AnswerCode::is_done(int(row, 1)?);
        }
    }
    Ok(done)
}

fn index(nth: i64) -> usize {
    usize::try_from(nth).unwrap_or(usize::MAX)
}
