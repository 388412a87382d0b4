//! The journey of an admitted user: looks at seats, reserves, charges, pays.

use http::HeaderValue;
use rand::RngExt as _;

use super::{End, Outcome, User};
use crate::api::ops::{ChargeFact, ReservationFact};
use crate::api::ticketing::{Reserved, SeatStatus, Seats};
use crate::load::connection::{Answer, Want};
use crate::load::model::{Operation, PhaseName, UserState};
use crate::load::requests::{RequestBuilder, WriteHeaders, idempotency_key};
use crate::load::scenario::{Choice, Otherwise};

/// A held seat.
pub(super) struct Held {
    reservation: i64,
}

impl User {
    /// Looks at dates and seats and tries to reserve. It draws a seat for each attempt, which may be the same seat
    /// again.
    pub(super) async fn find_seat(&mut self, token: &HeaderValue) -> Result<Held, End> {
        let think = self.worker.run.scenario.think;
        let contention = self.worker.run.scenario.contention;
        let due = self.think(think.dates, Operation::Dates).await;
        let build = |requests: &RequestBuilder| requests.dates(token);
        let looked = self
            .send_with_retries(Operation::Dates, due, Want::Reason, build, |_| Some(()))
            .await;
        self.required(looked)?;
        let mut on_screen = None;
        for _ in 0..contention.attempts {
            if self.worker.run.has_ended(PhaseName::Open) {
                return Err(End(UserState::PhaseDone));
            }
            let wish = self
                .worker
                .run
                .seat_picker
                .wish(contention.popular_share, &mut self.rng);
            let date = self.worker.run.seat_picker.date_of(wish);
            let mut seat = Some(wish);
            if on_screen != Some(date) || contention.choice == Choice::Map {
                seat = self.look_at(date, wish, token).await?;
                on_screen = Some(date);
            }
            let Some(seat) = seat else { continue };
            if let Some(held) = self.reserve(date, seat, token).await? {
                return Ok(held);
            }
        }
        Err(End(UserState::WithoutSeat))
    }

    /// Fetches a date's seat map and returns the seat to try. This is the wished seat or, with the choice `map`, a
    /// free seat of the same kind.
    async fn look_at(
        &mut self,
        date: i64,
        wish: i64,
        token: &HeaderValue,
    ) -> Result<Option<i64>, End> {
        let think = self.worker.run.scenario.think.seats;
        let choice = self.worker.run.scenario.contention.choice;
        let due = self.think(think, Operation::Seats).await;
        let build = |requests: &RequestBuilder| requests.seats(date, token);
        match choice {
            Choice::Wish => {
                let looked = self
                    .send_with_retries(Operation::Seats, due, Want::Reason, build, |_| Some(()))
                    .await;
                self.required(looked)?;
                Ok(Some(wish))
            }
            Choice::Map => {
                let read = |answer: &Answer| serde_json::from_slice::<Seats>(&answer.body).ok();
                let looked = self
                    .send_with_retries(Operation::Seats, due, Want::Body, build, read)
                    .await;
                let map = self.required(looked)?;
                let free = map
                    .available_seats
                    .iter()
                    .filter(|seat| seat.status == SeatStatus::Available);
                let free: Vec<i64> = free.map(|seat| seat.id).collect();
                Ok(self
                    .worker
                    .run
                    .seat_picker
                    .choose(&free, wish, &mut self.rng))
            }
        }
    }

    async fn reserve(
        &mut self,
        date: i64,
        seat: i64,
        token: &HeaderValue,
    ) -> Result<Option<Held>, End> {
        let due = self
            .think(self.worker.run.scenario.think.reserve, Operation::Reserve)
            .await;
        let (user, key) = (self.id, idempotency_key(&mut self.ids));
        let headers = WriteHeaders { token, key: &key };
        let build = |requests: &RequestBuilder| requests.reserve(user, date, seat, &headers);
        let read = |answer: &Answer| serde_json::from_slice::<Reserved>(&answer.body).ok();
        match self
            .send_with_retries(Operation::Reserve, due, Want::Body, build, read)
            .await
        {
            Outcome::Refused(_) => Ok(None),
            outcome => {
                let reservation = self.required(outcome)?.reservation_id;
                let fact = ReservationFact {
                    reservation_id: reservation,
                    user_id: user,
                    seat_id: seat,
                };
                self.worker.acknowledged.lock().reservations.push(fact);
                Ok(Some(Held { reservation }))
            }
        }
    }

    /// Charges and pays, or does what the scenario says for users who do not pay.
    pub(super) async fn settle(
        &mut self,
        held: &Held,
        token: &HeaderValue,
    ) -> Result<UserState, End> {
        let (pay, think) = (self.worker.run.scenario.pay, self.worker.run.scenario.think);
        let (user, reservation) = (self.id, held.reservation);
        if !self.rng.random_bool(pay.share) {
            if pay.otherwise == Otherwise::Cancel {
                let due = self.think(think.charge, Operation::Cancel).await;
                let build = |requests: &RequestBuilder| requests.cancel(reservation, token);
                let outcome = self
                    .send_with_retries(Operation::Cancel, due, Want::Reason, build, |_| Some(()))
                    .await;
                self.required(outcome)?;
            }
            return Ok(UserState::Left);
        }
        if pay.charge > 0 {
            self.charge(pay.charge, token).await?;
        }

        let due = self.think(think.pay, Operation::Pay).await;
        let key = idempotency_key(&mut self.ids);
        let headers = WriteHeaders { token, key: &key };
        let build = |requests: &RequestBuilder| requests.pay(user, reservation, &headers);
        let outcome = self
            .send_with_retries(Operation::Pay, due, Want::Reason, build, |_| Some(()))
            .await;
        self.required(outcome)?;
        self.worker.acknowledged.lock().payments.push(reservation);
        Ok(UserState::Paid)
    }

    /// Adds `amount` to the account.
    async fn charge(&mut self, amount: i64, token: &HeaderValue) -> Result<(), End> {
        let (user, pause) = (self.id, self.worker.run.scenario.think.charge);
        let due = self.think(pause, Operation::Charge).await;
        let key = idempotency_key(&mut self.ids);
        let headers = WriteHeaders { token, key: &key };
        let build = |requests: &RequestBuilder| requests.charge(user, amount, &headers);
        let outcome = self
            .send_with_retries(Operation::Charge, due, Want::Reason, build, |_| Some(()))
            .await;
        self.required(outcome)?;
        self.worker.acknowledged.lock().charges.push(ChargeFact {
            user_id: user,
            at_least: amount,
        });
        Ok(())
    }
}
