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

mod buyers;
mod crowds;

use self::crowds::{Crowd, Part};
use super::Meter;
use super::arrivals::Arrivals;
use super::connection::{Connector, Lines};
use super::hall::Hall;
use super::health::ThreadClock;
use super::model::{Operation, PhaseName, UserState};
use super::recorder::Shard;
use super::scenario::{Scenario, Shape};
use super::tempo::Tempo;
use super::unacknowledged::FailedWrites;
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
    pub crowds: Vec<Arc<Crowd>>,
    /// Which part of the users this process carries.
    pub shard: ShardOf,
    /// Threads that carry them.
    pub workers: usize,
    /// When the buyers arrive, by their number; empty: in a burst.
    pub arrivals: Vec<Duration>,
    pub tempo: Tempo,
    pub meter: Option<Meter>,
    /// The phases up to here were ended by hand.
    pub over: [CancellationToken; 2],
    /// Different in every run.
    pub nonce: u64,
    /// The highest place that was seen ACTIVE.
    pub furthest: AtomicU64,
    pub stop: CancellationToken,
    stopping: AtomicBool,
    opened: OnceLock<Instant>,
    users: [AtomicI64; UserState::ALL.len()],
}

/// What a run is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub scenario: Arc<Scenario>,
    pub wire: Wire,
    pub connector: Connector,
    pub hall: Hall,
    pub only: Option<PhaseName>,
    pub shard: ShardOf,
    pub workers: usize,
    pub meter: Option<Meter>,
}

impl Run {
    pub(super) fn new(parts: Parts) -> Run {
        let scenario = parts.scenario;
        let users: [AtomicI64; UserState::ALL.len()] = Default::default();
        let mine = share(scenario.users as usize, parts.shard.index, parts.shard.of);
        users[UserState::Arriving.index()].store(mine as i64, Relaxed);
        let arrivals = match scenario.arrival.shape {
            Shape::Burst => Vec::new(),
            _ => Arrivals::new(scenario.arrival.clone(), scenario.seed)
                .take(scenario.users as usize)
                .collect(),
        };
        Run {
            wire: parts.wire,
            connector: parts.connector,
            hall: parts.hall,
            until: parts.only.unwrap_or(PhaseName::Pay),
            only: parts.only,
            crowds: Crowd::all(&scenario.traffic, scenario.users),
            shard: parts.shard,
            workers: parts.workers,
            arrivals,
            tempo: Tempo::default(),
            over: Default::default(),
            meter: parts.meter,
            nonce: rand::random(),
            furthest: AtomicU64::new(0),
            stop: CancellationToken::new(),
            stopping: AtomicBool::new(false),
            opened: OnceLock::new(),
            users,
            scenario,
        }
    }

    /// Connections it would like: one for each who is under way at a time.
    pub(super) fn wanted_connections(&self) -> usize {
        let part = |total: usize| share(total, self.shard.index, self.shard.of);
        let crowds = self.crowds.iter();
        let crowds = crowds.map(|crowd| part(crowd.connections() as usize));
        part(self.scenario.users as usize) + crowds.sum::<usize>()
    }

    /// Parts into which all users are divided, over all processes.
    pub(super) fn parts(&self) -> usize {
        self.workers * self.shard.of
    }

    /// Ends a phase by hand: whoever is in it goes on to the next, or home.
    pub(super) fn end_phase(&self, phase: PhaseName) {
        match phase {
            PhaseName::Register => self.over[0].cancel(),
            PhaseName::Open => self.over[1].cancel(),
            PhaseName::Pay => self.end(),
        }
    }

    /// Whether the registering, or the looking for seats, was ended by hand.
    pub(super) fn is_over(&self, phase: PhaseName) -> bool {
        match phase {
            PhaseName::Register => self.over[0].is_cancelled(),
            PhaseName::Open => self.over[1].is_cancelled(),
            PhaseName::Pay => self.is_stopping(),
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

    /// Whether the buyers' requests of that phase are measured.
    pub(super) fn records(&self, phase: PhaseName) -> bool {
        self.only.is_none_or(|only| only == phase)
    }

    /// Whether requests of `crowd` are measured: a crowd belongs to the phase it begins with.
    pub(super) fn records_of(&self, crowd: usize, operation: Operation) -> bool {
        match self.crowds.get(crowd.wrapping_sub(1)) {
            None => self.records(operation.phase()),
            Some(crowd) => self.records(crowd.plan.phase.phase()),
        }
    }

    /// Somebody came whom nobody counted on.
    pub(super) fn came(&self) {
        self.users[UserState::Arriving.index()].fetch_add(1, Relaxed);
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

/// A part of the users, of several processes that carry them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardOf {
    /// Which, from 0.
    pub index: usize,
    /// Of how many.
    pub of: usize,
}

impl Default for ShardOf {
    fn default() -> ShardOf {
        ShardOf { index: 0, of: 1 }
    }
}

/// One worker's own part.
#[derive(Debug)]
pub(super) struct Worker {
    pub run: Arc<Run>,
    pub shard: Shard,
    /// What the server acknowledged to this worker's users.
    pub facts: Mutex<LookupRequest>,
    /// Writes that this worker's users saw fail.
    pub failed: Mutex<FailedWrites>,
    pub in_flight: AtomicUsize,
    /// Requests that got an answer, measured or not.
    pub answered: AtomicU64,
    /// Requests that got none.
    pub unanswered: AtomicU64,
    pub clock: ThreadClock,
    lines: Lines,
    crowds: Vec<Part>,
    /// This worker's users are `place + 1`, `place + 1 + parts`, … up to the scenario's number.
    next: AtomicI64,
    index: usize,
    lanes: usize,
}

/// How many of `total` the part `index` of `parts` gets.
pub(super) fn share(total: usize, index: usize, parts: usize) -> usize {
    total / parts + usize::from(index < total % parts)
}

impl Worker {
    /// Worker `index` of the run's, with its share of `connections`.
    pub(super) fn new(run: Arc<Run>, index: usize, connections: usize) -> Arc<Worker> {
        let of = run.shard;
        let part = |total: usize| share(share(total, of.index, of.of), index, run.workers);
        let users = part(run.scenario.users as usize);
        let crowds = run
            .crowds
            .iter()
            .map(|crowd| part(crowd.connections() as usize));
        let wanted = users + crowds.sum::<usize>();
        let connections = share(connections, index, run.workers).max(1);
        // With fewer than wanted, everybody shares all.
        let shared = (connections < wanted).then(|| Lines::pool(connections));
        let crowds = run.crowds.iter();
        let crowds = crowds.map(|crowd| Part::new(crowd, &run, index, shared.as_ref()));
        let place = of.index + index * of.of;
        Arc::new(Worker {
            shard: Shard::of(run.crowds.len() + 1),
            facts: Mutex::default(),
            failed: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            answered: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            clock: ThreadClock::default(),
            crowds: crowds.collect(),
            lines: shared.unwrap_or_else(Lines::own),
            next: AtomicI64::new(place as i64 + 1),
            index,
            lanes: part(run.scenario.register.connections as usize).clamp(1, connections),
            run,
        })
    }

    /// Its place among all parts of the users.
    pub(super) fn place(&self) -> usize {
        self.run.shard.index + self.index * self.run.shard.of
    }

    /// Carries its users through the stages. Returns when all are done or the run was ended.
    pub(super) async fn carry(
        self: &Arc<Worker>,
        stage: watch::Receiver<Stage>,
        events: mpsc::Sender<Event>,
    ) {
        let clock = Arc::clone(self);
        let ticking = tokio::spawn(async move { clock.clock.keep().await });
        tokio::join!(
            self.carry_buyers(stage.clone(), &events),
            self.carry_crowds(stage)
        );
        ticking.abort();
        self.clock.read();
        // Nobody listening any more means that the run is over: nothing to report to.
        let _ = events.send(Event::Done).await;
    }

    async fn carry_crowds(self: &Arc<Worker>, stage: watch::Receiver<Stage>) {
        let carried = self.crowds.iter().map(|part| {
            let mut stage = stage.clone();
            async move {
                let wanted = |stage: &Stage| match part.phase() {
                    PhaseName::Register => true,
                    _ => *stage == Stage::Open,
                };
                let begins = tokio::select! {
                    begins = stage.wait_for(wanted) => begins.is_ok(),
                    () = self.run.stop.cancelled() => false,
                };
                if begins {
                    self.carry_crowd(part).await;
                }
            }
        });
        futures_util::future::join_all(carried).await;
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
