//! Balances, charging and paying.

use super::{Booking, Caller, Refusal, replay_or};
use crate::domain::{Money, ReservationId, Timestamp, UserId};
use crate::store::{ChargeOutcome, Idempotency, Keyed, Pay, PayOutcome};
use crate::telemetry::PaymentOutcome;

impl Booking {
    /// The balance of the caller's account.
    ///
    /// # Errors
    /// [`Refusal::UnknownAccount`], or the store's.
    pub async fn balance(&self, caller: &Caller, user: UserId) -> Result<Money, Refusal> {
        caller
            .world
            .store
            .balance(user)
            .await?
            .ok_or(Refusal::UnknownAccount)
    }

    /// Adds to the caller's account: when, and the balance after. On disk when this returns.
    ///
    /// # Errors
    /// [`Refusal::Amount`], [`Refusal::UnknownAccount`], [`Refusal::KeyReused`], or the store's.
    pub async fn charge(
        &self,
        caller: &Caller,
        user: UserId,
        amount: Money,
        key: Option<Idempotency>,
    ) -> Result<(Timestamp, Money), Refusal> {
        // What no balance allows is refused before the database is asked.
        Money(0).charged(amount)?;
        let answer = match caller.require_alive() {
            Ok(()) => {
                caller
                    .world
                    .store
                    .charge(user, amount, caller.world.now(), key)
                    .await?
            }
            Err(refusal) => replay_or(caller, key.as_ref(), refusal).await?,
        };
        match answer {
            Keyed::Mismatch => Err(Refusal::KeyReused),
            Keyed::Fresh(outcome) | Keyed::Replayed(outcome) => match outcome {
                ChargeOutcome::Charged { balance, at } => Ok((at, balance)),
                ChargeOutcome::Overflow => Err(crate::domain::money::MoneyError::Overflow.into()),
                ChargeOutcome::UnknownUser => Err(Refusal::UnknownAccount),
            },
        }
    }

    /// Pays a reservation of the caller; their token is used up by it. On disk when this returns.
    ///
    /// # Errors
    /// [`Refusal::NotPayable`], [`Refusal::ForeignReservation`], [`Refusal::ReservationExpired`],
    /// [`Refusal::AlreadyPaid`], [`Refusal::BalanceTooLow`], [`Refusal::KeyReused`], or the store's.
    pub async fn pay(
        &self,
        caller: &Caller,
        reservation: ReservationId,
        key: Option<Idempotency>,
    ) -> Result<(), Refusal> {
        let answer = match caller.require_active() {
            Ok(()) => {
                let pay = Pay {
                    user: caller.user(),
                    reservation,
                    place: caller.place(),
                    now: caller.world.now(),
                };
                caller
                    .world
                    .store
                    .pay(pay, key)
                    .await
                    .map_err(Refusal::from)
            }
            Err(refusal) => replay_or(caller, key.as_ref(), refusal).await,
        };
        self.metrics.payment(match &answer {
            Ok(Keyed::Fresh(PayOutcome::Paid)) => PaymentOutcome::Paid,
            Ok(Keyed::Fresh(PayOutcome::BalanceTooLow)) => PaymentOutcome::InsufficientBalance,
            Ok(Keyed::Fresh(PayOutcome::AlreadyPaid)) => PaymentOutcome::AlreadyPaid,
            Ok(Keyed::Fresh(PayOutcome::Expired)) => PaymentOutcome::Expired,
            Ok(Keyed::Fresh(PayOutcome::Unknown | PayOutcome::Foreign) | Keyed::Mismatch) => {
                PaymentOutcome::Rejected
            }
            Ok(Keyed::Replayed(_)) => PaymentOutcome::Replayed,
            Err(Refusal::Store(_)) => PaymentOutcome::Failed,
            Err(_) => PaymentOutcome::Rejected,
        });
        match answer? {
            Keyed::Mismatch => Err(Refusal::KeyReused),
            Keyed::Fresh(outcome) | Keyed::Replayed(outcome) => match outcome {
                PayOutcome::Paid => {
                    caller.world.coordination.end(caller.place()).await;
                    Ok(())
                }
                PayOutcome::Unknown => Err(Refusal::NotPayable),
                PayOutcome::Foreign => Err(Refusal::ForeignReservation),
                PayOutcome::Expired => Err(Refusal::ReservationExpired),
                PayOutcome::AlreadyPaid => Err(Refusal::AlreadyPaid),
                PayOutcome::BalanceTooLow => Err(Refusal::BalanceTooLow),
            },
        }
    }
}
