//! The open executor. It starts one journey per arrival on schedule, whatever the server does. An arrival that finds
//! the largest number of users active is dropped and counted.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Journey, TrafficShare, seeded};
use crate::load::arrivals::Arrivals;
use crate::load::worker::Worker;

pub(super) async fn run(worker: &Arc<Worker>, share: &TrafficShare) {
    let (run, group) = (&worker.run, &share.group);
    let arrival = group.plan.arrival.clone().unwrap_or_default();
    let arrivals = Arrivals::new(arrival, run.scenario.seed ^ (group.index as u64) << 32);
    let mut rng = seeded(worker, group.first_user as u64);
    let mut schedule = run.pacing.schedule();
    let mut under_way = JoinSet::new();
    let arrivals = arrivals.take_while(|at| *at < group.plan.lasts.0);
    for (number, at) in arrivals.enumerate() {
        // Every worker draws for every arrival, so that the journeys do not depend on the number of workers.
        let journey = group.draw_journey(&mut rng).clone();
        if number % run.all_workers() != worker.number() {
            continue;
        }
        let due = tokio::select! {
            due = schedule.reach(at) => due,
            () = run.stop.cancelled() => break,
        };
        while under_way.try_join_next().is_some() {}
        if under_way.len() >= share.max_users {
            worker
                .recorder
                .with(|frame| frame.dropped[group.index] += 1);
            continue;
        }
        worker.record_lag(due);
        let mut user = share.user(worker, (number % group.plan.users as usize) as i64);
        under_way.spawn(async move {
            match journey {
                Journey::Buy => user.arrive(due).await,
                Journey::Steps(steps) => user.run_steps_from(due, &steps).await,
            }
        });
    }
    worker.finish(&mut under_way).await;
}
