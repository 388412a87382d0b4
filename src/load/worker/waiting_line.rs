//! The waiting buyers of a worker. A waiting buyer is data: a record in a heap, without a task or a connection. A task
//! exists from the due time of a poll to its answer, and from the admission to the end of the journey.
//!
//! ```text
//!             due                     a connection is free
//!   waiting ───────▶ due ──────────────────────────────────────▶ polls ──ACTIVE──▶ others
//!      ▲             (first come, first served)                    │               (journeys, registrations)
//!      └──────────────────────────────WAIT─────────────────────────┘
//! ```
//!
//! If users have their own connections, those of answered polls are used for the next polls, and an admitted user takes
//! one along. So there are never more idle connections than waiting users, and never more connections than users.

use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _};
use http::HeaderValue;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::Worker;
use crate::load::connection::HttpClient;
use crate::load::model::{Operation, UserState};
use crate::load::recorder::{BUYERS, micros};
use crate::load::user::{Polled, User, WaitingUser, spread};

/// A user in the queue with a connection that is free again.
type Registered = Option<(WaitingUser, HttpClient)>;

/// The waiting buyers of a worker, and the tasks of the others.
pub(super) struct WaitingLine<'w> {
    worker: &'w Arc<Worker>,
    /// The earliest due time is on top.
    waiting: BinaryHeap<WaitingUser>,
    /// Users whose poll is due, with the time since when it waits for a connection.
    due: VecDeque<(WaitingUser, Instant)>,
    idle: Vec<HttpClient>,
    polls: JoinSet<Polled>,
    /// Registrations, and the journeys of admitted users.
    others: JoinSet<Registered>,
    /// The number of polls so far.
    sent: u64,
    /// The beginning of the current pause of the run.
    paused: Option<Instant>,
    /// The end of the latest pause of the run. A poll that was due in the pause is due then.
    resumed: Option<Instant>,
    /// Whether an operator ended the phase, so that no user waits any longer.
    ended: bool,
}

impl<'w> WaitingLine<'w> {
    /// The users who registered before the opening.
    pub(super) fn new(worker: &'w Arc<Worker>, mut users: Vec<WaitingUser>) -> WaitingLine<'w> {
        let opened = worker.run.opened();
        for user in &mut users {
            user.open(opened, spread(&worker.run, user.id));
        }
        WaitingLine {
            worker,
            waiting: BinaryHeap::from(users),
            due: VecDeque::new(),
            idle: Vec::new(),
            polls: JoinSet::new(),
            others: JoinSet::new(),
            sent: 0,
            paused: worker.run.pacing.is_paused().then(Instant::now),
            resumed: None,
            ended: false,
        }
    }

    /// Carries the waiting users and those of `arrivals`, each with id and due time, to the end of their journeys.
    pub(super) async fn run(mut self, arrivals: impl Stream<Item = (i64, Instant)>) {
        let run = &self.worker.run;
        let mut arrivals = std::pin::pin!(arrivals.fuse());
        let mut pace = run.pacing.changes();
        while !(self.is_empty() && arrivals.is_done()) {
            let next = self.waiting.peek().map(|user| user.due);
            let next = next.filter(|_| self.paused.is_none());
            tokio::select! {
                () = run.stop.cancelled() => break,
                () = run.ended_phases[1].cancelled(), if !self.ended => self.end(),
                _ = pace.changed() => self.follow_pace(),
                arrival = arrivals.next(), if !arrivals.is_done() => self.register(arrival),
                Some(polled) = self.polls.join_next() => self.polled(polled.unwrap_or(Polled::Left)),
                Some(done) = self.others.join_next() => self.registered(done.unwrap_or_default()),
                () = until(next) => self.collect_due(),
            }
            self.send_polls();
        }
        self.worker.finish(&mut self.polls).await;
        self.worker.finish(&mut self.others).await;
    }

    fn is_empty(&self) -> bool {
        let waiting = self.waiting.len() + self.due.len();
        waiting + self.polls.len() + self.others.len() == 0
    }

    /// Takes the users out of the heap whose polls are due.
    fn collect_due(&mut self) {
        // A pause may have begun since the last change of the pace was read.
        if self.worker.run.pacing.is_paused() {
            return;
        }
        let now = Instant::now();
        let records = self.worker.run.records_of(BUYERS, Operation::Poll);
        while let Some(first) = self.waiting.peek_mut()
            && first.due <= now
        {
            let mut user = PeekMut::pop(first);
            user.due = user.due.max(self.resumed.unwrap_or(user.due));
            if records {
                let lag = micros(now.saturating_duration_since(user.due));
                let recorder = &self.worker.recorder;
                recorder.with(|frame| frame.lag.saturating_record(lag));
            }
            self.due.push_back((user, now));
        }
    }

    /// Sends the polls that are due, as many at a time as there are connections.
    fn send_polls(&mut self) {
        while self.paused.is_none()
            && self.polls.len() < self.worker.connections
            && let Some((user, asked)) = self.due.pop_front()
        {
            let mut client = self.client();
            client.asked_at(asked);
            let number = self.sent * self.worker.run.all_workers() as u64;
            let number = number + self.worker.number() as u64;
            self.sent += 1;
            let sender = User::polling(self.worker, user.id, client, number);
            self.polls.spawn(sender.poll_once(user));
        }
    }

    fn client(&mut self) -> HttpClient {
        let idle = self.idle.pop();
        idle.unwrap_or_else(|| self.worker.clients.client())
    }

    /// Registers a user at the due time of the arrival.
    fn register(&mut self, arrival: Option<(i64, Instant)>) {
        let Some((id, due)) = arrival else { return };
        let client = self.client();
        let mut user = User::new(Arc::clone(self.worker), id, UserState::Arriving, client);
        self.others.spawn(async move {
            let waiting = user.register(due).await?;
            Some((waiting, user.into_client()))
        });
    }

    fn registered(&mut self, registered: Registered) {
        if let Some((mut user, client)) = registered {
            let run = &self.worker.run;
            user.open(run.opened(), spread(run, user.id));
            self.wait(user, client);
        }
    }

    fn polled(&mut self, polled: Polled) {
        match polled {
            Polled::Waits(user, client) => self.wait(user, client),
            Polled::Admitted(user, token) => drop(self.others.spawn(buy(user, token))),
            Polled::Left => {}
        }
    }

    fn wait(&mut self, user: WaitingUser, client: HttpClient) {
        if self.ended {
            let run = &self.worker.run;
            return run.user_moved(UserState::Waiting, UserState::PhaseDone);
        }
        self.waiting.push(user);
        self.idle.push(client);
    }

    /// Ends the wait of all users, because an operator ended the phase.
    fn end(&mut self) {
        self.ended = true;
        for _ in 0..self.waiting.len() + self.due.len() {
            let run = &self.worker.run;
            run.user_moved(UserState::Waiting, UserState::PhaseDone);
        }
        self.waiting.clear();
        self.due.clear();
    }

    /// Notes the beginning or the end of a pause of the run. At the end, polls that were due before the pause become
    /// due later by its length.
    fn follow_pace(&mut self) {
        let now = Instant::now();
        match (self.paused, self.worker.run.pacing.is_paused()) {
            (None, true) => self.paused = Some(now),
            (Some(since), false) => {
                let pause: Duration = now.saturating_duration_since(since);
                for (user, asked) in &mut self.due {
                    user.due += pause;
                    *asked += pause;
                }
                (self.paused, self.resumed) = (None, Some(now));
            }
            _ => {}
        }
    }
}

/// Waits for the due time of a poll; without one, forever.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

async fn buy(mut user: User, token: HeaderValue) -> Registered {
    user.buy(&token).await;
    None
}
