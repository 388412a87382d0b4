//! Balances, charging and paying.

use super::{Booking, Caller, Refusal, replay_or};
use crate::domain::{Money, ReservationId, ReservationStatus, Timestamp, UserId};
use crate::store::{ChargeOutcome, Idempotency, Keyed, Pay, PayOutcome};
use crate::telemetry::PaymentOutcome;

impl Booking {
    /// The balance of the account of `user`. `http` checks that the account is the caller's.
    ///
    /// # Errors
    /// [`Refusal::UnknownAccount`], or [`Refusal::Store`].
    pub async fn balance(&self, caller: &Caller, user: UserId) -> Result<Money, Refusal> {
        caller
            .dataset
            .store
            .balance(user)
            .await?
            .ok_or(Refusal::UnknownAccount)
    }

    /// Charges the account of `user`. `http` checks that the account is the caller's. Returns the time of the charge
    /// and the balance after it. The charge is durable when this returns.
    ///
    /// # Errors
    /// [`Refusal::Amount`], [`Refusal::AdmissionEnded`], [`Refusal::UnknownAccount`], [`Refusal::KeyReused`],
    /// [`Refusal::OutcomeUnknown`], or [`Refusal::Store`].
    pub async fn charge(
        &self,
        caller: &Caller,
        user: UserId,
        amount: Money,
        key: Option<Idempotency>,
    ) -> Result<(Timestamp, Money), Refusal> {
        // The amount alone decides this refusal, so it needs no database.
        Money(0).charged(amount)?;
        let charge = async {
            match caller.require_not_ended() {
                Ok(()) => {
                    let store = &caller.dataset.store;
                    Ok(store
                        .charge(user, amount, caller.dataset.now(), key.clone())
                        .await?)
                }
                Err(refusal) => replay_or(caller, key.as_ref(), refusal).await,
            }
        };
        match self.copies.run(user, key.as_ref(), charge).await? {
            Keyed::Mismatch => Err(Refusal::KeyReused),
            Keyed::Fresh(outcome) | Keyed::Replayed(outcome) => match outcome {
                ChargeOutcome::Charged { balance, at } => Ok((at, balance)),
                ChargeOutcome::Overflow => Err(crate::domain::money::MoneyError::Overflow.into()),
                ChargeOutcome::UnknownUser => Err(Refusal::UnknownAccount),
            },
        }
    }

    /// Pays a reservation of the caller. The payment is durable when this returns. The admission ends with the user's
    /// last hold. A hold can be paid until it runs out, also after the time of the admission.
    ///
    /// # Errors
    /// [`Refusal::NotPayable`], [`Refusal::ForeignReservation`], [`Refusal::ReservationExpired`],
    /// [`Refusal::AlreadyPaid`], [`Refusal::BalanceTooLow`], [`Refusal::NotAdmitted`], [`Refusal::AdmissionEnded`],
    /// [`Refusal::KeyReused`], [`Refusal::OutcomeUnknown`], or [`Refusal::Store`].
    pub async fn pay(
        &self,
        caller: &Caller,
        reservation: ReservationId,
        key: Option<Idempotency>,
    ) -> Result<(), Refusal> {
        let pay = pay_once(caller, reservation, key.clone());
        let answer = self.copies.run(caller.user(), key.as_ref(), pay).await;
        self.metrics.payment(match &answer {
            Ok(Keyed::Fresh(PayOutcome::Paid)) => PaymentOutcome::Paid,
            Ok(Keyed::Fresh(PayOutcome::BalanceTooLow)) => PaymentOutcome::InsufficientBalance,
            Ok(Keyed::Fresh(PayOutcome::AlreadyPaid)) => PaymentOutcome::AlreadyPaid,
            Ok(Keyed::Fresh(PayOutcome::Expired)) => PaymentOutcome::Expired,
            Ok(
                Keyed::Fresh(PayOutcome::Unknown | PayOutcome::Foreign | PayOutcome::PlaceEnded)
                | Keyed::Mismatch,
            ) => PaymentOutcome::Rejected,
            Ok(Keyed::Replayed(_)) => PaymentOutcome::Replayed,
            Err(Refusal::Store(_)) => PaymentOutcome::Failed,
            Err(_) => PaymentOutcome::Rejected,
        });
        match answer? {
            Keyed::Mismatch => Err(Refusal::KeyReused),
            Keyed::Fresh(outcome) | Keyed::Replayed(outcome) => match outcome {
                PayOutcome::Paid => Ok(()),
                PayOutcome::Unknown => Err(Refusal::NotPayable),
                PayOutcome::Foreign => Err(Refusal::ForeignReservation),
                PayOutcome::Expired => Err(Refusal::ReservationExpired),
                PayOutcome::AlreadyPaid => Err(Refusal::AlreadyPaid),
                PayOutcome::BalanceTooLow => Err(Refusal::BalanceTooLow),
                PayOutcome::PlaceEnded => Err(Refusal::AdmissionEnded),
            },
        }
    }
}

async fn pay_once(
    caller: &Caller,
    reservation: ReservationId,
    key: Option<Idempotency>,
) -> Result<Keyed<PayOutcome>, Refusal> {
    if let Err(refusal) = caller.require_ever_admitted() {
        let answer = replay_or(caller, key.as_ref(), refusal).await;
        // A user who has already paid gets "paid already", not the advice to register again.
        return match is_paid(caller, reservation).await? {
            true => answer.or(Ok(Keyed::Fresh(PayOutcome::AlreadyPaid))),
            false => answer,
        };
    }
    let pay = Pay {
        user: caller.user(),
        reservation,
        place: caller.place(),
        now: caller.dataset.now(),
    };
    let dataset = &caller.dataset;
    let settled = dataset.store.pay(pay, key).await?;
    dataset.end_admissions(&settled.ended).await;
    let may_have_ended = match settled.outcome {
        Keyed::Fresh(PayOutcome::PlaceEnded) => true,
        // The server may have died before it ended the place in the queue. A newer place is not ended.
        Keyed::Replayed(PayOutcome::Paid) => dataset.store.has_ended(caller.place()).await?,
        _ => false,
    };
    if may_have_ended {
        dataset.end_admissions(&[caller.place()]).await;
    }
    Ok(settled.outcome)
}

/// Returns whether the caller has paid the reservation.
async fn is_paid(caller: &Caller, id: ReservationId) -> Result<bool, Refusal> {
    let before = ReservationId(id.0.saturating_sub(1));
    let store = &caller.dataset.store;
    let found = store.reservations_of(caller.user(), before, 1).await?;
    Ok(found
        .first()
        .is_some_and(|row| row.id == id && row.status == ReservationStatus::Paid))
}
