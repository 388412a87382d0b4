//! Executors schedule the virtual users. The scenario names the executor of each traffic group. The buyers' executor
//! is `gated`.
//!
//! A new executor needs a variant and rules in `scenario/traffic.rs`, a file with its schedule here, and a line in
//! [`TrafficShare::run`].

mod closed;
pub(super) mod gated;
mod open;

use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use rand_distr::Distribution as _;
use rand_distr::weighted::WeightedIndex;

use super::Worker;
use crate::load::connection::ClientSource;
use crate::load::model::{PhaseName, UserState};
use crate::load::scenario::{Executor, Scenario, Step, Traffic};
use crate::load::user::User;

/// A traffic group in the form that the workers run.
#[derive(Debug)]
pub(in crate::load) struct TrafficGroup {
    pub name: String,
    /// Its index among the groups that are measured separately. The buyers have 0.
    index: usize,
    plan: Traffic,
    /// The id of its first user.
    first_user: i64,
    journeys: Vec<Journey>,
    weights: WeightedIndex<u32>,
}

/// The journey of a user of a traffic group.
#[derive(Clone, Debug)]
enum Journey {
    /// The whole journey of a buyer.
    Buy,
    /// The steps in order.
    Steps(Arc<[Arc<Step>]>),
}

impl TrafficGroup {
    /// The traffic groups of a scenario.
    pub(super) fn all(scenario: &Scenario) -> Vec<Arc<TrafficGroup>> {
        let mut first_user = i64::from(scenario.users) + 1;
        let mut groups = Vec::new();
        for (at, (name, plan)) in scenario.traffic.iter().enumerate() {
            let journeys = plan.journeys.iter().map(|journey| match journey.buy {
                true => Journey::Buy,
                false => Journey::Steps(journey.steps.iter().cloned().map(Arc::new).collect()),
            });
            let weights = plan.journeys.iter().map(|journey| journey.weight);
            groups.push(Arc::new(TrafficGroup {
                name: name.clone(),
                index: at + 1,
                plan: plan.clone(),
                first_user,
                journeys: journeys.collect(),
                weights: WeightedIndex::new(weights).expect("checked: one weight is above 0"),
            }));
            first_user += i64::from(plan.users);
        }
        groups
    }

    /// The largest number of active users over all processes.
    pub(super) fn max_users(&self) -> usize {
        self.plan.max_users() as usize
    }

    /// The phase in which it begins.
    pub(super) fn phase(&self) -> PhaseName {
        self.plan.phase.phase()
    }

    fn draw_journey(&self, rng: &mut SmallRng) -> &Journey {
        &self.journeys[self.weights.sample(rng)]
    }
}

/// One worker's share of a traffic group.
#[derive(Debug)]
pub(super) struct TrafficShare {
    group: Arc<TrafficGroup>,
    clients: ClientSource,
    /// The largest number of active users.
    max_users: usize,
}

impl TrafficShare {
    /// `shared` has the connections that all users of the worker share when there are too few.
    pub(super) fn new(
        group: &Arc<TrafficGroup>,
        max_users: usize,
        shared: Option<&ClientSource>,
    ) -> TrafficShare {
        let clients = match (shared, group.plan.executor.reuses_users()) {
            (Some(shared), _) => shared.clone(),
            (None, true) => ClientSource::own(),
            (None, false) => ClientSource::pool(max_users),
        };
        TrafficShare {
            group: Arc::clone(group),
            clients,
            max_users,
        }
    }

    /// The phase in which it begins.
    pub(super) fn phase(&self) -> PhaseName {
        self.group.phase()
    }

    /// Runs the group's users from its beginning to its end.
    pub(super) async fn run(&self, worker: &Arc<Worker>) {
        let after = self.group.plan.after.0;
        worker.run.pacing.schedule().reach(after).await;
        match self.group.plan.executor {
            Executor::Closed => closed::run(worker, self).await,
            Executor::Open => open::run(worker, self).await,
        }
    }

    /// The user with this number in the group, counted from 0.
    fn user(&self, worker: &Arc<Worker>, number: i64) -> User {
        let id = self.group.first_user + number;
        let client = self.clients.client();
        User::new(Arc::clone(worker), id, UserState::Arriving, client).of_traffic(self.group.index)
    }
}

/// The random numbers of `stream` of the run's seed.
fn seeded(worker: &Worker, stream: u64) -> SmallRng {
    SmallRng::seed_from_u64(worker.run.scenario.seed ^ stream)
}
