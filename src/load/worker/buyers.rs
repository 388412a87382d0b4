//! The buyers: they arrive in a burst (a closed executor) or on schedule (an open one), and go through
//! the queue as the server lets them (gated).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{Event, Stage, Worker};
use crate::load::model::{PhaseName, UserState};
use crate::load::scenario::{Door, Shape};
use crate::load::user::{Ticket, User};

impl Worker {
    /// Carries its buyers from their arrival to the end of their journeys.
    pub(super) async fn carry_buyers(
        self: &Arc<Worker>,
        mut stage: watch::Receiver<Stage>,
        events: &mpsc::Sender<Event>,
    ) {
        let arrival = &self.run.scenario.arrival;
        let scheduled = arrival.shape != Shape::Burst;
        let tickets = match (scheduled, arrival.phase) {
            (false, _) => self.register_all().await,
            (true, Door::Register) => self.register_on_schedule().await,
            (true, Door::Open) => Vec::new(),
        };
        let registered = events.send(Event::Registered).await.is_ok();
        let opened = tokio::select! {
            opened = stage.wait_for(|stage| *stage == Stage::Open) => opened.is_ok(),
            () = self.run.stop.cancelled() => false,
        };
        if !registered || !opened || self.run.until == PhaseName::Register {
            return;
        }
        let mut users = JoinSet::new();
        for ticket in tickets {
            let user = self.buyer(ticket.user, UserState::Waiting);
            users.spawn(user.journey(ticket));
        }
        if scheduled && arrival.phase == Door::Open {
            self.let_arrive(&mut users).await;
        }
        self.finish(&mut users).await;
    }

    fn buyer(self: &Arc<Worker>, id: i64, state: UserState) -> User {
        User::new(Arc::clone(self), id, state, self.lines.line())
    }

    /// As many lanes as the scenario says, each over a connection of its own, take one user after
    /// the other.
    async fn register_all(self: &Arc<Worker>) -> Vec<Ticket> {
        let tickets = Arc::new(Mutex::new(Vec::new()));
        let mut lanes = JoinSet::new();
        for _ in 0..self.lanes {
            let (worker, tickets) = (Arc::clone(self), Arc::clone(&tickets));
            lanes.spawn(async move {
                let mut line = worker.lines.line();
                while let Some(id) = worker.next_user() {
                    let begun = Instant::now();
                    let mut user = User::new(Arc::clone(&worker), id, UserState::Arriving, line);
                    let ticket = user.register(begun).await;
                    tickets.lock().extend(ticket);
                    line = user.into_line();
                    let rest = worker.run.tempo.rest_after(begun.elapsed());
                    if !rest.is_zero() {
                        tokio::time::sleep(rest).await;
                    }
                }
            });
        }
        self.finish(&mut lanes).await;
        self.send_home_who_did_not_come();
        std::mem::take(&mut *tickets.lock())
    }

    /// Each user at the instant of the schedule, whatever the server does.
    async fn register_on_schedule(self: &Arc<Worker>) -> Vec<Ticket> {
        let tickets = Arc::new(Mutex::new(Vec::new()));
        let mut users = JoinSet::new();
        let mut schedule = self.run.tempo.schedule();
        while let Some((id, due)) = self.next_arrival(&mut schedule).await {
            let (mut user, tickets) = (self.buyer(id, UserState::Arriving), Arc::clone(&tickets));
            users.spawn(async move {
                let ticket = user.register(due).await;
                tickets.lock().extend(ticket);
            });
            while users.try_join_next().is_some() {}
        }
        self.finish(&mut users).await;
        self.send_home_who_did_not_come();
        std::mem::take(&mut *tickets.lock())
    }

    async fn let_arrive(self: &Arc<Worker>, users: &mut JoinSet<()>) {
        let mut schedule = self.run.tempo.schedule();
        while let Some((id, due)) = self.next_arrival(&mut schedule).await {
            users.spawn(self.buyer(id, UserState::Arriving).arrive(due));
        }
        self.send_home_who_did_not_come();
    }

    /// The next user and when they were due, once that is now.
    async fn next_arrival(
        &self,
        schedule: &mut crate::load::tempo::Schedule<'_>,
    ) -> Option<(i64, Instant)> {
        let id = self.next_user()?;
        let at = usize::try_from(id - 1)
            .ok()
            .and_then(|at| self.run.arrivals.get(at));
        let over = match self.run.scenario.arrival.phase {
            Door::Register => &self.run.over[0],
            Door::Open => &self.run.over[1],
        };
        let due = match at {
            Some(at) => tokio::select! {
                due = schedule.reach(*at) => due,
                () = self.run.stop.cancelled() => return None,
                () = over.cancelled() => {
                    // They come no more.
                    self.run.moved(UserState::Arriving, UserState::PhaseDone);
                    return None;
                }
            },
            None => Instant::now(),
        };
        self.note_lag(due);
        Some((id, due))
    }

    fn next_user(&self) -> Option<i64> {
        let phase = self.run.scenario.arrival.phase.phase();
        if self.run.is_stopping() || self.run.is_over(phase) {
            return None;
        }
        self.take_user()
    }

    fn take_user(&self) -> Option<i64> {
        let id = self.next.fetch_add(self.run.parts() as i64, Relaxed);
        (id <= i64::from(self.run.scenario.users)).then_some(id)
    }

    /// When the arrivals were ended by hand, those who had not come are done.
    fn send_home_who_did_not_come(&self) {
        if self.run.is_over(self.run.scenario.arrival.phase.phase()) {
            while self.take_user().is_some() {
                self.run.moved(UserState::Arriving, UserState::PhaseDone);
            }
        }
    }
}
