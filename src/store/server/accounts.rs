//! Balances, charges and payments. Statements lock rows in one order: reservation, account, seat, place.

use super::queue::{end_spent, signed};
use super::reservations::date;
use super::{Dialect, ServerStore};
use crate::domain::{Money, Timestamp, UserId, statement};
use crate::store::keyed::{self, Changed, Decision, parts};
use crate::store::{ChargeOutcome, Idempotency, Keyed, Pay, PayOutcome, Settled, StoreError};

/// A payment raced with another payment of the same user, and the balance does not cover both.
const NOT_OVERDRAWN: &str = "balance_is_not_overdrawn";

impl<D: Dialect> ServerStore<D> {
    pub(in crate::store) async fn balance(
        &self,
        user: UserId,
    ) -> Result<Option<Money>, StoreError> {
        let mut retry = self.read(statement::ACCOUNT_READ);
        let reply = retry.run(D::SQL.balance, &[user.0.into()]).await?;
        let row = reply.rows.first();
        Ok(row.map(|row| D::int(row, 0).map(Money)).transpose()?)
    }

    pub(in crate::store) async fn charge(
        &self,
        user: UserId,
        amount: Money,
        now: Timestamp,
        key: Option<Idempotency>,
    ) -> Result<Keyed<ChargeOutcome>, StoreError> {
        let (name, fingerprint) = parts(key.as_ref());
        // The highest balance to which `amount` may be added. It is -1 if `amount` itself is not allowed, so no balance
        // is low enough.
        let room = match Money(0).charged(amount) {
            Ok(_) => Money::MAX_BALANCE.0 - amount.0,
            Err(_) => -1,
        };
        let decision = Decision {
            sql: D::SQL.charge,
            params: &[
                user.0.into(),
                name,
                fingerprint,
                amount.0.into(),
                room.into(),
                now.0.into(),
            ],
            key: key.as_ref(),
            race: None,
        };
        let mut retry = self.keyed(statement::ACCOUNT_CHARGE, key.as_ref());
        let (answer, _) = keyed::decide(&mut retry, &decision).await?;
        Ok(answer)
    }

    pub(in crate::store) async fn pay(
        &self,
        pay: Pay,
        key: Option<Idempotency>,
    ) -> Result<Settled<Keyed<PayOutcome>>, StoreError> {
        let (name, fingerprint) = parts(key.as_ref());
        let place = signed(pay.place);
        let decision = Decision {
            sql: D::SQL.pay,
            params: &[
                pay.user.0.into(),
                name,
                fingerprint,
                pay.reservation.0.into(),
                place.into(),
                pay.now.0.into(),
            ],
            key: key.as_ref(),
            race: Some(NOT_OVERDRAWN),
        };
        let mut retry = self.keyed(statement::RESERVATION_PAY, key.as_ref());
        let (outcome, row) = keyed::decide(&mut retry, &decision).await?;
        let ended = match outcome == Keyed::Fresh(PayOutcome::Paid) {
            true if D::opt(&row, 5)? == Some(1) => vec![pay.place],
            // Another hold of the user may end at the same time, and each of the two statements may still see the
            // other's hold. So each checks again after its commit.
            true => end_spent(&mut retry, vec![place], pay.now).await,
            false => Vec::new(),
        };
        Ok(self.settled(Changed {
            outcome,
            dates: date::<D>(&row, 4)?.into_iter().collect(),
            ended,
        }))
    }
}
