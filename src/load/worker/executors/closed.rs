//! The closed executor: a fixed number of users, each with one journey after the other.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use super::{Journey, TrafficGroup, TrafficShare, seeded};
use crate::load::user::User;
use crate::load::worker::Worker;

pub(super) async fn run(worker: &Arc<Worker>, share: &TrafficShare) {
    let mut users = JoinSet::new();
    let end = Instant::now() + share.group.plan.lasts.0;
    let all = i64::from(share.group.plan.users);
    for number in (worker.number() as i64..all).step_by(worker.run.all_workers()) {
        let user = share.user(worker, number);
        let (worker, group) = (Arc::clone(worker), Arc::clone(&share.group));
        users.spawn(async move { repeat_journeys(&worker, user, &group, end).await });
    }
    worker.finish(&mut users).await;
}

/// Runs one journey after the other until `end`.
async fn repeat_journeys(worker: &Worker, mut user: User, group: &TrafficGroup, end: Instant) {
    let mut rng = seeded(worker, user.id() as u64);
    while Instant::now() < end && !worker.run.is_stopping() {
        let begun = Instant::now();
        match group.draw_journey(&mut rng).clone() {
            // A buyer buys only once, because the dataset allows each user one registration.
            Journey::Buy => return user.arrive(begun).await,
            Journey::Steps(steps) => user.run_steps(&steps, Some(end)).await,
        }
        worker.run.pacing.rest(begun.elapsed()).await;
        // A journey that sends nothing must not block the thread.
        tokio::task::yield_now().await;
    }
}
