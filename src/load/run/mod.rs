//! One run from end to end: prepare, register, open, watch over it, audit, judge.

mod closing;
mod showing;
pub(super) mod starting;
mod watching;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::watching::{Pace, Seen, Silence};
use super::audit::audit;
use super::control::{Command, STEP};
use super::judge::{Ending, Watches};
use super::model::{PhaseName, UserState};
use super::ops::Ops;
use super::prepare::{
    Endpoint, Servers, await_opening, await_registered, open_sale, prepare, restore,
};
use super::progress::{Progress, Step};
use super::recorder::Totals;
use super::scenario::{Door, Shape};
use super::settle::settle;
use super::summary::{GeneratorSummary, MarkKind, Recording, Summary};
use super::unacknowledged::FailedWrites;
use super::worker::{Event, Run, Stage, Worker};
use super::{LoadError, RunOptions, Target};
use crate::api::ops::LookupRequest;

const TICK: Duration = Duration::from_millis(250);
/// Beyond the requests' own time-outs, for threads to end.
const GRACE: Duration = Duration::from_secs(5);

/// The other side of a [`RunHandle`](super::RunHandle).
pub(super) struct Steering {
    pub progress: watch::Sender<Progress>,
    pub stop: CancellationToken,
    pub commands: mpsc::Receiver<Command>,
}

/// Conducts a run.
pub(super) async fn conduct(
    target: Target,
    options: RunOptions,
    steering: Steering,
) -> Result<Summary, LoadError> {
    let Steering {
        progress,
        stop,
        mut commands,
    } = steering;
    progress.send_modify(|progress| progress.scenario.clone_from(&options.scenario.name));
    let mut endpoints = Vec::new();
    for url in &target.api_urls {
        endpoints.push(Endpoint::parse(url)?);
    }
    Endpoint::parse(&target.ops_url)?;
    let ops = Ops::new(&target.ops_url, target.ops_token.as_deref())?;
    let servers = Servers::reach(&endpoints).await?;
    let ready = prepare(&ops, &options, &progress, &stop).await?;
    let mut rehearsal = Rehearsal::start(servers, &options, &ready, ops.clone(), &progress)?;
    let ending = rehearsal.watch_over(&stop, &mut commands).await;
    rehearsal.show(Step::Auditing);
    if ending != Ending::ServerLost {
        settle(&ops).await;
    }
    let findings = audit(&ops, &rehearsal.facts(), &rehearsal.failed_writes()).await;
    if ending != Ending::ServerLost && options.shard.index == 0 {
        // The run is over either way; a server that cannot take its settings back shows elsewhere.
        let _ = restore(&ops, &ready.before).await;
    }
    let summary = rehearsal.summary(&options, &ready.status, ending, findings);
    rehearsal.show(Step::Finished);
    Ok(summary)
}

struct Rehearsal<'p> {
    run: Arc<Run>,
    workers: Vec<Arc<Worker>>,
    threads: Vec<JoinHandle<()>>,
    stage: watch::Sender<Stage>,
    events: mpsc::Receiver<Event>,
    progress: &'p watch::Sender<Progress>,
    ops: Ops,
    /// Where the requests go, as it was given.
    target: String,
    totals: Totals,
    watches: Watches<'p>,
    /// The crowds beside the buyers.
    crowds: Vec<String>,
    begun: Instant,
    started_at: jiff::Timestamp,
    ended: Option<Instant>,
    generator: GeneratorSummary,
    recording: Recording,
    /// When the second that is being recorded began.
    second_since: Instant,
    pace: Pace,
    silence: Silence,
    seen: Arc<Seen>,
    /// Somebody had less asked of the server than the scenario says.
    eased: bool,
    /// The threshold whose breach ends the run.
    breach: Option<String>,
}

impl Rehearsal<'_> {
    /// Lets the users go through their stages until all are done or something ends the run.
    async fn watch_over(
        &mut self,
        stop: &CancellationToken,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Ending {
        let watching = [
            tokio::spawn(watching::queue(self.ops.clone(), Arc::clone(&self.seen))),
            tokio::spawn(watching::truth(self.ops.clone(), Arc::clone(&self.seen))),
        ];
        self.mark(MarkKind::Phase, "register");
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let ending = self.until_the_end(stop, commands, &mut ticks).await;
        self.run.end();
        self.ended = Some(Instant::now());
        self.show(Step::Stopping);
        watching.iter().for_each(tokio::task::JoinHandle::abort);
        self.join_threads().await;
        self.collect();
        self.next_second();
        self.recording.finish();
        ending
    }

    async fn until_the_end(
        &mut self,
        stop: &CancellationToken,
        commands: &mut mpsc::Receiver<Command>,
        ticks: &mut Interval,
    ) -> Ending {
        let (mut registered, mut done) = (0, 0);
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    self.mark(MarkKind::Control, "stop");
                    return Ending::Stopped;
                }
                _ = ticks.tick() => {
                    if let Some(ending) = self.tick() {
                        return ending;
                    }
                }
                Some(command) = commands.recv() => {
                    if let Some(ending) = self.steer(command) {
                        return ending;
                    }
                }
                event = self.events.recv() => match event {
                    Some(Event::Registered) => {
                        registered += 1;
                        if registered == self.workers.len() && !self.all_registered().await {
                            return Ending::ServerLost;
                        }
                    }
                    Some(Event::Done) => {
                        done += 1;
                        if done == self.workers.len() {
                            return Ending::Complete;
                        }
                    }
                    // All threads are gone.
                    None => return Ending::Complete,
                },
            }
        }
    }

    /// Opens the sale, unless the run ends before; `false` when the server does not answer.
    async fn all_registered(&mut self) -> bool {
        if self.run.until != PhaseName::Register {
            if !self.open().await {
                return false;
            }
            self.mark(MarkKind::Phase, "open");
        }
        self.stage.send_replace(Stage::Open);
        true
    }

    async fn open(&self) -> bool {
        let scenario = &self.run.scenario;
        let opened = if self.run.shard.index > 0 {
            await_opening(&self.ops).await
        } else {
            let arrive_before =
                scenario.arrival.shape == Shape::Burst || scenario.arrival.phase == Door::Register;
            if self.run.shard.of > 1 && arrive_before {
                await_registered(&self.ops, scenario.users.into()).await;
            }
            open_sale(&self.ops, scenario.limits.silence.0).await
        };
        if opened.is_ok() {
            self.run.open();
        }
        opened.is_ok()
    }

    /// Does what it is told; the end, if that is what it comes to.
    fn steer(&mut self, command: Command) -> Option<Ending> {
        let tempo = &self.run.tempo;
        self.eased |= matches!(command, Command::Pause | Command::Slower | Command::Next);
        let text = match command {
            Command::Pause | Command::Resume => {
                tempo.pause(command == Command::Pause);
                command.as_str().to_owned()
            }
            Command::Faster => format!("faster: {:.2} ×", tempo.multiply(STEP)),
            Command::Slower => format!("slower: {:.2} ×", tempo.multiply(1.0 / STEP)),
            Command::Stop => return Some(Ending::Stopped),
            Command::Next => {
                let phase = self.phase();
                self.run.end_phase(phase);
                if phase == PhaseName::Pay {
                    return Some(Ending::Stopped);
                }
                format!("next: {phase} ended")
            }
        };
        self.mark(MarkKind::Control, &text);
        None
    }

    fn tick(&mut self) -> Option<Ending> {
        self.collect();
        let phase = self.phase();
        self.show(Step::Running(phase));
        let limits = self.run.scenario.limits;
        let sum = |count: fn(&Worker) -> u64| {
            self.workers.iter().map(|worker| count(worker)).sum::<u64>()
        };
        let answered = sum(|worker| worker.answered.load(Relaxed));
        let unanswered = sum(|worker| worker.unanswered.load(Relaxed));
        if self.silence.lasts(answered, unanswered) > limits.silence.0 {
            self.mark(MarkKind::Fault, "no answer any more");
            return Some(Ending::ServerLost);
        }
        if self.second_since.elapsed() >= Duration::from_secs(1) {
            self.next_second();
        }
        if self.breach.is_some() {
            return Some(Ending::Aborted);
        }
        (self.begun.elapsed() > limits.duration.0).then_some(Ending::TimeOver)
    }

    /// The phase that the run is in: that of most of the users who are under way.
    fn phase(&self) -> PhaseName {
        if self.run.has_opened().is_none() {
            return PhaseName::Register;
        }
        let users = self.run.users();
        let of = |state: UserState| {
            users
                .iter()
                .find(|(known, _)| *known == state)
                .map_or(0, |(_, count)| *count)
        };
        let arriving = match self.run.scenario.arrival.phase {
            Door::Open => of(UserState::Arriving),
            Door::Register => 0,
        };
        let open = arriving + of(UserState::Waiting) + of(UserState::Admitted);
        if of(UserState::Reserved) > open && self.run.until == PhaseName::Pay {
            PhaseName::Pay
        } else {
            PhaseName::Open
        }
    }

    fn collect(&mut self) {
        self.workers
            .iter()
            .for_each(|worker| self.totals.collect(&worker.shard));
    }

    fn elapsed(&self) -> Duration {
        self.ended
            .map_or_else(|| self.begun.elapsed(), |ended| ended - self.begun)
    }

    /// Waits for the threads, which end within the requests' time-outs once the run was ended.
    async fn join_threads(&mut self) {
        let connector = &self.run.connector;
        let patience = connector.request_timeout + connector.connect_timeout + GRACE;
        let threads = std::mem::take(&mut self.threads);
        let joining = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A thread that panicked leaves its users unfinished, which the verdict sees.
                let _ = thread.join();
            }
        });
        let _ = tokio::time::timeout(patience, joining).await;
    }

    /// Everything the server acknowledged.
    fn facts(&self) -> LookupRequest {
        let mut all = LookupRequest::default();
        for worker in &self.workers {
            let facts = worker.facts.lock();
            all.places.extend_from_slice(&facts.places);
            all.reservations.extend_from_slice(&facts.reservations);
            all.payments.extend_from_slice(&facts.payments);
            all.charges.extend_from_slice(&facts.charges);
        }
        all
    }

    /// Every write that the users saw fail.
    fn failed_writes(&self) -> FailedWrites {
        let mut all = FailedWrites::default();
        self.workers
            .iter()
            .for_each(|worker| all.add(&worker.failed.lock()));
        all
    }
}

impl Drop for Rehearsal<'_> {
    fn drop(&mut self) {
        // Whoever stops waiting for the run stops the users, too.
        self.run.end();
    }
}
