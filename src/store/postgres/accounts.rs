//! Balances, charges and payments, each in one statement and one round trip.
//!
//! Rows are locked in one order everywhere: reservation, account, seat, place.

use super::attempts::Attempts;
use super::idempotency::{self, Decision};
use super::pool::Params;
use super::queue::{self, signed};
use super::reservations::{Changed, date, parts};
use crate::domain::{Money, Timestamp, UserId};
use crate::store::{ChargeOutcome, Idempotency, Keyed, Pay, PayOutcome, StoreError};

/// A payment raced with another of the same user, and the balance does not cover both.
const NOT_OVERDRAWN: &str = "balance_is_not_overdrawn";

const BALANCE: &str = "SELECT balance FROM users WHERE id = $1";

/// `$5` is the highest balance to which the amount may be added. The texts are those serde makes of
/// [`ChargeOutcome`].
const CHARGE: &str = "WITH kept AS MATERIALIZED (
    SELECT fingerprint, answer FROM idempotency WHERE user_id = $1 AND key = $2
), account AS (
    UPDATE users SET balance = balance + $3::bigint, version = version + 1, modified_at = $4
    WHERE id = $1 AND balance <= $5::bigint AND NOT EXISTS (SELECT 1 FROM kept)
    RETURNING balance
), entered AS (
    INSERT INTO ledger (user_id, kind, amount, at) SELECT $1, 0, $3, $4 FROM account
), decided AS MATERIALIZED (
    SELECT CASE
        WHEN EXISTS (SELECT 1 FROM account) THEN
            '{\"Charged\":{\"balance\":' || (SELECT balance FROM account) || ',\"at\":' || $4::bigint || '}}'
        WHEN EXISTS (SELECT 1 FROM users WHERE id = $1) THEN '\"Overflow\"'
        ELSE '\"UnknownUser\"' END AS answer
    WHERE NOT EXISTS (SELECT 1 FROM kept)
), remembered AS (
    INSERT INTO idempotency (user_id, key, fingerprint, answer, at)
    SELECT $1, $2, $6::bigint, answer, $4 FROM decided WHERE $2 IS NOT NULL
)
SELECT fingerprint, answer FROM kept UNION ALL SELECT NULL, answer FROM decided";

/// Decided on the rows as the statement finds them. When the reservation is not there any more as it
/// was found, `decided` is null, nothing is kept, and the statement is asked again; when the account
/// is not, the check on the balance ends the statement. The texts are those serde makes of
/// [`PayOutcome`].
const PAY: &str = "WITH kept AS MATERIALIZED (
    SELECT fingerprint, answer FROM idempotency WHERE user_id = $1 AND key = $2
), found AS MATERIALIZED (
    SELECT user_id, status, expires_at, price FROM reservations WHERE id = $3
), standing AS MATERIALIZED (
    SELECT CASE
        WHEN (SELECT status = 1 AND user_id = $1 FROM found) THEN '\"AlreadyPaid\"'
        WHEN NOT EXISTS (SELECT 1 FROM queue_places WHERE place = $4 AND ended_at IS NULL) THEN '\"PlaceEnded\"'
        WHEN NOT EXISTS (SELECT 1 FROM found) THEN '\"Unknown\"'
        WHEN (SELECT user_id <> $1 FROM found) THEN '\"Foreign\"'
        WHEN (SELECT status <> 0 OR expires_at <= $5::bigint FROM found) THEN '\"Expired\"'
        WHEN coalesce((SELECT balance FROM users WHERE id = $1), 0) < (SELECT price FROM found) THEN '\"BalanceTooLow\"'
        END AS refusal
    WHERE NOT EXISTS (SELECT 1 FROM kept)
), paid AS (
    UPDATE reservations SET status = 1, place = $4
    WHERE id = $3 AND user_id = $1 AND status = 0 AND expires_at > $5
      AND EXISTS (SELECT 1 FROM standing WHERE refusal IS NULL)
    RETURNING seat_id, price
), account AS (
    UPDATE users SET balance = balance - paid.price, version = version + 1, modified_at = $5
    FROM paid WHERE users.id = $1
), entered AS (
    INSERT INTO ledger (user_id, kind, amount, reservation_id, at) SELECT $1, 1, price, $3, $5 FROM paid
), sold AS (
    UPDATE seats SET status = 2, version = version + 1 FROM paid
    WHERE seats.id = paid.seat_id AND seats.status = 1
    RETURNING performance_date_id
), others AS MATERIALIZED (
    SELECT 1 FROM reservations
    WHERE user_id = $1 AND status = 0 AND expires_at > $5 AND id <> $3 AND coalesce(place, $4) = $4
), place_ended AS (
    UPDATE queue_places SET ended_at = $5
    WHERE place = $4 AND ended_at IS NULL AND EXISTS (SELECT 1 FROM paid) AND NOT EXISTS (SELECT 1 FROM others)
    RETURNING 1
), decided AS MATERIALIZED (
    SELECT coalesce(refusal, (SELECT '\"Paid\"' FROM paid)) AS answer FROM standing
), remembered AS (
    INSERT INTO idempotency (user_id, key, fingerprint, answer, at)
    SELECT $1, $2, $6::bigint, answer, $5 FROM decided WHERE $2 IS NOT NULL AND answer <> '\"PlaceEnded\"'
)
SELECT fingerprint, answer, NULL::bigint, false FROM kept
UNION ALL SELECT NULL, answer, (SELECT performance_date_id FROM sold),
                 EXISTS (SELECT 1 FROM place_ended) FROM decided";

pub(super) async fn balance(
    attempts: &mut Attempts<'_>,
    user: UserId,
) -> Result<Option<Money>, StoreError> {
    let rows = attempts.rows(BALANCE, &[&user.0]).await?;
    Ok(rows.first().map(|row| Money(row.get(0))))
}

pub(super) async fn charge(
    attempts: &mut Attempts<'_>,
    user: UserId,
    amount: Money,
    now: Timestamp,
    key: Option<&Idempotency>,
) -> Result<Keyed<ChargeOutcome>, StoreError> {
    let (name, fingerprint) = parts(key);
    // No balance is low enough for an amount that may not be charged.
    let room = match Money(0).charged(amount) {
        Ok(_) => Money::MAX_BALANCE.0 - amount.0,
        Err(_) => -1,
    };
    let params: Params<'_> = &[&user.0, &name, &amount.0, &now.0, &room, &fingerprint];
    let decision = Decision {
        sql: CHARGE,
        params,
        user,
        key,
        races: &[],
    };
    let (answer, _) = idempotency::decide(attempts, decision).await?;
    Ok(answer)
}

pub(super) async fn pay(
    attempts: &mut Attempts<'_>,
    pay: &Pay,
    key: Option<&Idempotency>,
) -> Result<Changed<Keyed<PayOutcome>>, StoreError> {
    let (name, fingerprint) = parts(key);
    let place = signed(pay.place);
    let params: Params<'_> = &[
        &pay.user.0,
        &name,
        &pay.reservation.0,
        &place,
        &pay.now.0,
        &fingerprint,
    ];
    let decision = Decision {
        sql: PAY,
        params,
        user: pay.user,
        key,
        races: &[NOT_OVERDRAWN],
    };
    let (outcome, row) = idempotency::decide(attempts, decision).await?;
    let ended = match outcome == Keyed::Fresh(PayOutcome::Paid) {
        true if row.get(3) => vec![pay.place],
        // The other holds may end in the same moment, each seeing this one: the last to commit looks again.
        true => queue::end_spent(attempts, vec![place], pay.now).await,
        false => Vec::new(),
    };
    Ok(Changed {
        outcome,
        dates: date(&row, 2).into_iter().collect(),
        ended,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_that_sql_writes_are_those_that_serde_reads() {
        for answer in [ChargeOutcome::Overflow, ChargeOutcome::UnknownUser] {
            let text = serde_json::to_string(&answer).unwrap();
            assert!(CHARGE.contains(&format!("'{text}'")), "{text}");
        }
        let charged = ChargeOutcome::Charged {
            balance: Money(7),
            at: Timestamp(8),
        };
        let text = serde_json::to_string(&charged).unwrap();
        assert_eq!(text, r#"{"Charged":{"balance":7,"at":8}}"#);
        for part in [r#"'{"Charged":{"balance":'"#, r#"',"at":'"#] {
            assert!(CHARGE.contains(part), "{part}");
        }
        for answer in [
            PayOutcome::Paid,
            PayOutcome::Unknown,
            PayOutcome::Foreign,
            PayOutcome::Expired,
            PayOutcome::AlreadyPaid,
            PayOutcome::BalanceTooLow,
            PayOutcome::PlaceEnded,
        ] {
            let text = serde_json::to_string(&answer).unwrap();
            assert!(PAY.contains(&format!("'{text}'")), "{text}");
        }
    }
}
