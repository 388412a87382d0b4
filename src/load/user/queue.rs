//! A user's time in the queue. The user registers, and then polls exactly when the server asks for it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::HeaderValue;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::waiting::{LEAST_POLL_PAUSE, WaitingUser, poll_pause};
use super::{End, Outcome, User};
use crate::api::ops::PlaceFact;
use crate::api::ticketing::{QueueEntry, QueueStatus};
use crate::load::connection::{Answer, HttpClient, Want};
use crate::load::model::{ErrorKind, Operation, PhaseName, UserState};
use crate::load::recorder::micros;
use crate::load::requests::{RequestBuilder, idempotency_key};
use crate::load::worker::Worker;

/// The outcome of one poll of a waiting user.
pub(in crate::load) enum Polled {
    /// The user waits on. The connection is free again.
    Waits(WaitingUser, HttpClient),
    /// The user was admitted, and keeps the connection.
    Admitted(User, HeaderValue),
    /// The user left the queue, or the run ends.
    Left,
}

impl User {
    /// A waiting user for the time of one poll, over the connection of `client`. `number` counts the polls of all
    /// workers.
    pub(in crate::load) fn polling(
        worker: &Arc<Worker>,
        id: i64,
        client: HttpClient,
        number: u64,
    ) -> User {
        let mut user = User::new(Arc::clone(worker), id, UserState::Waiting, client);
        // The polls of a user must not share their trace ids. No state of a user has this index.
        user.ids = SmallRng::seed_from_u64(worker.run.nonce ^ (number << 8 | 0xff));
        user
    }

    /// Registers in the queue. `None` when the registration failed.
    pub(in crate::load) async fn register(&mut self, due: Instant) -> Option<WaitingUser> {
        let due = self.wait_until(due, Operation::Register).await;
        // The key gives a repeat after a lost answer the place that the first request took.
        let (id, key) = (self.id, idempotency_key(&mut self.ids));
        let build = |requests: &RequestBuilder| requests.register(id, &key);
        let read = |answer: &Answer| {
            let entry: QueueEntry = serde_json::from_slice(&answer.body).ok()?;
            Some(WaitingUser::new(
                id,
                &entry,
                answer.token.as_ref()?,
                answer.done,
            ))
        };
        match self
            .send_with_retries(Operation::Register, due, Want::Body, build, read)
            .await
        {
            Outcome::Ok(waiting) => {
                let fact = PlaceFact {
                    place: waiting.place,
                    user_id: id,
                };
                self.worker.acknowledged.lock().places.push(fact);
                let last = self.worker.run.last_phase == PhaseName::Register;
                self.enter(if last {
                    UserState::PhaseDone
                } else {
                    UserState::Waiting
                });
                Some(waiting)
            }
            Outcome::Stopped => None,
            Outcome::Refused(_) | Outcome::Failed(..) => {
                self.enter(UserState::GaveUp);
                None
            }
        }
    }

    /// Polls at the intervals that the server asks for until the user is admitted.
    pub(super) async fn queue(&mut self, waiting: &mut WaitingUser) -> Result<(), End> {
        waiting.open(self.worker.run.opened(), self.rng.random());
        loop {
            let due = tokio::select! {
                due = self.wait_until(waiting.due, Operation::Poll) => due,
                () = self.worker.run.ended_phases[1].cancelled() => return Err(End(UserState::PhaseDone)),
            };
            if self.poll(waiting, due).await? {
                return Ok(());
            }
        }
    }

    /// Sends the poll that is due.
    pub(in crate::load) async fn poll_once(mut self, mut waiting: WaitingUser) -> Polled {
        let due = waiting.due;
        match self.poll(&mut waiting, due).await {
            Ok(false) => Polled::Waits(waiting, self.client),
            Ok(true) => Polled::Admitted(self, waiting.token()),
            Err(End(state)) => {
                self.enter(state);
                Polled::Left
            }
        }
    }

    /// Polls once. Returns whether the user is admitted; if not, `waiting` has the due time of the next poll.
    async fn poll(&mut self, waiting: &mut WaitingUser, due: Instant) -> Result<bool, End> {
        let highest_active = self.worker.run.highest_active.load(Relaxed);
        let sent = Instant::now();
        let token = waiting.token();
        let build = |requests: &RequestBuilder| requests.poll(&token);
        let read = |answer: &Answer| {
            Some((
                serde_json::from_slice::<QueueEntry>(&answer.body).ok()?,
                answer.done,
            ))
        };
        let pause = self.worker.run.scenario.http.retry_pause.0;
        match self
            .send_once(Operation::Poll, due, Want::Body, build, read)
            .await
        {
            Outcome::Ok((entry, done)) => match entry.status {
                QueueStatus::Active => {
                    self.record_order(false);
                    self.admitted(waiting, done);
                    return Ok(true);
                }
                QueueStatus::Expired => return Err(End(UserState::GaveUp)),
                QueueStatus::Wait => {
                    self.record_order(waiting.place < highest_active);
                    waiting.waited_until = sent;
                    waiting.promised = waiting.promised.or_else(|| promise(&entry, done));
                    waiting.due = self.worker.run.pacing.delayed(done + poll_pause(&entry));
                }
            },
            Outcome::Stopped => return Err(End(self.state)),
            Outcome::Failed(ErrorKind::Client, _) => return Err(End(UserState::GaveUp)),
            Outcome::Refused(wish) | Outcome::Failed(_, wish) => {
                waiting.due = Instant::now() + wish.unwrap_or(pause).max(LEAST_POLL_PAUSE);
            }
        }
        Ok(false)
    }

    /// Records an inversion: a WAIT although a later place was ACTIVE before this request was sent.
    fn record_order(&self, inverted: bool) {
        if self.records(Operation::Poll) {
            self.worker.recorder.with(|frame| {
                frame.order_checks += 1;
                frame.inversions += u64::from(inverted);
            });
        }
    }

    /// The real admission lies between the last WAIT and the first ACTIVE, which was `seen`. A promise inside that
    /// interval counts as exact.
    fn admitted(&mut self, waiting: &WaitingUser, seen: Instant) {
        let run = &self.worker.run;
        run.highest_active.fetch_max(waiting.place, Relaxed);
        if let (Some(promised), true) = (waiting.promised, self.records(Operation::Poll)) {
            let early = waiting.waited_until.saturating_duration_since(promised);
            let late = promised.saturating_duration_since(seen);
            self.worker
                .recorder
                .with(|frame| frame.eta_error.saturating_record(micros(early.max(late))));
        }
        self.enter(UserState::Admitted);
    }
}

fn promise(entry: &QueueEntry, at: Instant) -> Option<Instant> {
    let eta = Duration::try_from_secs_f64(entry.eta_seconds?).ok()?;
    at.checked_add(eta)
}
