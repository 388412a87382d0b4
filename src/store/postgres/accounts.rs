//! Balances, charges and payments, each in one statement and one round trip.
//!
//! Statements lock rows in one order: reservation, account, seat, place.

use super::Retry;
use super::columns::int;
use super::queue::{self, signed};
use super::reservations::date;
use crate::domain::{Money, Timestamp, UserId};
use crate::store::keyed::{self, Changed, Decision, parts};
use crate::store::{ChargeOutcome, Idempotency, Keyed, Pay, PayOutcome, StoreError};

/// A payment raced with another of the same user, and the balance does not cover both.
const NOT_OVERDRAWN: &str = "balance_is_not_overdrawn";

const BALANCE: &str = "SELECT balance FROM users WHERE id = $1";

const CHARGE: &str = include_str!("sql/charge.sql");

const PAY: &str = include_str!("sql/pay.sql");

pub(super) async fn balance(
    retry: &mut Retry<'_>,
    user: UserId,
) -> Result<Option<Money>, StoreError> {
    let reply = retry.run(BALANCE, &[user.0.into()]).await?;
    let row = reply.rows.first();
    Ok(row.map(|row| int(row, 0).map(Money)).transpose()?)
}

pub(super) async fn charge(
    retry: &mut Retry<'_>,
    user: UserId,
    amount: Money,
    now: Timestamp,
    key: Option<&Idempotency>,
) -> Result<Keyed<ChargeOutcome>, StoreError> {
    let (name, fingerprint) = parts(key);
    // No balance is low enough for an amount that must not be charged.
    let room = match Money(0).charged(amount) {
        Ok(_) => Money::MAX_BALANCE.0 - amount.0,
        Err(_) => -1,
    };
    let decision = Decision {
        sql: CHARGE,
        params: &[
            user.0.into(),
            name,
            amount.0.into(),
            now.0.into(),
            room.into(),
            fingerprint,
        ],
        key,
        race: None,
    };
    let (answer, _) = keyed::decide(retry, &decision).await?;
    Ok(answer)
}

pub(super) async fn pay(
    retry: &mut Retry<'_>,
    pay: &Pay,
    key: Option<&Idempotency>,
) -> Result<Changed<Keyed<PayOutcome>>, StoreError> {
    let (name, fingerprint) = parts(key);
    let place = signed(pay.place);
    let decision = Decision {
        sql: PAY,
        params: &[
            pay.user.0.into(),
            name,
            pay.reservation.0.into(),
            place.into(),
            pay.now.0.into(),
            fingerprint,
        ],
        key,
        race: Some(NOT_OVERDRAWN),
    };
    let (outcome, row) = keyed::decide(retry, &decision).await?;
    let ended = match outcome == Keyed::Fresh(PayOutcome::Paid) {
        true if int(&row, 5)? == 1 => vec![pay.place],
        // The other holds may end at the same time, and each of these statements sees the hold of the other. So the last
        // to commit checks again.
        true => queue::end_spent(retry, vec![place], pay.now).await,
        false => Vec::new(),
    };
    Ok(Changed {
        outcome,
        dates: date(&row, 4)?.into_iter().collect(),
        ended,
    })
}
