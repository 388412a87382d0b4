//! Crowds beside the buyers: closed and open executors.

use std::sync::Arc;
use std::time::Instant;

use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use rand_distr::Distribution as _;
use rand_distr::weighted::WeightedIndex;
use tokio::task::JoinSet;

use super::{Run, Worker, share};
use crate::load::arrivals::Arrivals;
use crate::load::connection::{Line, Lines};
use crate::load::model::{PhaseName, UserState};
use crate::load::scenario::{Executor, Step, Traffic};
use crate::load::user::User;

/// A crowd, as the workers carry it.
#[derive(Debug)]
pub(in crate::load) struct Crowd {
    /// Its place among the crowds, from 1: the buyers are 0.
    pub index: usize,
    pub name: String,
    pub plan: Traffic,
    /// The id of its first user.
    first: i64,
    journeys: Vec<Errand>,
    weights: WeightedIndex<u32>,
}

/// What a user of a crowd does.
#[derive(Clone, Debug)]
pub(in crate::load) enum Errand {
    /// The whole way of a buyer.
    Buy,
    /// Steps, in order.
    Steps(Arc<[Arc<Step>]>),
}

impl Crowd {
    /// The crowds of a scenario whose buyers are `buyers`.
    pub(in crate::load) fn all(
        traffic: &std::collections::BTreeMap<String, Traffic>,
        buyers: u32,
    ) -> Vec<Arc<Crowd>> {
        let mut first = i64::from(buyers) + 1;
        let mut crowds = Vec::new();
        for (at, (name, plan)) in traffic.iter().enumerate() {
            let errand = |steps: &[Step]| {
                let steps = steps.iter().cloned().map(Arc::new);
                Errand::Steps(steps.collect())
            };
            let journeys = plan.journeys.iter().map(|journey| match journey.buy {
                true => Errand::Buy,
                false => errand(&journey.steps),
            });
            let weights = plan.journeys.iter().map(|journey| journey.weight);
            crowds.push(Arc::new(Crowd {
                index: at + 1,
                name: name.clone(),
                plan: plan.clone(),
                first,
                journeys: journeys.collect(),
                weights: WeightedIndex::new(weights).expect("checked: one weight is above 0"),
            }));
            first += i64::from(plan.users);
        }
        crowds
    }

    /// How many connections it may want.
    pub(in crate::load) fn connections(&self) -> u32 {
        match self.plan.executor {
            Executor::Closed => self.plan.users,
            Executor::Open => self.plan.at_once.unwrap_or(self.plan.users),
        }
    }

    fn draw(&self, draws: &mut SmallRng) -> &Errand {
        &self.journeys[self.weights.sample(draws)]
    }
}

/// One worker's part of a crowd.
#[derive(Debug)]
pub(super) struct Part {
    crowd: Arc<Crowd>,
    lines: Lines,
    /// Most journeys under way at once.
    at_once: usize,
}

impl Part {
    /// The phase that it begins with.
    pub(super) fn phase(&self) -> PhaseName {
        self.crowd.plan.phase.phase()
    }

    /// `lines`: the pool of connections that everybody shares, if there are too few.
    pub(super) fn new(crowd: &Arc<Crowd>, run: &Run, index: usize, shared: Option<&Lines>) -> Part {
        let all = share(crowd.connections() as usize, run.shard.index, run.shard.of);
        let at_once = share(all, index, run.workers);
        let lines = match (shared, crowd.plan.executor) {
            (Some(lines), _) => lines.clone(),
            (None, Executor::Closed) => Lines::own(),
            (None, Executor::Open) => Lines::pool(at_once),
        };
        Part {
            crowd: Arc::clone(crowd),
            lines,
            at_once,
        }
    }
}

impl Worker {
    /// Carries its part of a crowd from the crowd's beginning to its end.
    pub(super) async fn carry_crowd(self: &Arc<Worker>, part: &Part) {
        let crowd = &part.crowd;
        let seed = self.run.scenario.seed;
        self.run.tempo.schedule().reach(crowd.plan.after.0).await;
        match (crowd.plan.executor, crowd.plan.arrival.clone()) {
            (Executor::Open, Some(arrival)) => {
                let arrivals = Arrivals::new(arrival, seed ^ (crowd.index as u64) << 32);
                self.carry_open(part, arrivals).await;
            }
            _ => self.carry_closed(part).await,
        }
    }

    async fn carry_closed(self: &Arc<Worker>, part: &Part) {
        let mut users = JoinSet::new();
        let step = self.run.parts() as i64;
        let end = Instant::now() + part.crowd.plan.lasts.0;
        let mut at = self.place() as i64;
        while at < i64::from(part.crowd.plan.users) {
            let id = part.crowd.first + at;
            let user = self.crowd_user(part, id, part.lines.line());
            let (worker, crowd) = (Arc::clone(self), Arc::clone(&part.crowd));
            users.spawn(async move { worker.keep_busy(user, &crowd, end).await });
            at += step;
        }
        self.finish(&mut users).await;
    }

    /// One journey after the other until `end`.
    async fn keep_busy(&self, mut user: User, crowd: &Crowd, end: Instant) {
        let mut draws = SmallRng::seed_from_u64(self.run.scenario.seed ^ user.id() as u64);
        while Instant::now() < end && !self.run.is_stopping() {
            let begun = Instant::now();
            match crowd.draw(&mut draws).clone() {
                // A buyer buys once: who is through is through.
                Errand::Buy => return user.arrive(begun).await,
                Errand::Steps(steps) => user.walk(&steps, Some(end)).await,
            }
            let rest = self.run.tempo.rest_after(begun.elapsed());
            if !rest.is_zero() {
                tokio::time::sleep(rest).await;
            }
            // A journey that sends nothing must not keep the thread to itself.
            tokio::task::yield_now().await;
        }
    }

    async fn carry_open(self: &Arc<Worker>, part: &Part, arrivals: Arrivals) {
        let crowd = &part.crowd;
        let mut draws = SmallRng::seed_from_u64(self.run.scenario.seed ^ crowd.first as u64);
        let mut schedule = self.run.tempo.schedule();
        let mut under_way = JoinSet::new();
        let (place, parts) = (self.place(), self.run.parts());
        let arrivals = arrivals.take_while(|at| *at < crowd.plan.lasts.0);
        for (number, at) in arrivals.enumerate() {
            let errand = crowd.draw(&mut draws).clone();
            if number % parts != place {
                continue;
            }
            let due = tokio::select! {
                due = schedule.reach(at) => due,
                () = self.run.stop.cancelled() => break,
            };
            while under_way.try_join_next().is_some() {}
            if under_way.len() >= part.at_once {
                self.shard.with(|frame| frame.dropped[crowd.index] += 1);
                continue;
            }
            self.note_lag(due);
            let id = crowd.first + (number % crowd.plan.users as usize) as i64;
            let mut user = self.crowd_user(part, id, part.lines.line());
            under_way.spawn(async move {
                match errand {
                    Errand::Buy => user.arrive(due).await,
                    Errand::Steps(steps) => user.walk_from(due, &steps).await,
                }
            });
        }
        self.finish(&mut under_way).await;
    }

    fn crowd_user(self: &Arc<Worker>, part: &Part, id: i64, line: Line) -> User {
        let crowd = &part.crowd;
        User::new(Arc::clone(self), id, UserState::Arriving, line).of_crowd(crowd.index)
    }

    /// How much later than `due` something was begun.
    pub(super) fn note_lag(&self, due: Instant) {
        let lag = crate::load::recorder::micros(due.elapsed());
        self.shard.with(|frame| frame.lag.saturating_record(lag));
    }
}
