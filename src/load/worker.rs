//! A worker: one thread with a runtime of its own that carries a share of the users, so that their
//! tasks, timers and connections never change threads and nothing on a request's path is contended.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection::{Connector, Lines};
use super::hall::Hall;
use super::health::ThreadClock;
use super::model::{Operation, PhaseName, UserState};
use super::recorder::Shard;
use super::scenario::Scenario;
use super::user::{Ticket, User};
use super::wire::Wire;
use crate::api::ops::LookupRequest;

/// How far the run has come, as the workers need to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Everyone registers.
    Register,
    /// The sale is open.
    Open,
}

/// What a worker reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// All its users have registered or given up.
    Registered,
    /// All its users are done.
    Done,
}

/// What all workers of a run share.
#[derive(Debug)]
pub(super) struct Run {
    pub scenario: Arc<Scenario>,
    pub wire: Wire,
    pub connector: Connector,
    pub hall: Hall,
    /// The last phase of this run.
    pub until: PhaseName,
    /// The only phase that is measured; all when none is named.
    pub only: Option<PhaseName>,
    /// Different in every run.
    pub nonce: u64,
    /// The highest place that was seen ACTIVE.
    pub furthest: AtomicU64,
    pub stop: CancellationToken,
    stopping: AtomicBool,
    opened: OnceLock<Instant>,
    users: [AtomicI64; UserState::ALL.len()],
}

impl Run {
    pub(super) fn new(
        scenario: Arc<Scenario>,
        wire: Wire,
        connector: Connector,
        hall: Hall,
        only: Option<PhaseName>,
    ) -> Run {
        let users: [AtomicI64; UserState::ALL.len()] = Default::default();
        users[UserState::Arriving.index()].store(i64::from(scenario.users), Relaxed);
        Run {
            scenario,
            wire,
            connector,
            hall,
            until: only.unwrap_or(PhaseName::Pay),
            only,
            nonce: rand::random(),
            furthest: AtomicU64::new(0),
            stop: CancellationToken::new(),
            stopping: AtomicBool::new(false),
            opened: OnceLock::new(),
            users,
        }
    }

    /// From now on nothing new is sent.
    pub(super) fn end(&self) {
        self.stopping.store(true, Relaxed);
        self.stop.cancel();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// Notes the opening of the sale.
    pub(super) fn open(&self) {
        // A second opening changes nothing: the first is the one people waited for.
        let _ = self.opened.set(Instant::now());
    }

    /// When the sale opened; now, if it has not.
    pub(super) fn opened(&self) -> Instant {
        self.opened.get().copied().unwrap_or_else(Instant::now)
    }

    pub(super) fn has_opened(&self) -> Option<Instant> {
        self.opened.get().copied()
    }

    /// Whether requests of that phase are measured.
    pub(super) fn records(&self, phase: PhaseName) -> bool {
        self.only.is_none_or(|only| only == phase)
    }

    /// Whether the scenario expects that no.
    pub(super) fn expects(&self, operation: Operation, status: StatusCode) -> bool {
        let statuses = self.scenario.refusals.get(&operation);
        statuses.is_some_and(|statuses| statuses.contains(&status.as_u16()))
    }

    pub(super) fn moved(&self, from: UserState, to: UserState) {
        self.users[from.index()].fetch_sub(1, Relaxed);
        self.users[to.index()].fetch_add(1, Relaxed);
    }

    /// Users by state, in the order of [`UserState::ALL`].
    pub(super) fn users(&self) -> Vec<(UserState, u64)> {
        let count = |state: &UserState| {
            self.users[state.index()]
                .load(Relaxed)
                .max(0)
                .unsigned_abs()
        };
        UserState::ALL
            .iter()
            .map(|state| (*state, count(state)))
            .collect()
    }
}

/// One worker's own part.
#[derive(Debug)]
pub(super) struct Worker {
    pub run: Arc<Run>,
    pub shard: Shard,
    /// What the server acknowledged to this worker's users.
    pub facts: Mutex<LookupRequest>,
    pub in_flight: AtomicUsize,
    /// Requests that got an answer, measured or not.
    pub answered: AtomicU64,
    /// Requests that got none.
    pub unanswered: AtomicU64,
    pub clock: ThreadClock,
    lines: Lines,
    /// This worker's users are `first`, `first + step`, … up to the scenario's number.
    next: AtomicI64,
    step: i64,
    lanes: usize,
}

/// How many of `total` the part `index` of `parts` gets.
pub(super) fn share(total: usize, index: usize, parts: usize) -> usize {
    total / parts + usize::from(index < total % parts)
}

impl Worker {
    /// Worker `index` of `workers`, with its share of `connections`.
    pub(super) fn new(
        run: Arc<Run>,
        index: usize,
        workers: usize,
        connections: usize,
    ) -> Arc<Worker> {
        let users = share(run.scenario.users as usize, index, workers);
        let connections = share(connections, index, workers).max(1);
        let lanes = share(run.scenario.register.connections as usize, index, workers);
        Arc::new(Worker {
            shard: Shard::default(),
            facts: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            answered: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            clock: ThreadClock::default(),
            lines: Lines::new(users, connections),
            next: AtomicI64::new(index as i64 + 1),
            step: workers as i64,
            lanes: lanes.clamp(1, connections),
            run,
        })
    }

    /// Carries its users through the stages. Returns when all are done or the run was ended.
    pub(super) async fn carry(
        self: &Arc<Worker>,
        mut stage: watch::Receiver<Stage>,
        events: mpsc::Sender<Event>,
    ) {
        let clock = Arc::clone(self);
        let ticking = tokio::spawn(async move { clock.clock.keep().await });
        let tickets = self.register_all().await;
        let registered = events.send(Event::Registered).await.is_ok();
        let opened = tokio::select! {
            opened = stage.wait_for(|stage| *stage == Stage::Open) => opened.is_ok(),
            () = self.run.stop.cancelled() => false,
        };
        if registered && opened && self.run.until != PhaseName::Register {
            let mut users = JoinSet::new();
            for ticket in tickets {
                let user = User::new(
                    Arc::clone(self),
                    ticket.user,
                    UserState::Waiting,
                    self.lines.line(),
                );
                users.spawn(user.journey(ticket));
            }
            self.finish(&mut users).await;
        }
        ticking.abort();
        self.clock.read();
        // Nobody listening any more means that the run is over: nothing to report to.
        let _ = events.send(Event::Done).await;
    }

    /// The closed executor of the first phase: as many lanes as the scenario says, each over a
    /// connection of its own, take one user after the other.
    async fn register_all(self: &Arc<Worker>) -> Vec<Ticket> {
        let tickets = Arc::new(Mutex::new(Vec::new()));
        let mut lanes = JoinSet::new();
        for _ in 0..self.lanes {
            let (worker, tickets) = (Arc::clone(self), Arc::clone(&tickets));
            lanes.spawn(async move {
                let mut line = worker.lines.line();
                while let Some(id) = worker.next_user() {
                    let mut user = User::new(Arc::clone(&worker), id, UserState::Arriving, line);
                    let ticket = user.register().await;
                    tickets.lock().extend(ticket);
                    line = user.into_line();
                }
            });
        }
        self.finish(&mut lanes).await;
        std::mem::take(&mut *tickets.lock())
    }

    fn next_user(&self) -> Option<i64> {
        if self.run.is_stopping() {
            return None;
        }
        let id = self.next.fetch_add(self.step, Relaxed);
        (id <= i64::from(self.run.scenario.users)).then_some(id)
    }

    /// Waits for all tasks. When the run is ended, requests under way may still be answered within
    /// their time-out; who only waits is sent home at once.
    async fn finish(&self, tasks: &mut JoinSet<()>) {
        let all = async { while tasks.join_next().await.is_some() {} };
        tokio::select! {
            () = all => return,
            () = self.run.stop.cancelled() => {}
        }
        let limits = &self.run.connector;
        let deadline = Instant::now() + limits.request_timeout + limits.connect_timeout;
        while self.in_flight.load(Relaxed) > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tasks.shutdown().await;
    }
}

/// Starts the worker's thread. It ends by itself once its users are done or the run was ended.
///
/// # Errors
/// When the system has no thread or timer left.
pub(super) fn spawn(
    worker: &Arc<Worker>,
    stage: watch::Receiver<Stage>,
    events: mpsc::Sender<Event>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let worker = Arc::clone(worker);
    std::thread::Builder::new()
        .name("load-worker".to_owned())
        .spawn(move || {
            runtime.block_on(worker.carry(stage, events));
        })
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares_add_up_to_the_whole() {
        for (total, parts) in [(10, 3), (2, 4), (0, 2), (20_000, 7)] {
            assert_eq!(
                (0..parts)
                    .map(|index| share(total, index, parts))
                    .sum::<usize>(),
                total
            );
        }
    }
}
