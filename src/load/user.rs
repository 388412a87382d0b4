//! A virtual user: registers, polls as the server tells, and once admitted looks, reserves, pays.
//!
//! Each request has a planned instant: the end of the think time, the moment `pollAfterMs` named,
//! the end of a retry pause. Where nothing is waited for, the plan is the end of the step before.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::sleep_until;

use super::connection::{Answer, Line, Outgoing, Want};
use super::model::{Class, Fault, Operation, PhaseName, UserState};
use super::recorder::{Sample, micros};
use super::scenario::{Between, Choice, Otherwise};
use super::wire::{Sign, Wire, idempotency_key};
use super::worker::Worker;
use crate::api::ops::{ChargeFact, PlaceFact, ReservationFact};
use crate::api::ticketing::{QueueEntry, Reserved, SeatState, Seats, WaitStatus};
use crate::api::{ErrorCode, Problem};

/// A server that says "ask again at once" is asked at most this often.
const LEAST_POLL_PAUSE: Duration = Duration::from_millis(20);
const MOST_POLL_PAUSE: Duration = Duration::from_secs(300);

/// A place in the queue, as its holder knows it.
#[derive(Debug)]
pub(super) struct Ticket {
    pub user: i64,
    token: HeaderValue,
    place: u64,
    /// When the server wants to be asked again …
    poll_at: Instant,
    /// … and how long that was from the answer.
    poll_after: Duration,
}

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

/// A seat held.
struct Held {
    reservation: i64,
}

pub(super) struct User {
    worker: Arc<Worker>,
    id: i64,
    state: UserState,
    line: Line,
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
            draws: SmallRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stream),
            ids: SmallRng::seed_from_u64(nonce ^ stream),
        }
    }

    /// Becomes the next user on the same line.
    pub(super) fn into_line(self) -> Line {
        self.line
    }

    fn enter(&mut self, state: UserState) {
        self.worker.run.moved(self.state, state);
        self.state = state;
    }

    /// Waits for the planned instant and notes how much later this got its turn.
    async fn wait_until(&self, planned: Instant, operation: Operation) {
        if planned <= Instant::now() {
            return;
        }
        sleep_until(planned.into()).await;
        if self.worker.run.records(operation.phase()) {
            let lag = micros(planned.elapsed());
            self.worker
                .shard
                .with(|frame| frame.lag.saturating_record(lag));
        }
    }

    async fn think(&mut self, pause: Between, operation: Operation) -> Instant {
        let (least, most) = (pause.least.0, pause.most.0);
        let drawn = if least == most {
            least
        } else {
            self.draws.random_range(least..=most)
        };
        let planned = Instant::now() + drawn;
        self.wait_until(planned, operation).await;
        planned
    }

    /// Sends one request and writes down how it went. `read` makes sense of a success.
    async fn attempt<T>(
        &mut self,
        operation: Operation,
        planned: Instant,
        want: Want,
        build: impl Fn(&Wire, &mut SmallRng) -> Outgoing,
        read: impl FnOnce(&Answer) -> Option<T>,
    ) -> Outcome<T> {
        let worker = Arc::clone(&self.worker);
        let run = &worker.run;
        if run.is_stopping() {
            return Outcome::Stopped;
        }
        let request = build(&run.wire, &mut self.ids);
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
                let (outcome, class, fault) = judge(run, operation, &answer, read);
                (outcome, class, fault, answer.status.as_u16(), answer.done)
            }
        };
        if status == 0 {
            &worker.unanswered
        } else {
            &worker.answered
        }
        .fetch_add(1, Relaxed);
        if run.records(operation.phase()) {
            let phase = operation.phase();
            let sample = Sample {
                operation,
                phase,
                class,
                fault,
                status,
                planned,
                sent: exchange.sent,
                done,
            };
            worker.shard.with(|frame| {
                frame.record(&sample);
                if let Some(waited) = exchange.waited {
                    frame.connection_wait.saturating_record(micros(waited));
                }
            });
        }
        outcome
    }

    /// Sends a request again while there is hope: after no answer, a 5xx, or a 429.
    async fn persist<T>(
        &mut self,
        operation: Operation,
        mut planned: Instant,
        want: Want,
        build: impl Fn(&Wire, &mut SmallRng) -> Outgoing,
        read: impl Fn(&Answer) -> Option<T>,
    ) -> Outcome<T> {
        let http = self.worker.run.scenario.http;
        let mut pause = http.retry_pause.0;
        let mut left = http.retries;
        loop {
            let outcome = self.attempt(operation, planned, want, &build, &read).await;
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
            self.wait_until(planned, operation).await;
        }
    }

    /// Takes a place in the queue. `None` when it could not be had.
    pub(super) async fn register(&mut self) -> Option<Ticket> {
        let id = self.id;
        let build = |wire: &Wire, rng: &mut SmallRng| wire.register(id, rng);
        let read = |answer: &Answer| {
            let entry: QueueEntry = serde_json::from_slice(&answer.body).ok()?;
            Some((entry, answer.token.clone()?, answer.done))
        };
        match self
            .persist(Operation::Register, Instant::now(), Want::Body, build, read)
            .await
        {
            Outcome::Ok((entry, token, done)) => {
                let fact = PlaceFact {
                    place: entry.wait_id,
                    user_id: id,
                };
                self.worker.facts.lock().places.push(fact);
                let last = self.worker.run.until == PhaseName::Register;
                self.enter(if last {
                    UserState::PhaseDone
                } else {
                    UserState::Waiting
                });
                let poll_after = poll_pause(&entry);
                Some(Ticket {
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

    /// Polls as told until admitted.
    async fn queue(&mut self, ticket: &Ticket) -> Result<(), End> {
        let opened = self.worker.run.opened();
        // Had people polled before the opening, their turns would be spread over the interval that
        // the server named; those whose turn has passed are spread the same way after it.
        let mut planned = match ticket.poll_at > opened {
            true => ticket.poll_at,
            false => opened + ticket.poll_after.mul_f64(self.draws.random::<f64>()),
        };
        let mut promised: Option<Instant> = None;
        let mut waited_until = opened;
        loop {
            self.wait_until(planned, Operation::Poll).await;
            let furthest = self.worker.run.furthest.load(Relaxed);
            let sent = Instant::now();
            let build = |wire: &Wire, rng: &mut SmallRng| wire.poll(&ticket.token, rng);
            let read = |answer: &Answer| {
                Some((
                    serde_json::from_slice::<QueueEntry>(&answer.body).ok()?,
                    answer.done,
                ))
            };
            let pause = self.worker.run.scenario.http.retry_pause.0;
            match self
                .attempt(Operation::Poll, planned, Want::Body, build, read)
                .await
            {
                Outcome::Ok((entry, done)) => match entry.status {
                    WaitStatus::Active => {
                        self.note_order(false);
                        self.admitted(ticket, promised, waited_until, done);
                        return Ok(());
                    }
                    WaitStatus::Expired => return Err(End(UserState::GaveUp)),
                    WaitStatus::Wait => {
                        self.note_order(ticket.place < furthest);
                        waited_until = sent;
                        promised = promised.or_else(|| promise(&entry, done));
                        planned = done + poll_pause(&entry);
                    }
                },
                Outcome::Stopped => return Err(End(self.state)),
                Outcome::Failed(Fault::Client, _) => return Err(End(UserState::GaveUp)),
                Outcome::Refused(wish) | Outcome::Failed(_, wish) => {
                    planned = Instant::now() + wish.unwrap_or(pause).max(LEAST_POLL_PAUSE);
                }
            }
        }
    }

    /// A WAIT although somebody behind was seen ACTIVE before this was even asked is an inversion.
    fn note_order(&self, inverted: bool) {
        if self.worker.run.records(PhaseName::Open) {
            self.worker.shard.with(|frame| {
                frame.order_checks += 1;
                frame.inversions += u64::from(inverted);
            });
        }
    }

    /// The real admission lies between the last WAIT and the first ACTIVE; a promise inside that
    /// interval was right.
    fn admitted(
        &self,
        ticket: &Ticket,
        promised: Option<Instant>,
        waited_until: Instant,
        seen: Instant,
    ) {
        self.worker.run.furthest.fetch_max(ticket.place, Relaxed);
        let records = self.worker.run.records(PhaseName::Open);
        if let (Some(promised), true) = (promised, records) {
            let early = waited_until.saturating_duration_since(promised);
            let late = promised.saturating_duration_since(seen);
            self.worker
                .shard
                .with(|frame| frame.eta_error.saturating_record(micros(early.max(late))));
        }
    }

    /// Looks at dates and seats and tries to reserve, another seat each time.
    async fn find_seat(&mut self, token: &HeaderValue) -> Result<Held, End> {
        let think = self.worker.run.scenario.think;
        let contention = self.worker.run.scenario.contention;
        let planned = self.think(think.dates, Operation::Dates).await;
        let build = |wire: &Wire, rng: &mut SmallRng| wire.dates(token, rng);
        let looked = self
            .persist(Operation::Dates, planned, Want::Reason, build, |_| Some(()))
            .await;
        self.must(looked)?;
        let mut on_screen = None;
        for _ in 0..contention.attempts {
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
        let build = |wire: &Wire, rng: &mut SmallRng| wire.seats(date, token, rng);
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
                    .filter(|seat| seat.status == SeatState::Available);
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
        let build = |wire: &Wire, rng: &mut SmallRng| wire.reserve(user, date, seat, &sign, rng);
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
    async fn settle(&mut self, held: &Held, token: &HeaderValue) -> Result<UserState, End> {
        let (pay, think) = (self.worker.run.scenario.pay, self.worker.run.scenario.think);
        let (user, reservation) = (self.id, held.reservation);
        if !self.draws.random_bool(pay.share) {
            if pay.otherwise == Otherwise::Cancel {
                let planned = self.think(think.charge, Operation::Cancel).await;
                let build = |wire: &Wire, rng: &mut SmallRng| wire.cancel(reservation, token, rng);
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
        let planned = self.think(think.charge, Operation::Charge).await;
        let key = idempotency_key(&mut self.ids);
        let sign = Sign { token, key: &key };
        let build = |wire: &Wire, rng: &mut SmallRng| wire.charge(user, pay.charge, &sign, rng);
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
            at_least: pay.charge,
        });

        let planned = self.think(think.pay, Operation::Pay).await;
        let key = idempotency_key(&mut self.ids);
        let sign = Sign { token, key: &key };
        let build = |wire: &Wire, rng: &mut SmallRng| wire.pay(user, reservation, &sign, rng);
        let outcome = self
            .persist(Operation::Pay, planned, Want::Reason, build, |_| Some(()))
            .await;
        self.must(outcome)?;
        self.worker.facts.lock().payments.push(reservation);
        Ok(UserState::Paid)
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

fn poll_pause(entry: &QueueEntry) -> Duration {
    Duration::from_millis(entry.poll_after_ms).clamp(LEAST_POLL_PAUSE, MOST_POLL_PAUSE)
}

fn promise(entry: &QueueEntry, at: Instant) -> Option<Instant> {
    let eta = Duration::try_from_secs_f64(entry.eta_seconds?).ok()?;
    at.checked_add(eta)
}

fn judge<T>(
    run: &super::worker::Run,
    operation: Operation,
    answer: &Answer,
    read: impl FnOnce(&Answer) -> Option<T>,
) -> (Outcome<T>, Class, Option<Fault>) {
    let failed = |fault| {
        (
            Outcome::Failed(fault, answer.retry_after),
            Class::Error,
            Some(fault),
        )
    };
    if answer.status.is_success() {
        return match read(answer) {
            Some(value) => (Outcome::Ok(value), Class::Ok, None),
            None => failed(Fault::Protocol),
        };
    }
    let refused = |wish| (Outcome::Refused(wish), Class::Refused, None);
    match answer.status {
        StatusCode::TOO_MANY_REQUESTS => {
            refused(Some(answer.retry_after.unwrap_or(Duration::from_secs(1))))
        }
        status if status.is_server_error() => failed(Fault::Server),
        status if status.is_client_error() => {
            match run.expects(operation, status) && !is_misuse(answer) {
                true => refused(None),
                false => failed(Fault::Client),
            }
        }
        _ => failed(Fault::Protocol),
    }
}

/// Conflicts that say that the client, not the seat, is the reason: no contention, an error.
fn is_misuse(answer: &Answer) -> bool {
    let code = serde_json::from_slice::<Problem>(&answer.body).map(|problem| problem.code);
    matches!(
        code,
        Ok(ErrorCode::ReservationLimit | ErrorCode::IdempotencyMismatch)
    )
}
