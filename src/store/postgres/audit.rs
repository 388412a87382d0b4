//! The business truth, counted over the rows themselves.

use super::fault::Fault;
use super::pool::{Lease, Params, Pool};
use super::queue::signed;
use super::{seats, snapshot};
use crate::store::{Audit, Fact, answers};

/// Held and sold seats join live reservations of the matching status: what finds no partner is wrong.
const COUNT: &str = "SELECT
    (SELECT count(*) FROM (SELECT 1 FROM reservations WHERE status IN (0, 1)
        GROUP BY seat_id HAVING count(*) > 1) AS oversold),
    (SELECT count(*) FROM seats s WHERE s.status <> 0 AND 1 <>
        (SELECT count(*) FROM reservations r
         WHERE r.seat_id = s.id AND r.status IN (0, 1) AND r.status = s.status - 1)),
    (SELECT count(*) FROM reservations r JOIN seats s ON s.id = r.seat_id
        WHERE r.status IN (0, 1) AND s.status <> r.status + 1),
    (SELECT count(*) FROM reservations r WHERE r.status = 1 AND 1 <>
        (SELECT count(*) FROM ledger l WHERE l.reservation_id = r.id AND l.kind = 1
         AND l.amount = r.price AND l.user_id = r.user_id)),
    (SELECT count(*) FROM ledger l WHERE l.kind = 1 AND NOT EXISTS
        (SELECT 1 FROM reservations r WHERE r.id = l.reservation_id AND r.status = 1)),
    (SELECT count(*) FROM users u LEFT JOIN
        (SELECT user_id, sum(CASE kind WHEN 0 THEN amount ELSE -amount END) AS net
         FROM ledger GROUP BY user_id) l
        ON l.user_id = u.id WHERE u.balance <> coalesce(l.net, 0) + coalesce(
            (SELECT (value::json ->> 'initial_balance')::bigint FROM meta WHERE key = 'dataset'), 0)),
    (SELECT count(*) FROM (SELECT 1 FROM queue_places WHERE ended_at IS NULL
        GROUP BY user_id HAVING count(*) > 1) AS twice),
    (SELECT count(*) FROM reservations),
    (SELECT count(*) FROM reservations WHERE status = 1),
    (SELECT count(*) FROM queue_places)";

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
    let rows = lease.rows(COUNT, &[]).await?;
    let on_sale = i64::try_from(on_sale).unwrap_or(i64::MAX);
    let by_status = lease.rows(seats::COUNTS, &[&on_sale]).await?;
    snapshot::end(&mut lease).await?;
    let row = rows
        .first()
        .ok_or_else(|| Fault::unavailable("it counted nothing"))?;
    let at = |column: usize| u64::try_from(row.get::<_, i64>(column)).unwrap_or(0);
    let seats = seats::tally(&by_status).map_err(Fault::Final)?;
    Ok(Audit {
        oversold_seats: at(0),
        seats_without_reservation: at(1),
        reservations_without_seat: at(2),
        paid_without_ledger: at(3),
        ledger_without_paid: at(4),
        wrong_balances: at(5),
        duplicate_places: at(6),
        seats_available: seats.available,
        seats_pending: seats.pending,
        seats_sold: seats.unavailable,
        reservations: at(7),
        reservations_paid: at(8),
        places: at(9),
    })
}

/// Facts of one kind, a column each.
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
        lease: &mut Lease<'_>,
        sql: &'static str,
        into: &mut [bool],
    ) -> Result<(), Fault> {
        let used = self.0.iter().filter(|column| !column.is_empty()).count();
        if used == 0 {
            return Ok(());
        }
        let [nth, first, second, third] = &self.0;
        let params: Params<'_> = &[nth, first, second, third];
        for row in lease.rows(sql, &params[..used]).await? {
            let nth = usize::try_from(row.get::<_, i64>(0)).unwrap_or(usize::MAX);
            if let Some(missing) = into.get_mut(nth) {
                *missing = true;
            }
        }
        Ok(())
    }
}

/// Those of `facts` that are not there, as of one moment, in their order.
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
    snapshot::end(&mut lease).await?;
    let lost = facts.iter().zip(missing).filter(|(_, missing)| *missing);
    Ok(lost.map(|(fact, _)| *fact).collect())
}

/// For each user and key of the two columns, whether the write was done.
pub(super) async fn done(pool: &Pool, users: &[i64], keys: &[String]) -> Result<Vec<bool>, Fault> {
    let mut done = vec![false; keys.len()];
    let nth: Vec<i64> = (0..).take(keys.len()).collect();
    let mut lease = pool.lend().await?;
    for row in lease.rows(STORED_ANSWERS, &[&nth, &users, &keys]).await? {
        let nth = usize::try_from(row.get::<_, i64>(0)).unwrap_or(usize::MAX);
        if let Some(done) = done.get_mut(nth) {
            *done = answers::is_done(row.get(1));
        }
    }
    Ok(done)
}
