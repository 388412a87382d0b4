//! A worker: one thread with its own runtime that runs a share of the users. Their tasks, timers and connections
//! never change threads, and requests do not compete for anything.

mod context;
mod executors;
mod waiting_line;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

pub use self::context::ShardSpec;
use self::context::share;
pub(super) use self::context::{RunContext, cores};
use self::executors::TrafficShare;
use super::connection::ClientSource;
use super::health::ThreadClock;
use super::model::PhaseName;
use super::recorder::{Recorder, micros};
use super::unacknowledged::FailedWrites;
use crate::api::ops::LookupRequest;

/// The stage of the run from the workers' view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Users register.
    Register,
    /// The sale is open.
    Open,
}

/// A report of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// All its buyers have registered or given up.
    Registered,
    /// All its users are done.
    Done,
}

/// The state of one worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub run: Arc<RunContext>,
    pub recorder: Recorder,
    /// The successes that its users saw. Each of them must be in the database after the run.
    pub acknowledged: Mutex<LookupRequest>,
    /// The writes that failed for its users.
    pub failed_writes: Mutex<FailedWrites>,
    pub in_flight: AtomicUsize,
    /// The number of requests with an answer, measured or not.
    pub answered: AtomicU64,
    /// The number of requests without an answer.
    pub unanswered: AtomicU64,
    pub clock: ThreadClock,
    clients: ClientSource,
    traffic: Vec<TrafficShare>,
    /// The id of its next buyer. Its buyers are `number + 1`, `number + 1 + all workers`, … up to the scenario's
    /// number.
    next_buyer: AtomicI64,
    index: usize,
    /// The number of its buyers.
    buyers: usize,
    /// Its share of the connections.
    connections: usize,
    /// The largest number of concurrent registrations.
    registering: usize,
}

impl Worker {
    /// Worker `index` of this process with its share of the process's `connections`.
    pub(super) fn new(run: Arc<RunContext>, index: usize, connections: usize) -> Arc<Worker> {
        let of_worker = |total: usize| share(run.shard.share(total), index, run.workers);
        let buyers = of_worker(run.scenario.users as usize);
        let groups = run.traffic_groups.iter();
        let others = groups.map(|group| of_worker(group.max_users()));
        let wanted = buyers + others.sum::<usize>();
        let connections = share(connections, index, run.workers).max(1);
        // There are too few connections, so all users of the worker share them.
        let shared = (connections < wanted).then(|| ClientSource::pool(connections));
        let groups = run.traffic_groups.iter();
        let traffic = groups.map(|group| {
            let max_users = of_worker(group.max_users());
            TrafficShare::new(group, max_users, shared.as_ref())
        });
        let number = run.shard.index + index * run.shard.of;
        Arc::new(Worker {
            recorder: Recorder::of(run.traffic_groups.len() + 1),
            acknowledged: Mutex::new(room_for(buyers)),
            failed_writes: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            answered: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            clock: ThreadClock::default(),
            traffic: traffic.collect(),
            clients: shared.unwrap_or_else(ClientSource::own),
            next_buyer: AtomicI64::new(number as i64 + 1),
            index,
            buyers,
            connections,
            registering: of_worker(run.scenario.register.connections as usize)
                .clamp(1, connections),
            run,
        })
    }

    /// Its number among the workers of all processes.
    fn number(&self) -> usize {
        self.run.shard.index + self.index * self.run.shard.of
    }

    /// Runs its users through the stages. Returns when all are done or the run was ended.
    async fn carry_users(
        self: &Arc<Worker>,
        stage: watch::Receiver<Stage>,
        events: mpsc::Sender<Event>,
    ) {
        let clock = Arc::clone(self);
        let ticking = tokio::spawn(async move { clock.clock.keep().await });
        tokio::join!(
            executors::gated::run(self, stage.clone(), &events),
            self.carry_traffic(stage)
        );
        ticking.abort();
        self.clock.read();
        // The channel is closed when the run has ended.
        let _ = events.send(Event::Done).await;
    }

    async fn carry_traffic(self: &Arc<Worker>, stage: watch::Receiver<Stage>) {
        let groups = self.traffic.iter().map(|group| {
            let mut stage = stage.clone();
            async move {
                let begins = |stage: &Stage| match group.phase() {
                    PhaseName::Register => true,
                    _ => *stage == Stage::Open,
                };
                let has_begun = tokio::select! {
                    begun = stage.wait_for(begins) => begun.is_ok(),
                    () = self.run.stop.cancelled() => false,
                };
                if has_begun {
                    group.run(self).await;
                }
            }
        });
        futures_util::future::join_all(groups).await;
    }

    /// Waits for all tasks. After the end of the run, requests in flight may still be answered within their
    /// time-outs. Tasks that only wait end at once.
    async fn finish<T: 'static>(&self, tasks: &mut JoinSet<T>) {
        let all = async { while tasks.join_next().await.is_some() {} };
        tokio::select! {
            () = all => return,
            () = self.run.stop.cancelled() => {}
        }
        let deadline = Instant::now() + self.run.connector.longest_exchange();
        while self.in_flight.load(Relaxed) > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tasks.shutdown().await;
    }

    /// Records how much later than `due` a journey began.
    fn record_lag(&self, due: Instant) {
        let lag = micros(due.elapsed());
        self.recorder.with(|frame| frame.lag.saturating_record(lag));
    }
}

/// An empty list of facts with room for the place of each buyer. A list that grows is in memory twice while it is
/// copied.
fn room_for(buyers: usize) -> LookupRequest {
    LookupRequest {
        places: Vec::with_capacity(buyers),
        ..LookupRequest::default()
    }
}

/// Starts the worker's thread. It ends when its users are done or the run was ended.
///
/// # Errors
/// The system has no thread or timer left.
pub(super) fn spawn(
    worker: &Arc<Worker>,
    stage: watch::Receiver<Stage>,
    events: mpsc::Sender<Event>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let worker = Arc::clone(worker);
    std::thread::Builder::new()
        .name("load-worker".to_owned())
        .spawn(move || {
            runtime.block_on(worker.carry_users(stage, events));
        })
}
