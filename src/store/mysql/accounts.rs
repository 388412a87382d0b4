//! Balances, charges and payments. Procedures lock rows in one order: reservation, account, seat, place.

use super::Retry;
use super::columns::{int, opt};
use super::queue::{self, signed};
use super::reservations::date;
use crate::domain::{Money, Timestamp, UserId};
use crate::store::keyed::{self, Changed, Decision, parts};
use crate::store::values::Params;
use crate::store::{ChargeOutcome, Idempotency, Keyed, Pay, PayOutcome, StoreError};

const BALANCE: &str = "SELECT balance FROM users WHERE id = ?";

const CHARGE: &str = "CALL charge(?, ?, ?, ?, ?, ?)";

const PAY: &str = "CALL pay(?, ?, ?, ?, ?, ?)";

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
    let params: Params<'_> = &[
        user.0.into(),
        name,
        fingerprint,
        amount.0.into(),
        room.into(),
        now.0.into(),
    ];
    let decision = Decision {
        sql: CHARGE,
        params,
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
    let params: Params<'_> = &[
        pay.user.0.into(),
        name,
        fingerprint,
        pay.reservation.0.into(),
        place.into(),
        pay.now.0.into(),
    ];
    let decision = Decision {
        sql: PAY,
        params,
        key,
        race: None,
    };
    let (outcome, row) = keyed::decide(retry, &decision).await?;
    let ended = match outcome == Keyed::Fresh(PayOutcome::Paid) {
        true if opt(&row, 5)? == Some(1) => vec![pay.place],
        // A hold that ends in the same moment does not see this payment, nor this payment its end.
        true => queue::end_spent(retry, vec![place], pay.now).await,
        false => Vec::new(),
    };
    Ok(Changed {
        outcome,
        dates: date(&row, 4)?.into_iter().collect(),
        ended,
    })
}
