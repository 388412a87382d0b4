//! A user's time in the queue. The user registers, and then polls exactly when the server asks for it.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::HeaderValue;
use rand::RngExt as _;

use super::{End, Outcome, User};
use crate::api::ops::PlaceFact;
use crate::api::ticketing::{QueueEntry, QueueStatus};
use crate::load::connection::{Answer, Want};
use crate::load::model::{ErrorKind, Operation, PhaseName, UserState};
use crate::load::recorder::micros;
use crate::load::requests::{RequestBuilder, idempotency_key};

/// The shortest pause between two polls, even if the server asks for a shorter one.
const LEAST_POLL_PAUSE: Duration = Duration::from_millis(20);
pub(super) const MOST_POLL_PAUSE: Duration = Duration::from_secs(300);

/// A place in the queue with the data that its user has.
#[derive(Debug)]
pub(in crate::load) struct QueuePlace {
    pub(in crate::load) user: i64,
    pub(super) token: HeaderValue,
    place: u64,
    /// The time at which the server wants the next poll.
    poll_at: Instant,
    /// The time between the last answer and `poll_at`.
    poll_after: Duration,
}

impl User {
    /// Registers in the queue. `None` when the registration failed.
    pub(in crate::load) async fn register(&mut self, due: Instant) -> Option<QueuePlace> {
        let due = self.wait_until(due, Operation::Register).await;
        // The key gives a repeat after a lost answer the place that the first request took.
        let (id, key) = (self.id, idempotency_key(&mut self.ids));
        let build = |requests: &RequestBuilder| requests.register(id, &key);
        let read = |answer: &Answer| {
            let entry: QueueEntry = serde_json::from_slice(&answer.body).ok()?;
            Some((entry, answer.token.clone()?, answer.done))
        };
        match self
            .send_with_retries(Operation::Register, due, Want::Body, build, read)
            .await
        {
            Outcome::Ok((entry, token, done)) => {
                let fact = PlaceFact {
                    place: entry.wait_id,
                    user_id: id,
                };
                self.worker.acknowledged.lock().places.push(fact);
                let last = self.worker.run.last_phase == PhaseName::Register;
                self.enter(if last {
                    UserState::PhaseDone
                } else {
                    UserState::Waiting
                });
                let poll_after = poll_pause(&entry);
                Some(QueuePlace {
                    user: id,
                    token,
                    place: entry.wait_id,
                    poll_at: done + poll_after,
                    poll_after,
                })
            }
            Outcome::Stopped => None,
            Outcome::Refused(_) | Outcome::Failed(..) => {
                self.enter(UserState::GaveUp);
                None
            }
        }
    }

    /// Polls at the intervals that the server asks for until the user is admitted.
    pub(super) async fn queue(&mut self, place: &QueuePlace) -> Result<(), End> {
        let opened = self.worker.run.opened();
        // Polls before the opening would have been spread over the interval that the server named. Polls whose time
        // has passed are spread in the same way after the opening.
        let mut next = match place.poll_at > opened {
            true => place.poll_at,
            false => opened + place.poll_after.mul_f64(self.rng.random::<f64>()),
        };
        let mut promised: Option<Instant> = None;
        let mut waited_until = opened;
        loop {
            let due = tokio::select! {
                due = self.wait_until(next, Operation::Poll) => due,
                () = self.worker.run.ended_phases[1].cancelled() => return Err(End(UserState::PhaseDone)),
            };
            let highest_active = self.worker.run.highest_active.load(Relaxed);
            let sent = Instant::now();
            let build = |requests: &RequestBuilder| requests.poll(&place.token);
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
                        self.admitted(place, promised, waited_until, done);
                        return Ok(());
                    }
                    QueueStatus::Expired => return Err(End(UserState::GaveUp)),
                    QueueStatus::Wait => {
                        self.record_order(place.place < highest_active);
                        waited_until = sent;
                        promised = promised.or_else(|| promise(&entry, done));
                        next = self.worker.run.pacing.delayed(done + poll_pause(&entry));
                    }
                },
                Outcome::Stopped => return Err(End(self.state)),
                Outcome::Failed(ErrorKind::Client, _) => return Err(End(UserState::GaveUp)),
                Outcome::Refused(wish) | Outcome::Failed(_, wish) => {
                    next = Instant::now() + wish.unwrap_or(pause).max(LEAST_POLL_PAUSE);
                }
            }
        }
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

    /// The real admission lies between the last WAIT and the first ACTIVE. A promise inside that interval counts as
    /// exact.
    fn admitted(
        &self,
        place: &QueuePlace,
        promised: Option<Instant>,
        waited_until: Instant,
        seen: Instant,
    ) {
        self.worker
            .run
            .highest_active
            .fetch_max(place.place, Relaxed);
        let records = self.records(Operation::Poll);
        if let (Some(promised), true) = (promised, records) {
            let early = waited_until.saturating_duration_since(promised);
            let late = promised.saturating_duration_since(seen);
            self.worker
                .recorder
                .with(|frame| frame.eta_error.saturating_record(micros(early.max(late))));
        }
    }
}

pub(super) fn poll_pause(entry: &QueueEntry) -> Duration {
    Duration::from_millis(entry.poll_after_ms).clamp(LEAST_POLL_PAUSE, MOST_POLL_PAUSE)
}

fn promise(entry: &QueueEntry, at: Instant) -> Option<Instant> {
    let eta = Duration::try_from_secs_f64(entry.eta_seconds?).ok()?;
    at.checked_add(eta)
}
