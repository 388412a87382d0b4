//! One run from end to end: prepare, register, open, watch over it, audit, judge.

mod closing;
mod watching;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::watching::{Pace, Silence, watch_queue};
use super::audit::audit;
use super::connection::Connector;
use super::hall::Hall;
use super::health::{connection_budget, raise_file_limit};
use super::judge::Ending;
use super::model::{PhaseName, UserState};
use super::ops::Ops;
use super::prepare::{Endpoint, Ready, Servers, open_sale, prepare, restore};
use super::progress::{Progress, Step};
use super::recorder::Totals;
use super::summary::{self, GeneratorSummary, Second, Summary};
use super::wire::Wire;
use super::worker::{self, Event, Run, Stage, Worker};
use super::{LoadError, RunOptions, Target};
use crate::api::ops::{LookupRequest, QueueState};

/// Seconds that the timeline keeps.
pub(super) const TIMELINE_MAX: usize = 7_200;

const TICK: Duration = Duration::from_millis(250);
const MOST_WORKERS: usize = 8;
/// Beyond the requests' own time-outs, for threads to end.
const GRACE: Duration = Duration::from_secs(5);

/// Conducts a run.
pub(super) async fn conduct(
    target: Target,
    options: RunOptions,
    progress: watch::Sender<Progress>,
    stop: CancellationToken,
) -> Result<Summary, LoadError> {
    progress.send_modify(|progress| progress.scenario.clone_from(&options.scenario.name));
    let mut endpoints = Vec::new();
    for url in &target.api_urls {
        endpoints.push(Endpoint::parse(url)?);
    }
    Endpoint::parse(&target.ops_url)?;
    let ops = Ops::new(&target.ops_url, target.ops_token.as_deref())?;
    let servers = Servers::reach(&endpoints).await?;
    let ready = prepare(&ops, &options.scenario, options.reseed, &progress, &stop).await?;
    let mut rehearsal = Rehearsal::start(servers, &options, &ready, ops.clone(), &progress)?;
    let ending = rehearsal.watch_over(&stop).await;
    rehearsal.show(Step::Auditing);
    let findings = audit(&ops, &rehearsal.facts()).await;
    if ending != Ending::ServerLost {
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
    begun: Instant,
    started_at: jiff::Timestamp,
    ended: Option<Instant>,
    generator: GeneratorSummary,
    timeline: Vec<Second>,
    pace: Pace,
    silence: Silence,
    queue: Arc<Mutex<Option<QueueState>>>,
}

impl<'p> Rehearsal<'p> {
    fn start(
        servers: Servers,
        options: &RunOptions,
        ready: &Ready,
        ops: Ops,
        progress: &'p watch::Sender<Progress>,
    ) -> Result<Rehearsal<'p>, LoadError> {
        let scenario = Arc::new(options.scenario.clone());
        let dataset = ready.status.dataset.clone().unwrap_or_else(no_dataset);
        let authority = servers.authority.clone();
        let wire = Wire::new(&authority, dataset.on_sale_concert)
            .map_err(|error| LoadError::Target(format!("`{authority}`: {error}")))?;
        let target = servers.shown.clone();
        let connector = Connector {
            addrs: servers.addrs,
            next: AtomicUsize::new(0),
            connect_timeout: scenario.http.connect_timeout.0,
            request_timeout: scenario.http.request_timeout.0,
        };
        let hall = Hall::new(&dataset, &scenario.contention);
        let run = Arc::new(Run::new(
            Arc::clone(&scenario),
            wire,
            connector,
            hall,
            options.phase,
        ));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = scenario
            .generator
            .workers
            .map_or(cores.min(MOST_WORKERS), |count| count as usize);
        let count = count.clamp(1, scenario.users as usize);
        let file_limit = raise_file_limit();
        let connections = connection_budget(
            scenario.users,
            scenario.http.connections,
            file_limit,
            options.embedded,
        );
        let workers: Vec<Arc<Worker>> = (0..count)
            .map(|index| Worker::new(Arc::clone(&run), index, count, connections))
            .collect();
        let (stage, stages) = watch::channel(Stage::Register);
        let (reports, events) = mpsc::channel(2 * count);
        let begun = Instant::now();
        let threads = workers
            .iter()
            .map(|worker| worker::spawn(worker, stages.clone(), reports.clone()));
        let threads = threads.collect::<Result<Vec<_>, _>>().map_err(|error| {
            run.end();
            LoadError::Generator(error.to_string())
        })?;
        Ok(Rehearsal {
            run,
            workers,
            threads,
            stage,
            events,
            progress,
            ops,
            target,
            totals: Totals::default(),
            begun,
            started_at: jiff::Timestamp::now(),
            ended: None,
            generator: GeneratorSummary {
                workers: count,
                cores,
                machine: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
                connections,
                file_limit,
                busiest: None,
                lag: None,
                connection_wait: None,
                limited: Vec::new(),
            },
            timeline: Vec::new(),
            pace: Pace::new(begun),
            silence: Silence::new(begun),
            queue: Arc::default(),
        })
    }

    /// Lets the users go through their stages until all are done or something ends the run.
    async fn watch_over(&mut self, stop: &CancellationToken) -> Ending {
        let watching = tokio::spawn(watch_queue(self.ops.clone(), Arc::clone(&self.queue)));
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let ending = self.until_the_end(stop, &mut ticks).await;
        self.run.end();
        self.ended = Some(Instant::now());
        self.show(Step::Stopping);
        watching.abort();
        self.join_threads().await;
        self.collect();
        ending
    }

    async fn until_the_end(&mut self, stop: &CancellationToken, ticks: &mut Interval) -> Ending {
        let (mut registered, mut done) = (0, 0);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ending::Stopped,
                _ = ticks.tick() => {
                    if let Some(ending) = self.tick() {
                        return ending;
                    }
                }
                event = self.events.recv() => match event {
                    Some(Event::Registered) => {
                        registered += 1;
                        if registered == self.workers.len() && self.run.until != PhaseName::Register
                            && !self.open().await
                        {
                            return Ending::ServerLost;
                        }
                        if registered == self.workers.len() {
                            self.stage.send_replace(Stage::Open);
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

    async fn open(&self) -> bool {
        if open_sale(&self.ops, self.run.scenario.limits.silence.0)
            .await
            .is_err()
        {
            return false;
        }
        self.run.open();
        true
    }

    fn tick(&mut self) -> Option<Ending> {
        self.collect();
        let phase = if self.run.has_opened().is_none() {
            PhaseName::Register
        } else {
            self.main_phase()
        };
        self.show(Step::Running(phase));
        let limits = &self.run.scenario.limits;
        let sum = |count: fn(&Worker) -> u64| {
            self.workers.iter().map(|worker| count(worker)).sum::<u64>()
        };
        let answered = sum(|worker| worker.answered.load(Relaxed));
        let unanswered = sum(|worker| worker.unanswered.load(Relaxed));
        if self.silence.lasts(answered, unanswered) > limits.silence.0 {
            return Some(Ending::ServerLost);
        }
        (self.begun.elapsed() > limits.duration.0).then_some(Ending::TimeOver)
    }

    /// The phase that most of the users who are under way are in.
    fn main_phase(&self) -> PhaseName {
        let users = self.run.users();
        let of = |state: UserState| {
            users
                .iter()
                .find(|(known, _)| *known == state)
                .map_or(0, |(_, count)| *count)
        };
        let open = of(UserState::Waiting) + of(UserState::Admitted);
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

    /// Publishes where the run is.
    fn show(&mut self, step: Step) {
        let elapsed = self.elapsed();
        let tps = match step {
            Step::Running(_) => self.pace.per_second(self.totals.sum.requests()),
            _ => 0.0,
        };
        let queue = *self.queue.lock();
        let users = self.run.users();
        self.note_second(elapsed, tps, &users, queue);
        let expected_end = self.expected_end();
        let (frame, only) = (&self.totals.sum, self.run.only);
        self.progress.send_modify(|progress| {
            progress.step = step;
            progress.elapsed = elapsed;
            progress.expected_end = expected_end;
            progress.tps = tps;
            progress.queue = queue;
            progress.place(users, only);
            progress.take(frame);
        });
    }

    fn note_second(
        &mut self,
        elapsed: Duration,
        tps: f64,
        users: &[(UserState, u64)],
        queue: Option<QueueState>,
    ) {
        let second = elapsed.as_secs_f64();
        let last = self.timeline.last().map_or(0.0, |last| last.second);
        if self.timeline.len() < TIMELINE_MAX && second - last >= 1.0 {
            let (users, statuses) = (summary::by_name(users), self.totals.sum.statuses);
            let admitted_mark = queue.map(|queue| queue.admitted_mark);
            self.timeline.push(Second {
                second,
                tps,
                statuses,
                users,
                admitted_mark,
            });
        }
    }

    /// When the last batch will have been let in and its users have thought as long as they may.
    fn expected_end(&self) -> Option<Duration> {
        let opened = self.run.has_opened()?;
        let scenario = &self.run.scenario;
        let batches = u64::from(scenario.users)
            .div_ceil(scenario.admission.batch)
            .saturating_sub(1);
        let admission = scenario
            .admission
            .every
            .0
            .checked_mul(u32::try_from(batches).ok()?)?;
        let think = &scenario.think;
        let steps = [
            think.dates,
            think.seats,
            think.reserve,
            think.charge,
            think.pay,
        ];
        let thinking: Duration = steps.iter().map(|step| step.most.0).sum();
        Some((opened - self.begun + admission + thinking).min(scenario.limits.duration.0))
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
}

impl Drop for Rehearsal<'_> {
    fn drop(&mut self) {
        // Whoever stops waiting for the run stops the users, too.
        self.run.end();
    }
}

fn no_dataset() -> crate::api::ops::Dataset {
    crate::api::ops::Dataset {
        profile: String::new(),
        concerts: 0,
        dates: 0,
        seats: 0,
        users: 0,
        on_sale_concert: 1,
        on_sale_seats: 1,
        popular_seats: 0,
        seats_per_date: 1,
        seeded_at: String::new(),
    }
}
