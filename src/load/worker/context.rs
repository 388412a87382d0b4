//! The state that all workers of a run share. Workers only read it or add to its atomics, so no request waits for a
//! lock.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio_util::sync::CancellationToken;

use super::executors::TrafficGroup;
use crate::api::ops::Dataset;
use crate::load::arrivals::Arrivals;
use crate::load::connection::Connector;
use crate::load::model::{Operation, PhaseName, UserState};
use crate::load::pacing::Pacing;
use crate::load::prepare::Servers;
use crate::load::requests::RequestBuilder;
use crate::load::scenario::{Scenario, Shape};
use crate::load::seat_picker::SeatPicker;
use crate::load::{LoadError, Meter, RunOptions};

/// The largest number of threads of a run, unless the scenario names a number.
const MAX_WORKERS: usize = 8;

/// The state that all workers of a run share.
#[derive(Debug)]
pub(in crate::load) struct RunContext {
    pub scenario: Scenario,
    pub requests: RequestBuilder,
    pub connector: Connector,
    pub seat_picker: SeatPicker,
    /// The last phase of this run.
    pub last_phase: PhaseName,
    /// The only phase that is measured. `None` means all of them.
    pub only_phase: Option<PhaseName>,
    pub traffic_groups: Vec<Arc<TrafficGroup>>,
    /// The part of the users that this process runs.
    pub shard: ShardSpec,
    /// Worker threads of this process.
    pub workers: usize,
    /// The due time of the last buyer. It is 0 when all arrive at once.
    pub last_arrival: Duration,
    pub pacing: Pacing,
    pub meter: Option<Meter>,
    /// Cancelled when an operator ends the phase: `register`, then `open`.
    pub ended_phases: [CancellationToken; 2],
    /// Random for each run, so that trace ids and idempotency keys differ between runs with the same seed.
    pub nonce: u64,
    /// The highest place that was ACTIVE in an answer.
    pub highest_active: AtomicU64,
    pub stop: CancellationToken,
    stopping: AtomicBool,
    opened: OnceLock<Instant>,
    users: [AtomicI64; UserState::ALL.len()],
}

impl RunContext {
    /// The context of a run on `dataset`, whose requests go to `servers`.
    pub(in crate::load) fn new(
        options: &RunOptions,
        servers: Servers,
        dataset: &Dataset,
    ) -> Result<Arc<RunContext>, LoadError> {
        let scenario = options.scenario.clone();
        let authority = &servers.authority;
        let requests = RequestBuilder::new(authority, dataset.on_sale_concert)
            .map_err(|error| LoadError::Target(format!("`{authority}`: {error}")))?;
        let users: [AtomicI64; UserState::ALL.len()] = Default::default();
        let buyers = options.shard.share(scenario.users as usize);
        users[UserState::Arriving.index()].store(buyers as i64, Relaxed);
        let last_arrival = match scenario.arrival.shape {
            Shape::Burst => None,
            _ => arrivals(&scenario).take(scenario.users as usize).last(),
        };
        Ok(Arc::new(RunContext {
            requests,
            connector: Connector::new(servers.places, &scenario.http),
            seat_picker: SeatPicker::new(dataset, &scenario.contention),
            last_phase: options.phase.unwrap_or(PhaseName::Pay),
            only_phase: options.phase,
            traffic_groups: TrafficGroup::all(&scenario),
            shard: options.shard,
            workers: workers(&scenario, cores()),
            last_arrival: last_arrival.unwrap_or_default(),
            pacing: Pacing::default(),
            ended_phases: Default::default(),
            meter: options.meter.clone(),
            nonce: rand::random(),
            highest_active: AtomicU64::new(0),
            stop: CancellationToken::new(),
            stopping: AtomicBool::new(false),
            opened: OnceLock::new(),
            users,
            scenario,
        }))
    }

    /// The due times of the buyers of all workers, in order.
    pub(super) fn arrivals(&self) -> impl Iterator<Item = Duration> + use<> {
        arrivals(&self.scenario)
    }

    /// The number of connections that suffices for every user of this process to send without a wait.
    pub(in crate::load) fn wanted_connections(&self) -> usize {
        let groups = self.traffic_groups.iter();
        let of_groups = groups.map(|group| self.shard.share(group.max_users()));
        self.shard.share(self.scenario.users as usize) + of_groups.sum::<usize>()
    }

    /// The number of workers over all processes of the run, among which the users are divided.
    pub(super) fn all_workers(&self) -> usize {
        self.workers * self.shard.of
    }

    /// Ends a phase on command. Its users begin the next phase or finish.
    pub(in crate::load) fn end_phase(&self, phase: PhaseName) {
        match phase {
            PhaseName::Register => self.ended_phases[0].cancel(),
            PhaseName::Open => self.ended_phases[1].cancel(),
            PhaseName::Pay => self.end(),
        }
    }

    /// Returns whether a command ended the phase.
    pub(in crate::load) fn has_ended(&self, phase: PhaseName) -> bool {
        match phase {
            PhaseName::Register => self.ended_phases[0].is_cancelled(),
            PhaseName::Open => self.ended_phases[1].is_cancelled(),
            PhaseName::Pay => self.is_stopping(),
        }
    }

    /// Ends the run. No request begins after this.
    pub(in crate::load) fn end(&self) {
        self.stopping.store(true, Relaxed);
        self.stop.cancel();
    }

    pub(in crate::load) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// Records the opening of the sale.
    pub(in crate::load) fn open(&self) {
        // A second opening changes nothing, because users waited for the first.
        let _ = self.opened.set(Instant::now());
    }

    /// The time at which the sale opened, or now if it has not opened yet.
    pub(in crate::load) fn opened(&self) -> Instant {
        self.has_opened().unwrap_or_else(Instant::now)
    }

    pub(in crate::load) fn has_opened(&self) -> Option<Instant> {
        self.opened.get().copied()
    }

    /// Returns whether requests of this phase are measured.
    fn records(&self, phase: PhaseName) -> bool {
        self.only_phase.is_none_or(|only_phase| only_phase == phase)
    }

    /// Returns whether requests of `traffic` are measured. A traffic group belongs to the phase in which it begins.
    pub(in crate::load) fn records_of(&self, traffic: usize, operation: Operation) -> bool {
        match self.traffic_groups.get(traffic.wrapping_sub(1)) {
            None => self.records(operation.phase()),
            Some(group) => self.records(group.phase()),
        }
    }

    /// Counts a user of a traffic group who buys.
    pub(in crate::load) fn user_arrived(&self) {
        self.users[UserState::Arriving.index()].fetch_add(1, Relaxed);
    }

    /// Returns whether the scenario expects this refusal.
    pub(in crate::load) fn expects(&self, operation: Operation, status: StatusCode) -> bool {
        let statuses = self.scenario.refusals.get(&operation);
        statuses.is_some_and(|statuses| statuses.contains(&status.as_u16()))
    }

    pub(in crate::load) fn user_moved(&self, from: UserState, to: UserState) {
        self.users[from.index()].fetch_sub(1, Relaxed);
        self.users[to.index()].fetch_add(1, Relaxed);
    }

    /// Users by state, in the order of [`UserState::ALL`].
    pub(in crate::load) fn users(&self) -> Vec<(UserState, u64)> {
        let count = |state: &UserState| {
            let count = self.users[state.index()].load(Relaxed);
            (*state, count.max(0).unsigned_abs())
        };
        UserState::ALL.iter().map(count).collect()
    }
}

fn arrivals(scenario: &Scenario) -> Arrivals {
    Arrivals::new(scenario.arrival.clone(), scenario.seed)
}

/// The cores of this machine.
pub(in crate::load) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The number of worker threads: the scenario's number or the number of cores, but at most one per user.
fn workers(scenario: &Scenario, cores: usize) -> usize {
    let asked = scenario.generator.workers;
    let count = asked.map_or(cores.min(MAX_WORKERS), |count| count as usize);
    let users = usize::try_from(scenario.everybody()).unwrap_or(usize::MAX);
    count.clamp(1, users.max(1))
}

/// The part of the users that a process runs, if several processes share a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardSpec {
    /// The index of the part, from 0.
    pub index: usize,
    /// The number of parts.
    pub of: usize,
}

impl Default for ShardSpec {
    fn default() -> ShardSpec {
        ShardSpec { index: 0, of: 1 }
    }
}

impl ShardSpec {
    /// The share of this part in `total`.
    pub(in crate::load) fn share(self, total: usize) -> usize {
        share(total, self.index, self.of)
    }
}

/// The share of the part `index` of `parts` in `total`.
pub(super) fn share(total: usize, index: usize, parts: usize) -> usize {
    total / parts + usize::from(index < total % parts)
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
