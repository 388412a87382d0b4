//! What an admitted user does: look, reserve, charge, pay.

use http::HeaderValue;
use rand::RngExt as _;

use super::{End, Outcome, User};
use crate::api::ops::{ChargeFact, ReservationFact};
use crate::api::ticketing::{Reserved, SeatStatus, Seats};
use crate::load::connection::{Answer, Want};
use crate::load::model::{Operation, PhaseName, UserState};
use crate::load::scenario::{Choice, Otherwise};
use crate::load::wire::{Sign, Wire, idempotency_key};

/// A seat held.
pub(super) struct Held {
    reservation: i64,
}

impl User {
    /// Looks at dates and seats and tries to reserve, another seat each time.
    pub(super) async fn find_seat(&mut self, token: &HeaderValue) -> Result<Held, End> {
        let think = self.worker.run.scenario.think;
        let contention = self.worker.run.scenario.contention;
        let planned = self.think(think.dates, Operation::Dates).await;
        let build = |wire: &Wire| wire.dates(token);
        let looked = self
            .persist(Operation::Dates, planned, Want::Reason, build, |_| Some(()))
            .await;
        self.must(looked)?;
        let mut on_screen = None;
        for _ in 0..contention.attempts {
            if self.worker.run.is_over(PhaseName::Open) {
                return Err(End(UserState::PhaseDone));
            }
            let wish = self
                .worker
                .run
                .hall
                .wish(contention.popular_share, &mut self.draws);
            let date = self.worker.run.hall.date_of(wish);
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

    /// Fetches a date's seat map and gives the seat to try: the wished one, or, choosing from the
    /// map, a free one of the same kind.
    async fn look_at(
        &mut self,
        date: i64,
        wish: i64,
        token: &HeaderValue,
    ) -> Result<Option<i64>, End> {
        let think = self.worker.run.scenario.think.seats;
        let choice = self.worker.run.scenario.contention.choice;
        let planned = self.think(think, Operation::Seats).await;
        let build = |wire: &Wire| wire.seats(date, token);
        match choice {
            Choice::Wish => {
                let looked = self
                    .persist(Operation::Seats, planned, Want::Reason, build, |_| Some(()))
                    .await;
                self.must(looked)?;
                Ok(Some(wish))
            }
            Choice::Map => {
                let read = |answer: &Answer| serde_json::from_slice::<Seats>(&answer.body).ok();
                let looked = self
                    .persist(Operation::Seats, planned, Want::Body, build, read)
                    .await;
                let map = self.must(looked)?;
                let free = map
                    .available_seats
                    .iter()
                    .filter(|seat| seat.status == SeatStatus::Available);
                let free: Vec<i64> = free.map(|seat| seat.id).collect();
                Ok(self.worker.run.hall.choose(&free, wish, &mut self.draws))
            }
        }
    }

    async fn reserve(
        &mut self,
        date: i64,
        seat: i64,
        token: &HeaderValue,
    ) -> Result<Option<Held>, End> {
        let planned = self
            .think(self.worker.run.scenario.think.reserve, Operation::Reserve)
            .await;
        let (user, key) = (self.id, idempotency_key(&mut self.ids));
        let sign = Sign { token, key: &key };
        let build = |wire: &Wire| wire.reserve(user, date, seat, &sign);
        let read = |answer: &Answer| serde_json::from_slice::<Reserved>(&answer.body).ok();
        match self
            .persist(Operation::Reserve, planned, Want::Body, build, read)
            .await
        {
            Outcome::Refused(_) => Ok(None),
            outcome => {
                let reservation = self.must(outcome)?.reservation_id;
                let fact = ReservationFact {
                    reservation_id: reservation,
                    user_id: user,
                    seat_id: seat,
                };
                self.worker.facts.lock().reservations.push(fact);
                Ok(Some(Held { reservation }))
            }
        }
    }

    /// Charges and pays, or does what those do who were not drawn to.
    pub(super) async fn settle(
        &mut self,
        held: &Held,
        token: &HeaderValue,
    ) -> Result<UserState, End> {
        let (pay, think) = (self.worker.run.scenario.pay, self.worker.run.scenario.think);
        let (user, reservation) = (self.id, held.reservation);
        if !self.draws.random_bool(pay.share) {
            if pay.otherwise == Otherwise::Cancel {
                let planned = self.think(think.charge, Operation::Cancel).await;
                let build = |wire: &Wire| wire.cancel(reservation, token);
                let outcome = self
                    .persist(
                        Operation::Cancel,
                        planned,
                        Want::Reason,
                        build,
                        |_| Some(()),
                    )
                    .await;
                self.must(outcome)?;
            }
            return Ok(UserState::Left);
        }
        if pay.charge > 0 {
            self.charge(pay.charge, token).await?;
        }

        let planned = self.think(think.pay, Operation::Pay).await;
        let key = idempotency_key(&mut self.ids);
        let sign = Sign { token, key: &key };
        let build = |wire: &Wire| wire.pay(user, reservation, &sign);
        let outcome = self
            .persist(Operation::Pay, planned, Want::Reason, build, |_| Some(()))
            .await;
        self.must(outcome)?;
        self.worker.facts.lock().payments.push(reservation);
        Ok(UserState::Paid)
    }

    /// Puts `amount` into the account.
    async fn charge(&mut self, amount: i64, token: &HeaderValue) -> Result<(), End> {
        let (user, pause) = (self.id, self.worker.run.scenario.think.charge);
        let planned = self.think(pause, Operation::Charge).await;
        let key = idempotency_key(&mut self.ids);
        let sign = Sign { token, key: &key };
        let build = |wire: &Wire| wire.charge(user, amount, &sign);
        let outcome = self
            .persist(
                Operation::Charge,
                planned,
                Want::Reason,
                build,
                |_| Some(()),
            )
            .await;
        self.must(outcome)?;
        self.worker.facts.lock().charges.push(ChargeFact {
            user_id: user,
            at_least: amount,
        });
        Ok(())
    }
}
