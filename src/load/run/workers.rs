//! The worker threads of a run. They start, are read, and are joined together.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use crate::api::ops::LookupRequest;
use crate::load::health::{ThreadShare, connection_budget, raise_file_limit};
use crate::load::recorder::Totals;
use crate::load::summary::GeneratorSummary;
use crate::load::unacknowledged::FailedWrites;
use crate::load::worker::{self, Event, RunContext, Stage, Worker, cores};
use crate::load::{LoadError, RunOptions};

/// The time in which threads must end, in addition to the time-outs of requests.
const GRACE: Duration = Duration::from_secs(5);

/// The workers of this process. Dropping this stops them.
pub(in crate::load) struct Workers {
    pub run: Arc<RunContext>,
    pub events: mpsc::Receiver<Event>,
    /// The facts about the generator that are known at its start.
    pub generator: GeneratorSummary,
    all: Vec<Arc<Worker>>,
    threads: Vec<JoinHandle<()>>,
    stage: watch::Sender<Stage>,
}

impl Workers {
    /// Starts the threads at the given `stage`.
    pub(in crate::load) fn start(
        run: Arc<RunContext>,
        options: &RunOptions,
        stage: Stage,
    ) -> Result<Workers, LoadError> {
        let generator = generator(&run, options);
        let all: Vec<Arc<Worker>> = (0..run.workers)
            .map(|index| Worker::new(Arc::clone(&run), index, generator.connections))
            .collect();
        let (stage, stages) = watch::channel(stage);
        let (reports, events) = mpsc::channel(2 * run.workers);
        let threads = all
            .iter()
            .map(|worker| worker::spawn(worker, stages.clone(), reports.clone()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| {
                run.end();
                LoadError::Generator(error.to_string())
            })?;
        Ok(Workers {
            run,
            events,
            generator,
            all,
            threads,
            stage,
        })
    }

    pub(in crate::load) fn count(&self) -> usize {
        self.all.len()
    }

    /// Lets the users continue after the opening.
    pub(super) fn open(&self) {
        self.stage.send_replace(Stage::Open);
    }

    /// Moves the records of the workers into `totals`.
    pub(in crate::load) fn collect(&self, totals: &mut Totals) {
        for worker in &self.all {
            totals.collect(&worker.recorder);
        }
    }

    /// The numbers of requests with and without an answer, measured or not.
    pub(super) fn answers(&self) -> (u64, u64) {
        let sum = |count: fn(&Worker) -> u64| self.all.iter().map(|it| count(it)).sum();
        let answered = sum(|worker| worker.answered.load(Relaxed));
        (answered, sum(|worker| worker.unanswered.load(Relaxed)))
    }

    /// Waits for the threads. After the end of the run they end within the time-outs of requests.
    pub(super) async fn join(&mut self) {
        let timeout = self.run.connector.longest_exchange() + GRACE;
        let threads = std::mem::take(&mut self.threads);
        let joining = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A thread that panicked leaves its users unfinished, and the verdict shows this.
                let _ = thread.join();
            }
        });
        let _ = tokio::time::timeout(timeout, joining).await;
    }

    /// Takes every success that a user saw, by worker.
    pub(super) fn take_acknowledged(&self) -> Vec<LookupRequest> {
        let workers = self.all.iter();
        workers
            .map(|worker| std::mem::take(&mut *worker.acknowledged.lock()))
            .collect()
    }

    /// Every failed write that a user saw.
    pub(super) fn failed_writes(&self) -> FailedWrites {
        let mut all = FailedWrites::default();
        for worker in &self.all {
            all.add(&worker.failed_writes.lock());
        }
        all
    }

    /// The busiest thread. `None` when the system does not report this.
    pub(super) fn busiest(&self) -> Option<ThreadShare> {
        let shares = self.all.iter().filter_map(|worker| worker.clock.share());
        shares.max_by(|one, other| one.running.total_cmp(&other.running))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.run.end();
    }
}

fn generator(run: &RunContext, options: &RunOptions) -> GeneratorSummary {
    let file_limit = raise_file_limit();
    let wanted = run.wanted_connections();
    let asked = run.scenario.http.connections;
    GeneratorSummary {
        workers: run.workers,
        cores: cores(),
        machine: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        connections: connection_budget(wanted, asked, file_limit, options.embedded),
        wanted,
        file_limit,
        memory: None,
        busiest: None,
        lag: None,
        connection_wait: None,
        limited: Vec::new(),
    }
}

/// Measures for how long requests have failed without any answer.
pub(super) struct Silence {
    answered: u64,
    unanswered: u64,
    since: Instant,
}

impl Silence {
    pub(super) fn new(begun: Instant) -> Silence {
        Silence {
            answered: 0,
            unanswered: 0,
            since: begun,
        }
    }

    pub(super) fn lasts(&mut self, (answered, unanswered): (u64, u64)) -> Duration {
        // There was an answer, or no request failed, so the server is not silent.
        if answered != self.answered || unanswered == self.unanswered {
            (self.answered, self.unanswered, self.since) = (answered, unanswered, Instant::now());
            return Duration::ZERO;
        }
        self.since.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_without_an_answer_count_as_silence() {
        let mut silence = Silence::new(Instant::now());
        assert_eq!(silence.lasts((0, 0)), Duration::ZERO, "no request was sent");
        assert!(silence.lasts((0, 1)) > Duration::ZERO, "a failure");
        assert!(silence.lasts((0, 1)) > Duration::ZERO, "and nothing since");
        assert_eq!(silence.lasts((1, 2)), Duration::ZERO, "an answer");
        assert_eq!(
            silence.lasts((1, 2)),
            Duration::ZERO,
            "no request was sent since"
        );
        assert!(silence.lasts((1, 3)) > Duration::ZERO);
    }
}
