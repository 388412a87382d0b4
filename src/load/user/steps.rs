//! Journeys whose steps a scenario lists, mostly to describe abuse.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use rand::RngExt as _;

use super::{Outcome, User};
use crate::api::ops::{ChargeFact, PlaceFact, ReservationFact};
use crate::api::ticketing::{QueueEntry, QueueStatus, Reserved};
use crate::load::connection::{Answer, Want};
use crate::load::model::Operation;
use crate::load::requests::{Call, idempotency_key};
use crate::load::scenario::{Step, TokenKind, Until};

/// The largest number of polls, or of seats, before a step is given up.
const MOST_TRIES: usize = 100_000;

/// The results of earlier steps.
#[derive(Debug, Default)]
pub(super) struct StepState {
    token: Option<HeaderValue>,
    reservation: Option<i64>,
    seat: Option<i64>,
}

/// The values of an answer.
#[derive(Default)]
struct StepResult {
    token: Option<HeaderValue>,
    place: Option<u64>,
    reservation: Option<i64>,
    /// The result of a poll: whether the user is admitted, and when to poll again.
    queue: Option<(bool, Duration)>,
}

impl User {
    /// Runs the steps. No step begins after `end`.
    pub(in crate::load) async fn run_steps(&mut self, steps: &[Arc<Step>], end: Option<Instant>) {
        for step in steps {
            for _ in 0..step.times {
                let over = end.is_some_and(|end| Instant::now() >= end);
                if over || self.worker.run.is_stopping() {
                    return;
                }
                let due = self.think(step.think, step.call).await;
                if !self.run_step(step, due).await && !step.go_on {
                    return;
                }
            }
        }
    }

    /// Like `run_steps`, with the due time of the first step.
    pub(in crate::load) async fn run_steps_from(&mut self, due: Instant, steps: &[Arc<Step>]) {
        let Some((first, rest)) = steps.split_first() else {
            return;
        };
        if self.run_step(first, due).await || first.go_on {
            for _ in 1..first.times {
                let due = self.think(first.think, first.call).await;
                if !self.run_step(first, due).await && !first.go_on {
                    return;
                }
            }
            self.run_steps(rest, None).await;
        }
    }

    /// Runs one step. Returns whether its outcome was expected.
    async fn run_step(&mut self, step: &Arc<Step>, due: Instant) -> bool {
        self.step = Some(Arc::clone(step));
        let mut due = due;
        for _ in 0..MOST_TRIES {
            match self.send(step, due).await {
                Outcome::Ok(step_result) => {
                    let queue = step_result.queue;
                    self.keep(step, step_result);
                    match (step.until, queue) {
                        (Some(Until::Active), Some((false, pause))) => {
                            let next = self.worker.run.pacing.delayed(Instant::now() + pause);
                            due = self.wait_until(next, step.call).await;
                        }
                        _ => return true,
                    }
                }
                Outcome::Refused(_) if step.until == Some(Until::Reserved) => {
                    self.step_state.seat = None;
                    due = self.think(step.think, step.call).await;
                }
                Outcome::Refused(_) => return true,
                Outcome::Failed(..) | Outcome::Stopped => return false,
            }
        }
        false
    }

    async fn send(&mut self, step: &Step, due: Instant) -> Outcome<StepResult> {
        let run = Arc::clone(&self.worker.run);
        let wished = run
            .seat_picker
            .wish(run.scenario.contention.popular_share, &mut self.rng);
        let seat = step.seat.or(self.step_state.seat).unwrap_or(wished);
        if step.call == Operation::Reserve {
            self.step_state.seat = Some(seat);
        }
        let writes = matches!(
            step.call,
            Operation::Register | Operation::Reserve | Operation::Charge | Operation::Pay
        );
        let key = writes.then(|| idempotency_key(&mut self.ids));
        let token = self.token(step.token);
        let user = match step.token {
            TokenKind::Foreign if self.id > 1 => self.id - 1,
            TokenKind::Foreign => self.id + 1,
            _ => self.id,
        };
        let reservation = self.step_state.reservation.unwrap_or(1);
        let call = step.call;
        let build = |requests: &crate::load::requests::RequestBuilder| {
            requests.build(&Call {
                operation: call,
                user,
                token: token.as_ref(),
                key: key.as_ref(),
                date: run.seat_picker.date_of(seat),
                seat,
                reservation,
                amount: run.scenario.pay.charge,
            })
        };
        let want = match step.call {
            Operation::Register | Operation::Poll | Operation::Reserve => Want::Body,
            _ => Want::Reason,
        };
        let outcome = self
            .send_once(call, due, want, build, |answer| step_result(call, answer))
            .await;
        // A step tries its key only once, so a failure is final.
        drop(self.track_failed_write(None, call, user, build, &outcome));
        outcome
    }

    fn token(&mut self, kind: TokenKind) -> Option<HeaderValue> {
        let own = self.step_state.token.clone();
        match kind {
            TokenKind::Own | TokenKind::Foreign => own,
            TokenKind::None => None,
            TokenKind::Forged => {
                let text = own.as_ref().and_then(|token| token.to_str().ok());
                let mut bytes = text
                    .unwrap_or("AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAA")
                    .to_owned()
                    .into_bytes();
                // Replaces the letter at any position with a different one.
                let at = self.rng.random_range(0..bytes.len());
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                HeaderValue::from_bytes(&bytes).ok()
            }
        }
    }

    /// Keeps the results for later steps, and records the success for the look-up after the run.
    fn keep(&mut self, step: &Step, step_result: StepResult) {
        let mut acknowledged = self.worker.acknowledged.lock();
        if let (Some(token), Some(place)) = (step_result.token, step_result.place) {
            self.step_state.token = Some(token);
            acknowledged.places.push(PlaceFact {
                place,
                user_id: self.id,
            });
        }
        if let (Some(reservation_id), Some(seat_id)) =
            (step_result.reservation, self.step_state.seat)
        {
            self.step_state.reservation = Some(reservation_id);
            acknowledged.reservations.push(ReservationFact {
                reservation_id,
                user_id: self.id,
                seat_id,
            });
        }
        match (step.call, self.step_state.reservation) {
            (Operation::Charge, _) => acknowledged.charges.push(ChargeFact {
                user_id: self.id,
                at_least: self.worker.run.scenario.pay.charge,
            }),
            (Operation::Pay, Some(reservation)) => acknowledged.payments.push(reservation),
            _ => {}
        }
    }
}

/// The values in a successful answer to that call. `None` when the answer does not have the API's format.
fn step_result(call: Operation, answer: &Answer) -> Option<StepResult> {
    let nothing = StepResult::default();
    match call {
        Operation::Register | Operation::Poll => {
            let entry: QueueEntry = serde_json::from_slice(&answer.body).ok()?;
            let pause = super::waiting::poll_pause(&entry);
            let registers = call == Operation::Register;
            Some(StepResult {
                token: answer.token.clone().filter(|_| registers),
                place: registers.then_some(entry.wait_id),
                queue: Some((entry.status != QueueStatus::Wait, pause)),
                ..nothing
            })
        }
        Operation::Reserve => {
            let reserved: Reserved = serde_json::from_slice(&answer.body).ok()?;
            Some(StepResult {
                reservation: Some(reserved.reservation_id),
                ..nothing
            })
        }
        _ => Some(nothing),
    }
}
