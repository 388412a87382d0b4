//! The worker threads of a run: started together, read together, joined together.

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

/// Beyond the requests' own time-outs, for threads to end.
const GRACE: Duration = Duration::from_secs(5);

/// The workers of this process. Dropped, they stop.
pub(in crate::load) struct Workers {
    pub run: Arc<RunContext>,
    pub events: mpsc::Receiver<Event>,
    /// The generator by what is known at its start.
    pub generator: GeneratorSummary,
    all: Vec<Arc<Worker>>,
    threads: Vec<JoinHandle<()>>,
    stage: watch::Sender<Stage>,
}

impl Workers {
    /// Starts the threads, which begin at `stage`.
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

    /// Lets the users go on to the open sale.
    pub(super) fn open(&self) {
        self.stage.send_replace(Stage::Open);
    }

    /// Moves what the workers recorded into `totals`.
    pub(in crate::load) fn collect(&self, totals: &mut Totals) {
        for worker in &self.all {
            totals.collect(&worker.recorder);
        }
    }

    /// Requests with an answer and without one, measured or not.
    pub(super) fn answers(&self) -> (u64, u64) {
        let sum = |count: fn(&Worker) -> u64| self.all.iter().map(|it| count(it)).sum();
        let answered = sum(|worker| worker.answered.load(Relaxed));
        (answered, sum(|worker| worker.unanswered.load(Relaxed)))
    }

    /// Waits for the threads, which end within the requests' time-outs once the run was ended.
    pub(super) async fn join(&mut self) {
        let timeout = self.run.connector.longest_exchange() + GRACE;
        let threads = std::mem::take(&mut self.threads);
        let joining = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A thread that panicked leaves its users unfinished, which the verdict shows.
                let _ = thread.join();
            }
        });
        let _ = tokio::time::timeout(timeout, joining).await;
    }

    /// Every success that a user saw.
    pub(super) fn acknowledged(&self) -> LookupRequest {
        let mut all = LookupRequest::default();
        for worker in &self.all {
            let of_worker = worker.acknowledged.lock();
            all.places.extend_from_slice(&of_worker.places);
            all.reservations.extend_from_slice(&of_worker.reservations);
            all.payments.extend_from_slice(&of_worker.payments);
            all.charges.extend_from_slice(&of_worker.charges);
        }
        all
    }

    /// Every write that a user saw fail.
    pub(super) fn failed_writes(&self) -> FailedWrites {
        let mut all = FailedWrites::default();
        for worker in &self.all {
            all.add(&worker.failed_writes.lock());
        }
        all
    }

    /// The busiest thread; absent where the system does not know.
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

/// How long requests have been failing without any answer in between.
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
        // An answer came, or no request failed: no silence.
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
        assert_eq!(silence.lasts((0, 0)), Duration::ZERO, "nobody asked");
        assert!(silence.lasts((0, 1)) > Duration::ZERO, "a failure");
        assert!(silence.lasts((0, 1)) > Duration::ZERO, "and nothing since");
        assert_eq!(silence.lasts((1, 2)), Duration::ZERO, "an answer");
        assert_eq!(silence.lasts((1, 2)), Duration::ZERO, "nobody asked since");
        assert!(silence.lasts((1, 3)) > Duration::ZERO);
    }
}
