//! One run from end to end: connect, prepare, start the workers, supervise them, audit, judge.

mod faults;
mod measurements;
mod server_watch;
mod summary;
mod workers;

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::faults::{FaultEvent, Faults};
use self::measurements::Measurements;
use self::server_watch::ServerWatch;
pub(super) use self::summary::no_dataset;
use self::workers::Silence;
pub(super) use self::workers::Workers;
use super::audit::{Findings, audit};
use super::control::{Command, STEP};
use super::judge::Ending;
use super::model::{PhaseName, UserState};
use super::ops::Ops;
use super::prepare::{
    Endpoint, Servers, await_opening, await_registered, open_sale, prepare, restore,
};
use super::progress::{Progress, Step};
use super::scenario::{Door, Shape};
use super::server_idle::wait_until_idle;
use super::summary::{MarkKind, Summary};
use super::worker::{Event, RunContext, Stage};
use super::{LoadError, RunOptions, Target};

const TICK: Duration = Duration::from_millis(250);

/// The other side of a [`RunHandle`](super::RunHandle).
pub(super) struct Steering {
    pub progress: watch::Sender<Progress>,
    pub stop: CancellationToken,
    pub commands: mpsc::Receiver<Command>,
}

/// Runs the scenario of `options` against `target`.
pub(super) async fn run(
    target: Target,
    options: RunOptions,
    mut steering: Steering,
) -> Result<Summary, LoadError> {
    let progress = steering.progress.clone();
    progress.send_modify(|progress| progress.scenario.clone_from(&options.scenario.name));
    let (servers, ops) = connect(&target).await?;
    let ready = prepare(&servers, &ops, &options, &progress, &steering.stop).await?;
    let dataset = ready.status.dataset.clone().unwrap_or_else(no_dataset);
    let shown = servers.urls.join(",");
    let context = RunContext::new(&options, servers, &dataset)?;
    let workers = Workers::start(context, &options, Stage::Register)?;
    let mut rehearsal = Rehearsal::new(&options, workers, ops, shown, &progress);
    let ending = rehearsal.supervise(&mut steering).await;
    let findings = rehearsal.audit(ending).await;
    if ending != Ending::ServerLost && options.shard.index == 0 {
        // The run is over even if the restore fails. If the server refuses its old settings, other checks show it.
        let _ = restore(&rehearsal.ops, &ready.before).await;
    }
    rehearsal.publish(Step::Finished);
    Ok(rehearsal.summary(ready.status, ending, findings))
}

/// Checks the target's URLs, and that each server listens.
async fn connect(target: &Target) -> Result<(Servers, Ops), LoadError> {
    let endpoints = target.api_urls.iter().map(|url| Endpoint::parse(url));
    let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
    Endpoint::parse(&target.ops_url)?;
    let ops = Ops::new(&target.ops_url, target.ops_token.as_deref())?;
    Ok((Servers::reach(&endpoints).await?, ops))
}

/// A running rehearsal.
struct Rehearsal<'r> {
    options: &'r RunOptions,
    progress: &'r watch::Sender<Progress>,
    workers: Workers,
    measured: Measurements<'r>,
    server: ServerWatch,
    ops: Ops,
    /// The servers under load as the user gave them.
    target: String,
    begun: Instant,
    started_at: jiff::Timestamp,
    ended: Option<Instant>,
    silence: Silence,
    faults: Faults,
    /// Whether an operator paused the run, slowed it down or cut a phase short.
    load_reduced: bool,
}

impl<'r> Rehearsal<'r> {
    fn new(
        options: &'r RunOptions,
        workers: Workers,
        ops: Ops,
        target: String,
        progress: &'r watch::Sender<Progress>,
    ) -> Rehearsal<'r> {
        let begun = Instant::now();
        Rehearsal {
            options,
            progress,
            workers,
            measured: Measurements::new(options, begun),
            server: ServerWatch::start(&ops),
            ops,
            target,
            begun,
            started_at: jiff::Timestamp::now(),
            ended: None,
            silence: Silence::new(begun),
            faults: Faults::of(options),
            load_reduced: false,
        }
    }

    /// Runs the users through their stages until all are done or something ends the run.
    async fn supervise(&mut self, steering: &mut Steering) -> Ending {
        self.mark(MarkKind::Phase, "register");
        let ending = self.until_the_end(steering).await;
        self.workers.run.end();
        self.ended = Some(Instant::now());
        self.publish(Step::Stopping);
        self.server.stop();
        self.workers.join().await;
        self.faults.end(&self.ops).await;
        let not_reached = self.faults.not_reached();
        self.workers.generator.limited.extend(not_reached);
        self.workers.collect(&mut self.measured.totals);
        self.next_second();
        self.measured.timeline.finish();
        ending
    }

    async fn until_the_end(&mut self, steering: &mut Steering) -> Ending {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut registered, mut done) = (0, 0);
        loop {
            tokio::select! {
                () = steering.stop.cancelled() => {
                    self.mark(MarkKind::Control, "stop");
                    return Ending::Stopped;
                }
                _ = ticks.tick() => {
                    if let Some(ending) = self.tick() {
                        return ending;
                    }
                }
                Some(command) = steering.commands.recv() => {
                    if let Some(ending) = self.obey(command) {
                        return ending;
                    }
                }
                event = self.workers.events.recv() => match event {
                    Some(Event::Registered) => {
                        registered += 1;
                        if registered == self.workers.count() && !self.all_registered().await {
                            return Ending::ServerLost;
                        }
                    }
                    Some(Event::Done) => {
                        done += 1;
                        if done == self.workers.count() {
                            return Ending::Complete;
                        }
                    }
                    // All threads have ended.
                    None => return Ending::Complete,
                },
            }
        }
    }

    /// Opens the sale unless the run ends first. `false` when the server does not answer.
    async fn all_registered(&mut self) -> bool {
        if self.workers.run.last_phase != PhaseName::Register {
            if !self.open().await {
                return false;
            }
            self.mark(MarkKind::Phase, "open");
        }
        self.workers.open();
        true
    }

    async fn open(&self) -> bool {
        let scenario = &self.options.scenario;
        let opened = if self.options.shard.index > 0 {
            await_opening(&self.ops).await
        } else {
            let arrive_before =
                scenario.arrival.shape == Shape::Burst || scenario.arrival.phase == Door::Register;
            if self.options.shard.of > 1 && arrive_before {
                await_registered(&self.ops, scenario.users.into()).await;
            }
            open_sale(&self.ops, scenario.limits.silence.0).await
        };
        if opened.is_ok() {
            self.workers.run.open();
        }
        opened.is_ok()
    }

    /// Executes a command. Returns the ending if the command ends the run.
    fn obey(&mut self, command: Command) -> Option<Ending> {
        let pacing = &self.workers.run.pacing;
        self.load_reduced |= matches!(command, Command::Pause | Command::Slower | Command::Next);
        let text = match command {
            Command::Pause | Command::Resume => {
                pacing.pause(command == Command::Pause);
                command.as_str().to_owned()
            }
            Command::Faster => format!("faster: {:.2} ×", pacing.scale(STEP)),
            Command::Slower => format!("slower: {:.2} ×", pacing.scale(1.0 / STEP)),
            Command::Stop => return Some(Ending::Stopped),
            Command::Next => {
                let phase = self.phase();
                self.workers.run.end_phase(phase);
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
        self.workers.collect(&mut self.measured.totals);
        self.inject_due_faults();
        let phase = self.phase();
        self.publish(Step::Running(phase));
        let limits = self.options.scenario.limits;
        if self.silence.lasts(self.workers.answers()) > limits.silence.0 {
            self.mark(MarkKind::Fault, "no answer any more");
            return Some(Ending::ServerLost);
        }
        if self.measured.is_second_over() {
            self.next_second();
        }
        if self.measured.breach.is_some() {
            return Some(Ending::Aborted);
        }
        (self.begun.elapsed() > limits.duration.0).then_some(Ending::TimeOver)
    }

    fn inject_due_faults(&mut self) {
        let Some(opened) = self.workers.run.has_opened() else {
            return;
        };
        for event in self.faults.inject_due(opened.elapsed(), &self.ops) {
            match event {
                FaultEvent::Begun(text) => self.mark(MarkKind::Fault, &text),
                FaultEvent::NotInjected(problem) => self.workers.generator.limited.push(problem),
            }
        }
    }

    /// The phase of the run, which is that of most active users.
    fn phase(&self) -> PhaseName {
        let run = &self.workers.run;
        if run.has_opened().is_none() {
            return PhaseName::Register;
        }
        let users = run.users();
        let of = |state: UserState| {
            let found = users.iter().find(|(known, _)| *known == state);
            found.map_or(0, |(_, count)| *count)
        };
        let arriving = match self.options.scenario.arrival.phase {
            Door::Open => of(UserState::Arriving),
            Door::Register => 0,
        };
        let open = arriving + of(UserState::Waiting) + of(UserState::Admitted);
        if of(UserState::Reserved) > open && run.last_phase == PhaseName::Pay {
            PhaseName::Pay
        } else {
            PhaseName::Open
        }
    }

    /// Publishes the progress of the run.
    fn publish(&mut self, step: Step) {
        let elapsed = self.elapsed();
        let tps = match step {
            Step::Running(_) => self.measured.rate(),
            _ => 0.0,
        };
        let run = &self.workers.run;
        let (queue, violations) = (self.server.queue(), self.server.violations());
        let users = run.users();
        let expected_end = self.expected_end();
        let thresholds = self.measured.thresholds_so_far();
        self.progress.send_modify(|progress| {
            progress.step = step;
            progress.elapsed = elapsed;
            progress.expected_end = expected_end;
            progress.tps = tps;
            progress.queue = queue;
            progress.paused = run.pacing.is_paused();
            progress.pace = run.pacing.factor();
            progress.violations = violations;
            progress.thresholds = thresholds;
            progress.count_users(users, self.options.phase);
            progress.measure(&self.measured.totals.sum);
        });
    }

    /// The time at which the last batch is admitted and its users have had their longest think times.
    fn expected_end(&self) -> Option<Duration> {
        let run = &self.workers.run;
        let opened = run.has_opened()?;
        let scenario = &self.options.scenario;
        let batches = u64::from(scenario.users)
            .div_ceil(scenario.admission.batch)
            .saturating_sub(1);
        let every = scenario.admission.every.0;
        let mut admission = every.checked_mul(u32::try_from(batches).ok()?)?;
        admission = admission.max(run.last_arrival);
        let groups = scenario.traffic.values();
        let groups = groups.map(|group| group.after.0 + group.lasts.0);
        let longest = groups.fold(admission + scenario.think.nearly_longest(), Duration::max);
        Some((opened - self.begun + longest).min(scenario.limits.duration.0))
    }

    fn mark(&mut self, kind: MarkKind, text: &str) {
        let second = self.elapsed().as_secs_f64();
        self.measured.timeline.mark(second, kind, text);
    }

    fn next_second(&mut self) {
        let second = self.elapsed().as_secs_f64();
        self.measured
            .next_second(second, &self.workers.run, &self.server);
    }

    fn elapsed(&self) -> Duration {
        self.ended
            .map_or_else(|| self.begun.elapsed(), |ended| ended - self.begun)
    }

    /// Compares what the users saw with the database after the server has become idle.
    async fn audit(&mut self, ending: Ending) -> Findings {
        self.publish(Step::Auditing);
        if ending != Ending::ServerLost {
            wait_until_idle(&self.ops).await;
        }
        let failed = self.workers.failed_writes();
        audit(&self.ops, &self.workers.take_acknowledged(), &failed).await
    }
}
