//! A virtual user: registers, polls as the server tells, and once admitted looks, reserves, pays.
//!
//! Each request has a planned instant: the end of the think time, the moment `pollAfterMs` named,
//! the end of a retry pause. Where nothing is waited for, the plan is the end of the step before.

mod buying;
mod judging;
mod queueing;
mod steps;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::time::sleep_until;

use self::judging::judge;
use self::queueing::MOST_POLL_PAUSE;
use super::connection::{Answer, Line, Outgoing, Want};
use super::model::{Class, Fault, Operation, PhaseName, UserState};
use super::recorder::{BUYERS, Frame, Sample, micros};
use super::scenario::{Pause, Step};
use super::unacknowledged::Unsettled;
use super::wire::{self, Wire};
use super::worker::Worker;
use crate::api::ops::KeyFact;

/// How a request ended, as the journey sees it.
enum Outcome<T> {
    Ok(T),
    /// An intended no, with the server's wish when to come again.
    Refused(Option<Duration>),
    Failed(Fault, Option<Duration>),
    /// The run is ending: nothing was sent.
    Stopped,
}

/// The journey ends here, and why.
struct End(UserState);

pub(super) use queueing::Ticket;

pub(super) struct User {
    worker: Arc<Worker>,
    id: i64,
    state: UserState,
    line: Line,
    /// Whose user this is: the buyers', or a crowd's.
    crowd: usize,
    /// The step of a crowd's journey that it is at.
    step: Option<Arc<Step>>,
    /// What a crowd's user has come by.
    belongings: steps::Belongings,
    /// What the scenario's seed decides: think times, wishes.
    draws: SmallRng,
    /// What must differ from every other run: trace ids, idempotency keys.
    ids: SmallRng,
}

impl User {
    pub(super) fn new(worker: Arc<Worker>, id: i64, state: UserState, line: Line) -> User {
        let (seed, nonce) = (worker.run.scenario.seed, worker.run.nonce);
        // Different streams for a user's registration and journey would draw the same otherwise.
        let stream = (id as u64) << 8 | state.index() as u64;
        User {
            worker,
            id,
            state,
            line,
            crowd: BUYERS,
            step: None,
            belongings: steps::Belongings::default(),
            draws: SmallRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stream),
            ids: SmallRng::seed_from_u64(nonce ^ stream),
        }
    }

    /// The same as a user of a crowd.
    pub(super) fn of_crowd(mut self, crowd: usize) -> User {
        self.crowd = crowd;
        self
    }

    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// Becomes the next user on the same line.
    pub(super) fn into_line(self) -> Line {
        self.line
    }

    fn enter(&mut self, state: UserState) {
        self.worker.run.moved(self.state, state);
        self.state = state;
    }

    /// Waits for the planned instant, or for the end of a pause of the whole run; when the request
    /// was due then.
    async fn wait_until(&self, planned: Instant, operation: Operation) -> Instant {
        if planned > Instant::now() {
            sleep_until(planned.into()).await;
            if self.records(operation) {
                let lag = micros(planned.elapsed());
                let note = |frame: &mut Frame| frame.lag.saturating_record(lag);
                self.worker.shard.with(note);
            }
        }
        if !self.worker.run.tempo.is_paused() {
            return planned;
        }
        tokio::select! {
            () = self.worker.run.tempo.resumed() => {}
            () = self.worker.run.stop.cancelled() => {}
        }
        Instant::now()
    }

    async fn think(&mut self, pause: Pause, operation: Operation) -> Instant {
        let pause = pause.draw(&mut self.draws);
        let planned = Instant::now() + self.worker.run.tempo.stretched(pause);
        self.wait_until(planned, operation).await
    }

    fn records(&self, operation: Operation) -> bool {
        self.worker.run.records_of(self.crowd, operation)
    }

    /// Sends one request and writes down how it went. `read` makes sense of a success.
    async fn attempt<T>(
        &mut self,
        operation: Operation,
        planned: Instant,
        want: Want,
        build: impl Fn(&Wire) -> Outgoing,
        read: impl FnOnce(&Answer) -> Option<T>,
    ) -> Outcome<T> {
        let worker = Arc::clone(&self.worker);
        let run = &worker.run;
        if run.is_stopping() {
            return Outcome::Stopped;
        }
        let mut request = build(&run.wire);
        let trace = wire::trace(&mut request, &mut self.ids);
        worker.in_flight.fetch_add(1, Relaxed);
        let exchange = self.line.exchange(&run.connector, request, want).await;
        worker.in_flight.fetch_sub(1, Relaxed);
        let (outcome, class, fault, status, done) = match exchange.result {
            Err(fault) => (
                Outcome::Failed(fault, None),
                Class::Error,
                Some(fault),
                0,
                Instant::now(),
            ),
            Ok(answer) => {
                let expected = self.step.as_ref().map(|step| &step.expect[..]);
                let (outcome, class, fault) = judge(run, operation, expected, &answer, read);
                (outcome, class, fault, answer.status.as_u16(), answer.done)
            }
        };
        if status == 0 {
            &worker.unanswered
        } else {
            &worker.answered
        }
        .fetch_add(1, Relaxed);
        if self.records(operation) {
            let sample = Sample {
                crowd: self.crowd,
                operation,
                class,
                fault,
                status,
                planned,
                sent: exchange.sent,
                done,
                trace,
            };
            if let Some(meter) = &run.meter {
                let crowd = run.crowds.get(self.crowd.wrapping_sub(1));
                (meter.0)(crowd.map_or("", |crowd| &crowd.name), &sample);
            }
            worker.shard.with(|frame| {
                frame.record(&sample);
                if let Some(waited) = exchange.waited {
                    frame.connection_wait.saturating_record(micros(waited));
                }
            });
        }
        outcome
    }

    /// Keeps in mind that an attempt of a write failed, until one succeeds.
    fn note_failure<T>(
        &self,
        unsettled: Option<Unsettled>,
        operation: Operation,
        user_id: i64,
        build: impl Fn(&Wire) -> Outgoing,
        outcome: &Outcome<T>,
    ) -> Option<Unsettled> {
        match (unsettled, outcome) {
            (Some(unsettled), Outcome::Ok(_)) => {
                unsettled.settle();
                None
            }
            // A success that the scenario did not expect is no failure of the write.
            (None, Outcome::Failed(fault, _)) if *fault != Fault::Success => {
                let key = wire::key_of(&build(&self.worker.run.wire))?;
                let key = KeyFact { user_id, key };
                Some(Unsettled::new(Arc::clone(&self.worker), operation, key))
            }
            (unsettled, _) => unsettled,
        }
    }

    /// Sends a request again while there is hope: after no answer, a 5xx, or a 429.
    async fn persist<T>(
        &mut self,
        operation: Operation,
        mut planned: Instant,
        want: Want,
        build: impl Fn(&Wire) -> Outgoing,
        read: impl Fn(&Answer) -> Option<T>,
    ) -> Outcome<T> {
        let http = self.worker.run.scenario.http;
        let mut pause = http.retry_pause.0;
        let mut left = http.retries;
        let mut unsettled = None;
        loop {
            let outcome = self.attempt(operation, planned, want, &build, &read).await;
            unsettled = self.note_failure(unsettled, operation, self.id, &build, &outcome);
            let wish = match &outcome {
                Outcome::Failed(fault, wish) if fault.is_silence() || *fault == Fault::Server => {
                    *wish
                }
                Outcome::Refused(Some(wish)) => Some(*wish),
                _ => return outcome,
            };
            if left == 0 {
                return outcome;
            }
            left -= 1;
            planned = Instant::now() + wish.unwrap_or(pause);
            pause = (pause * 2).min(MOST_POLL_PAUSE);
            planned = self.wait_until(planned, operation).await;
        }
    }

    /// The whole way, begun at `due`.
    pub(super) async fn arrive(mut self, due: Instant) {
        if self.crowd != BUYERS {
            self.worker.run.came();
        }
        if let Some(ticket) = self.register(due).await
            && self.worker.run.until != PhaseName::Register
        {
            self.journey(ticket).await;
        }
    }

    /// Everything after registration, to the end of the journey or of the run.
    pub(super) async fn journey(mut self, ticket: Ticket) {
        let End(state) = match self.steps(&ticket).await {
            Ok(state) => End(state),
            Err(end) => end,
        };
        self.enter(state);
    }

    async fn steps(&mut self, ticket: &Ticket) -> Result<UserState, End> {
        self.queue(ticket).await?;
        self.enter(UserState::Admitted);
        let held = self.find_seat(&ticket.token).await?;
        self.enter(UserState::Reserved);
        if self.worker.run.until == PhaseName::Open {
            return Ok(UserState::PhaseDone);
        }
        self.settle(&held, &ticket.token).await
    }

    /// The value of a step without which the journey cannot go on.
    fn must<T>(&self, outcome: Outcome<T>) -> Result<T, End> {
        match outcome {
            Outcome::Ok(value) => Ok(value),
            Outcome::Stopped => Err(End(self.state)),
            Outcome::Refused(_) | Outcome::Failed(..) => Err(End(UserState::GaveUp)),
        }
    }
}
