//! The gated executor of the buyers: open until they are admitted, then closed. They arrive all at once or on
//! schedule, wait in the queue as the server says, and then send one request after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::load::model::{PhaseName, UserState};
use crate::load::pacing::Schedule;
use crate::load::scenario::{Door, Shape};
use crate::load::user::{User, WaitingUser};
use crate::load::worker::waiting_line::WaitingLine;
use crate::load::worker::{Event, Stage, Worker};

/// Runs the worker's buyers from their arrival to the end of their journeys.
pub(in crate::load::worker) async fn run(
    worker: &Arc<Worker>,
    mut stage: watch::Receiver<Stage>,
    events: &mpsc::Sender<Event>,
) {
    let arrival = &worker.run.scenario.arrival;
    let scheduled = arrival.shape != Shape::Burst;
    let waiting = match (scheduled, arrival.phase) {
        (false, _) => register_at_once(worker).await,
        (true, Door::Register) => register_on_schedule(worker).await,
        (true, Door::Open) => Vec::new(),
    };
    let registered = events.send(Event::Registered).await.is_ok();
    let opened = tokio::select! {
        opened = stage.wait_for(|stage| *stage == Stage::Open) => opened.is_ok(),
        () = worker.run.stop.cancelled() => false,
    };
    if !registered || !opened || worker.run.last_phase == PhaseName::Register {
        return;
    }
    let come_later = scheduled && arrival.phase == Door::Open;
    let arrivals = stream::iter(come_later.then(|| arrivals(worker))).flatten();
    WaitingLine::new(worker, waiting).run(arrivals).await;
}

/// A list for the users who register, with room for all of them. A list that grows by copying would need twice the
/// memory.
fn registered(worker: &Worker) -> Arc<Mutex<Vec<WaitingUser>>> {
    Arc::new(Mutex::new(Vec::with_capacity(worker.buyers)))
}

/// Registers all users, as many at a time as the scenario says. When a registration ends, the next one takes over its
/// connection.
async fn register_at_once(worker: &Arc<Worker>) -> Vec<WaitingUser> {
    let waiting = registered(worker);
    let mut tasks = JoinSet::new();
    for _ in 0..worker.registering {
        let (worker, waiting) = (Arc::clone(worker), Arc::clone(&waiting));
        tasks.spawn(async move {
            let mut client = worker.clients.client();
            while let Some(id) = next_buyer(&worker) {
                let begun = Instant::now();
                let mut user = User::new(Arc::clone(&worker), id, UserState::Arriving, client);
                let registered = user.register(begun).await;
                waiting.lock().extend(registered);
                client = user.into_client();
                worker.run.pacing.rest(begun.elapsed()).await;
            }
        });
    }
    worker.finish(&mut tasks).await;
    dismiss_absent(worker);
    std::mem::take(&mut *waiting.lock())
}

/// Registers each user at the due time of the schedule, whatever the server does.
async fn register_on_schedule(worker: &Arc<Worker>) -> Vec<WaitingUser> {
    let waiting = registered(worker);
    let mut users = JoinSet::new();
    let mut arrivals = std::pin::pin!(arrivals(worker));
    while let Some((id, due)) = arrivals.next().await {
        let client = worker.clients.client();
        let mut user = User::new(Arc::clone(worker), id, UserState::Arriving, client);
        let waiting = Arc::clone(&waiting);
        users.spawn(async move {
            let registered = user.register(due).await;
            waiting.lock().extend(registered);
        });
        while users.try_join_next().is_some() {}
    }
    worker.finish(&mut users).await;
    std::mem::take(&mut *waiting.lock())
}

/// The worker's users, each with the due time of the arrival, at that time. The schedule begins now.
fn arrivals(worker: &Worker) -> impl Stream<Item = (i64, Instant)> {
    let times = worker.run.arrivals().skip(worker.number());
    let times = times.step_by(worker.run.all_workers());
    let from = (worker.run.pacing.schedule(), times);
    stream::unfold(from, move |(mut schedule, mut times)| async move {
        let next = next_arrival(worker, &mut schedule, &mut times).await;
        if next.is_none() {
            dismiss_absent(worker);
        }
        Some((next?, (schedule, times)))
    })
}

/// Waits for the due time of the next user. Returns both.
async fn next_arrival(
    worker: &Worker,
    schedule: &mut Schedule<'_>,
    times: &mut impl Iterator<Item = Duration>,
) -> Option<(i64, Instant)> {
    let id = next_buyer(worker)?;
    let phase_ended = match worker.run.scenario.arrival.phase {
        Door::Register => &worker.run.ended_phases[0],
        Door::Open => &worker.run.ended_phases[1],
    };
    let due = match times.next() {
        Some(at) => tokio::select! {
            due = schedule.reach(at) => due,
            () = worker.run.stop.cancelled() => return None,
            () = phase_ended.cancelled() => {
                worker.run.user_moved(UserState::Arriving, UserState::PhaseDone);
                return None;
            }
        },
        None => Instant::now(),
    };
    worker.record_lag(due);
    Some((id, due))
}

fn next_buyer(worker: &Worker) -> Option<i64> {
    let phase = worker.run.scenario.arrival.phase.phase();
    if worker.run.is_stopping() || worker.run.has_ended(phase) {
        return None;
    }
    take_buyer(worker)
}

fn take_buyer(worker: &Worker) -> Option<i64> {
    let step = worker.run.all_workers() as i64;
    let id = worker.next_buyer.fetch_add(step, Relaxed);
    (id <= i64::from(worker.run.scenario.users)).then_some(id)
}

/// Marks the absent users as done when an operator ended the phase of the arrivals.
fn dismiss_absent(worker: &Worker) {
    if worker
        .run
        .has_ended(worker.run.scenario.arrival.phase.phase())
    {
        while take_buyer(worker).is_some() {
            worker
                .run
                .user_moved(UserState::Arriving, UserState::PhaseDone);
        }
    }
}
