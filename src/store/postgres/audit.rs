//! The audit: violations of the rules of the sale, counted over the rows, and the look-up of acknowledged writes.

use super::columns::int;
use super::driver::PgDriver;
use super::queue::signed;
use super::{Pool, Retry, seats, snapshot};
use crate::domain::UserId;
use crate::store::fault::Fault;
use crate::store::pooled::Lease;
use crate::store::values::Value;
use crate::store::{AnswerCode, Audit, Fact, StoreError};

const COUNT: &str = include_str!("sql/audit.sql");

const MISSING_PLACES: &str = "SELECT nth FROM
    unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS f (nth, place, user_id)
    WHERE NOT EXISTS (SELECT 1 FROM queue_places q WHERE q.place = f.place AND q.user_id = f.user_id)";

const MISSING_RESERVATIONS: &str = "SELECT nth FROM
    unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS f (nth, id, user_id, seat_id)
    WHERE NOT EXISTS (SELECT 1 FROM reservations r
        WHERE r.id = f.id AND r.user_id = f.user_id AND r.seat_id = f.seat_id)";

const MISSING_PAYMENTS: &str = "SELECT nth FROM
    unnest($1::bigint[], $2::bigint[]) AS f (nth, id)
    WHERE NOT EXISTS (SELECT 1 FROM reservations r WHERE r.id = f.id AND r.status = 1)";

const MISSING_CHARGES: &str = "SELECT nth FROM
    unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS f (nth, user_id, amount)
    WHERE NOT EXISTS (SELECT 1 FROM ledger l WHERE l.user_id = f.user_id AND l.kind = 0
        HAVING sum(l.amount) >= f.amount)";

const STORED_ANSWERS: &str = "SELECT f.nth, i.answer FROM
    unnest($1::bigint[], $2::bigint[], $3::text[]) AS f (nth, user_id, key)
    JOIN idempotency i ON i.user_id = f.user_id AND i.key = f.key";

pub(super) async fn count(pool: &Pool, on_sale: u64) -> Result<Audit, Fault> {
    let mut lease = pool.lend().await?;
    snapshot::begin(&mut lease).await?;
    let counted = lease.run(COUNT, &[]).await?.rows;
    let on_sale = i64::try_from(on_sale).unwrap_or(i64::MAX);
    let by_status = lease.run(seats::COUNTS, &[on_sale.into()]).await?.rows;
    lease.commit().await?;
    let row = counted.first();
    let row = row.ok_or_else(|| Fault::unavailable("it counted nothing"))?;
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

/// The facts of one kind, with a column for each value. The first column is the number of the fact.
#[derive(Default)]
struct Columns([Vec<i64>; 4]);

impl Columns {
    fn push(&mut self, nth: usize, values: &[i64]) {
        self.0[0].push(i64::try_from(nth).unwrap_or(i64::MAX));
        for (column, value) in self.0[1..].iter_mut().zip(values) {
            column.push(*value);
        }
    }

    async fn missing(
        &self,
        lease: &mut Lease<'_, PgDriver>,
        sql: &'static str,
        into: &mut [bool],
    ) -> Result<(), Fault> {
        let used = self.0.iter().filter(|column| !column.is_empty());
        let params: Vec<Value<'_>> = used.map(|column| column.as_slice().into()).collect();
        if params.is_empty() {
            return Ok(());
        }
        for row in lease.run(sql, &params).await?.rows {
            if let Some(missing) = into.get_mut(index(int(&row, 0)?)) {
                *missing = true;
            }
        }
        Ok(())
    }
}

/// Returns those of `facts` that are not in the database, as of one moment, in their order.
pub(super) async fn missing(pool: &Pool, facts: &[Fact]) -> Result<Vec<Fact>, Fault> {
    let [mut places, mut reservations, mut payments, mut charges] =
        [(); 4].map(|()| Columns::default());
    for (nth, fact) in facts.iter().enumerate() {
        match *fact {
            Fact::Place(place, user) => places.push(nth, &[signed(place), user.0]),
            Fact::Reservation(id, user, seat) => reservations.push(nth, &[id.0, user.0, seat.0]),
            Fact::Payment(id) => payments.push(nth, &[id.0]),
            Fact::Charges(user, sum) => charges.push(nth, &[user.0, sum.0]),
        }
    }
    let mut missing = vec![false; facts.len()];
    let mut lease = pool.lend().await?;
    snapshot::begin(&mut lease).await?;
    for (columns, sql) in [
        (&places, MISSING_PLACES),
        (&reservations, MISSING_RESERVATIONS),
        (&payments, MISSING_PAYMENTS),
        (&charges, MISSING_CHARGES),
    ] {
        columns.missing(&mut lease, sql, &mut missing).await?;
    }
    lease.commit().await?;
    let lost = facts.iter().zip(missing).filter(|(_, missing)| *missing);
    Ok(lost.map(|(fact, _)| *fact).collect())
}

/// Returns for each user and key whether the write was done.
pub(super) async fn done(
    retry: &mut Retry<'_>,
    keys: &[(UserId, String)],
) -> Result<Vec<bool>, StoreError> {
    let nth: Vec<i64> = (0..).take(keys.len()).collect();
    let users: Vec<i64> = keys.iter().map(|(user, _)| user.0).collect();
    let names: Vec<Option<&str>> = keys.iter().map(|(_, key)| Some(key.as_str())).collect();
    let params = [
        Value::Ints(&nth),
        Value::Ints(&users),
        Value::KeysOrNull(&names),
    ];
    let reply = retry.run(STORED_ANSWERS, &params).await?;
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
