//! The audit: violations of the rules of the sale, counted over the rows, and the look-up of acknowledged writes.

use std::collections::BTreeMap;
use std::iter::once;

use super::queue::signed;
use super::{Dialect, ServerStore, Session, seats};
use crate::domain::{UserId, statement};
use crate::store::fault::Fault;
use crate::store::retry::{Repeat, Retry};
use crate::store::values::{Column, Value};
use crate::store::{AnswerCode, Audit, Fact, LONG_READ, StoreError};

impl<D: Dialect> ServerStore<D> {
    pub(in crate::store) async fn audit(&self) -> Result<Audit, StoreError> {
        let on_sale = self.info.on_sale_seats;
        let read = |session| count::<D>(session, on_sale);
        self.snapshot(statement::AUDIT_COUNT, read).await
    }

    pub(in crate::store) async fn missing(
        &self,
        facts: Vec<Fact>,
    ) -> Result<Vec<Fact>, StoreError> {
        let read = |session| missing::<D>(session, &facts);
        self.snapshot(statement::AUDIT_LOOKUP, read).await
    }

    pub(in crate::store) async fn done(
        &self,
        keys: Vec<(UserId, String)>,
    ) -> Result<Vec<bool>, StoreError> {
        let (name, repeat) = (statement::AUDIT_LOOKUP, Repeat::Read);
        let mut retry = Retry::within(&self.pool, name, repeat, LONG_READ);
        let table = [
            Column::Ints((0..).take(keys.len()).collect()),
            Column::Ints(keys.iter().map(|(user, _)| user.0).collect()),
            Column::KeysOrNull(keys.iter().map(|(_, key)| Some(key.as_str())).collect()),
        ];
        let params = [Value::Table(&table)];
        let reply = retry.run(D::SQL.stored_answers, &params).await?;
        let mut done = vec![false; keys.len()];
        for row in &reply.rows {
            if let Some(done) = done.get_mut(index(D::int(row, 0)?)) {
                *done = AnswerCode::is_done(D::int(row, 1)?);
            }
        }
        Ok(done)
    }
}

async fn count<D: Dialect>(mut session: Session<D>, on_sale: u64) -> Result<Audit, Fault> {
    let row = session.only_row(D::SQL.audit, &[]).await?;
    let on_sale = seats::up_to(on_sale);
    let by_status = session.rows(D::SQL.seat_counts, &[on_sale]).await?;
    let seats = seats::tally::<D>(&by_status)?;
    let at = |column: usize| D::int(&row, column).map(|count| u64::try_from(count).unwrap_or(0));
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

/// The statement that looks up a fact, and the values that it compares.
fn lookup<D: Dialect>(fact: Fact) -> (&'static str, Vec<i64>) {
    match fact {
        Fact::Place(place, user) => (D::SQL.missing_places, vec![signed(place), user.0]),
        Fact::Reservation(id, user, seat) => {
            (D::SQL.missing_reservations, vec![id.0, user.0, seat.0])
        }
        Fact::Payment(id) => (D::SQL.missing_payments, vec![id.0]),
        Fact::Charges(user, sum) => (D::SQL.missing_charges, vec![user.0, sum.0]),
    }
}

/// Returns those of `facts` that are not in the database, in their order, from one snapshot.
async fn missing<D: Dialect>(mut session: Session<D>, facts: &[Fact]) -> Result<Vec<Fact>, Fault> {
    // Facts by statement, with a column for each value. The first column is the number of the fact.
    let mut asked: BTreeMap<&'static str, Vec<Vec<i64>>> = BTreeMap::new();
    for (nth, fact) in (0..).zip(facts) {
        let (sql, values) = lookup::<D>(*fact);
        let empty = || vec![Vec::new(); values.len() + 1];
        let columns = asked.entry(sql).or_insert_with(empty);
        for (column, value) in columns.iter_mut().zip(once(nth).chain(values)) {
            column.push(value);
        }
    }
    let mut missing = vec![false; facts.len()];
    for (sql, columns) in asked {
        let table: Vec<Column<'_>> = columns.into_iter().map(Column::Ints).collect();
        for row in session.rows(sql, &[Value::Table(&table)]).await? {
            if let Some(missing) = missing.get_mut(index(D::int(&row, 0)?)) {
                *missing = true;
            }
        }
    }
    let lost = facts.iter().zip(missing).filter(|(_, missing)| *missing);
    Ok(lost.map(|(fact, _)| *fact).collect())
}

fn index(nth: i64) -> usize {
    usize::try_from(nth).unwrap_or(usize::MAX)
}
