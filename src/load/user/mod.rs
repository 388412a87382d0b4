//! A virtual user. The user registers, polls at the intervals that the server asks for, and after admission looks at
//! seats, reserves, and pays.
//!
//! Each request has a due time: the end of the think time, the moment that `pollAfterMs` named, or the end of a retry
//! pause. A request without a pause is due at the end of the previous step.

mod classify;
mod purchase;
mod queue;
mod steps;
mod unresolved;
mod wait_token;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::HeaderValue;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::sleep_until;

use self::classify::classify;
use self::unresolved::UnresolvedWrite;
use super::connection::{Answer, HttpClient, Outgoing, Want};
use super::model::{Class, ErrorKind, Operation, PhaseName, UserState};
use super::recorder::{BUYERS, Frame, Sample, micros};
use super::requests::{self, RequestBuilder};
use super::scenario::{Pause, Step};
use super::worker::{RunContext, Worker};
use crate::api::ops::KeyFact;

/// The longest pause before a retry, unless the server asks for a longer one.
const MOST_RETRY_PAUSE: Duration = Duration::from_secs(300);

/// The outcome of a request.
enum Outcome<T> {
    Ok(T),
    /// An intended refusal with the server's `Retry-After`.
    Refused(Option<Duration>),
    Failed(ErrorKind, Option<Duration>),
    /// The run ends. Nothing was sent.
    Stopped,
}

/// The stream of a user's random numbers. It depends on the state, because the registration and the journey of a user
/// would otherwise draw the same numbers.
fn stream(id: i64, state: UserState) -> u64 {
    (id as u64) << 8 | state.index() as u64
}

/// The random numbers of a user that the scenario's seed repeats.
fn repeatable(run: &RunContext, id: i64, state: UserState) -> SmallRng {
    let seed = run.scenario.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    SmallRng::seed_from_u64(seed ^ stream(id, state))
}

/// The position of a user's first poll within its pause, 0..1.
pub(super) fn spread(run: &RunContext, id: i64) -> f64 {
    repeatable(run, id, UserState::Arriving).random()
}

/// The end of a journey, with its final state.
struct End(UserState);

pub(super) use queue::Polled;
pub(super) use waiting::WaitingUser;

pub(super) struct User {
    worker: Arc<Worker>,
    id: i64,
    state: UserState,
    client: HttpClient,
    /// The traffic of the user: [`BUYERS`] or a traffic group.
    traffic: usize,
    /// The current step of a traffic group's journey.
    step: Option<Arc<Step>>,
    /// The results of earlier steps, for a user of a traffic group.
    step_state: steps::StepState,
    /// Random numbers that the scenario's seed repeats: think times, wished seats.
    rng: SmallRng,
    /// Random numbers that differ between runs: trace ids, idempotency keys.
    ids: SmallRng,
}

impl User {
    pub(super) fn new(worker: Arc<Worker>, id: i64, state: UserState, client: HttpClient) -> User {
        User {
            rng: repeatable(&worker.run, id, state),
            ids: SmallRng::seed_from_u64(worker.run.nonce ^ stream(id, state)),
            worker,
            id,
            state,
            client,
            traffic: BUYERS,
            step: None,
            step_state: steps::StepState::default(),
        }
    }

    /// Makes the user one of a traffic group.
    pub(super) fn of_traffic(mut self, traffic: usize) -> User {
        self.traffic = traffic;
        self
    }

    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// Gives up the connection, so that the next user can use it.
    pub(super) fn into_client(self) -> HttpClient {
        self.client
    }

    fn enter(&mut self, state: UserState) {
        self.worker.run.user_moved(self.state, state);
        self.state = state;
    }

    /// Waits for the due time, or for the end of a pause of the whole run. Returns the instant at which the request
    /// was due.
    async fn wait_until(&self, due: Instant, operation: Operation) -> Instant {
        if due > Instant::now() {
            sleep_until(due.into()).await;
            if self.records(operation) {
                let lag = micros(due.elapsed());
                let note = |frame: &mut Frame| frame.lag.saturating_record(lag);
                self.worker.recorder.with(note);
            }
        }
        if !self.worker.run.pacing.is_paused() {
            return due;
        }
        tokio::select! {
            () = self.worker.run.pacing.resumed() => {}
            () = self.worker.run.stop.cancelled() => {}
        }
        Instant::now()
    }

    async fn think(&mut self, pause: Pause, operation: Operation) -> Instant {
        let pause = pause.draw(&mut self.rng);
        let due = Instant::now() + self.worker.run.pacing.scaled(pause);
        self.wait_until(due, operation).await
    }

    fn records(&self, operation: Operation) -> bool {
        self.worker.run.records_of(self.traffic, operation)
    }

    /// Sends one request and records its outcome. `read` parses a success.
    async fn send_once<T>(
        &mut self,
        operation: Operation,
        due: Instant,
        want: Want,
        build: impl Fn(&RequestBuilder) -> Outgoing,
        read: impl FnOnce(&Answer) -> Option<T>,
    ) -> Outcome<T> {
        let worker = Arc::clone(&self.worker);
        let run = &worker.run;
        if run.is_stopping() {
            return Outcome::Stopped;
        }
        let mut request = build(&run.requests);
        let trace = requests::trace(&mut request, &mut self.ids);
        worker.in_flight.fetch_add(1, Relaxed);
        let exchange = self.client.exchange(&run.connector, request, want).await;
        worker.in_flight.fetch_sub(1, Relaxed);
        let handshakes = exchange.handshakes();
        let (outcome, class, error_kind, status, done) = match exchange.result {
            Err(error_kind) => (
                Outcome::Failed(error_kind, None),
                Class::Error,
                Some(error_kind),
                0,
                Instant::now(),
            ),
            Ok(answer) => {
                let expected = self.step.as_ref().map(|step| &step.expect[..]);
                let (outcome, class, error_kind) =
                    classify(run, operation, expected, &answer, read);
                (
                    outcome,
                    class,
                    error_kind,
                    answer.status.as_u16(),
                    answer.done,
                )
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
                traffic: self.traffic,
                user: self.id,
                operation,
                class,
                error_kind,
                status,
                due: due + handshakes,
                sent: exchange.sent,
                done,
                trace,
            };
            if let Some(meter) = &run.meter {
                let traffic = run.traffic_groups.get(self.traffic.wrapping_sub(1));
                (meter.0)(traffic.map_or("", |traffic| &traffic.name), &sample);
            }
            worker.recorder.with(|frame| {
                frame.record(&sample);
                if let Some(waited) = exchange.waited {
                    frame.connection_wait.saturating_record(micros(waited));
                }
                for handshake in &exchange.opened {
                    frame.opened += 1;
                    if let Some(handshake) = handshake {
                        frame.resumed += u64::from(handshake.resumed);
                        frame.handshakes.saturating_record(micros(handshake.took));
                    }
                }
            });
        }
        outcome
    }

    /// Remembers that an attempt of a write failed until an attempt succeeds.
    fn track_failed_write<T>(
        &self,
        unresolved: Option<UnresolvedWrite>,
        operation: Operation,
        user_id: i64,
        build: impl Fn(&RequestBuilder) -> Outgoing,
        outcome: &Outcome<T>,
    ) -> Option<UnresolvedWrite> {
        match (unresolved, outcome) {
            (Some(unresolved), Outcome::Ok(_)) => {
                unresolved.settle();
                None
            }
            // An unexpected success is not a failure of the write.
            (None, Outcome::Failed(error_kind, _)) if *error_kind != ErrorKind::Success => {
                let key = requests::key_of(&build(&self.worker.run.requests))?;
                let key = KeyFact { user_id, key };
                Some(UnresolvedWrite::new(
                    Arc::clone(&self.worker),
                    operation,
                    key,
                ))
            }
            (unresolved, _) => unresolved,
        }
    }

    /// Sends a request. Repeats it after no answer, a 5xx or a 429, as often as the scenario allows.
    async fn send_with_retries<T>(
        &mut self,
        operation: Operation,
        mut due: Instant,
        want: Want,
        build: impl Fn(&RequestBuilder) -> Outgoing,
        read: impl Fn(&Answer) -> Option<T>,
    ) -> Outcome<T> {
        let http = self.worker.run.scenario.http;
        let mut pause = http.retry_pause.0;
        let mut left = http.retries;
        let mut unresolved = None;
        loop {
            let outcome = self.send_once(operation, due, want, &build, &read).await;
            unresolved = self.track_failed_write(unresolved, operation, self.id, &build, &outcome);
            let wish = match &outcome {
                Outcome::Failed(error_kind, wish)
                    if error_kind.is_silence() || *error_kind == ErrorKind::Server =>
                {
                    *wish
                }
                Outcome::Refused(Some(wish)) => Some(*wish),
                _ => return outcome,
            };
            if left == 0 {
                return outcome;
            }
            left -= 1;
            due = Instant::now() + wish.unwrap_or(pause);
            pause = (pause * 2).min(MOST_RETRY_PAUSE);
            due = self.wait_until(due, operation).await;
        }
    }

    /// The whole journey from its due time on.
    pub(super) async fn arrive(mut self, due: Instant) {
        if self.traffic != BUYERS {
            self.worker.run.user_arrived();
        }
        if let Some(mut waiting) = self.register(due).await
            && self.worker.run.last_phase != PhaseName::Register
        {
            match self.queue(&mut waiting).await {
                Ok(()) => self.buy(&waiting.token()).await,
                Err(End(state)) => self.enter(state),
            }
        }
    }

    /// The journey after the admission, up to its end or to the end of the run.
    pub(super) async fn buy(&mut self, token: &HeaderValue) {
        let End(state) = match self.steps(token).await {
            Ok(state) => End(state),
            Err(end) => end,
        };
        self.enter(state);
    }

    async fn steps(&mut self, token: &HeaderValue) -> Result<UserState, End> {
        let held = self.find_seat(token).await?;
        self.enter(UserState::Reserved);
        if self.worker.run.last_phase == PhaseName::Open {
            return Ok(UserState::PhaseDone);
        }
        self.settle(&held, token).await
    }

    /// The value of a step that the journey needs to continue.
    fn required<T>(&self, outcome: Outcome<T>) -> Result<T, End> {
        match outcome {
            Outcome::Ok(value) => Ok(value),
            Outcome::Stopped => Err(End(self.state)),
            Outcome::Refused(_) | Outcome::Failed(..) => Err(End(UserState::GaveUp)),
        }
    }
}
