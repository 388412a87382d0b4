//! Crowds alone, against anything that speaks HTTP: no dataset, no admission, no audit. For the check
//! of our own clock, and for benchmarks beside other tools.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::health::{connection_budget, raise_file_limit};
use super::prepare::{Endpoint, Servers};
use super::recorder::{Frame, Totals};
use super::run::starting::{no_dataset, run, workers};
use super::worker::{self, Event, Stage, Worker};
use super::{LoadError, RunOptions};

/// Beyond what the scenario takes, for threads to end.
const GRACE: Duration = Duration::from_secs(30);

/// What a bare run measured.
#[derive(Debug)]
pub struct Bare {
    /// Everything measured; crowds count from 1.
    pub frame: Frame,
    /// From the first request to the last.
    pub elapsed: Duration,
}

/// Runs the crowds of a scenario without buyers against `url`.
///
/// # Errors
/// When nobody listens there, or a thread cannot be started.
pub async fn bare(url: &str, options: &RunOptions) -> Result<Bare, LoadError> {
    let endpoint = Endpoint::parse(url)?;
    let servers = Servers::reach(&[endpoint]).await?;
    let scenario = Arc::new(options.scenario.clone());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let count = workers(&scenario, cores);
    let run = run(servers, &scenario, &no_dataset(), options, count)?;
    let (wanted, own) = (run.wanted_connections(), scenario.http.connections);
    let connections = connection_budget(wanted, own, raise_file_limit(), options.embedded);
    let workers: Vec<Arc<Worker>> = (0..count)
        .map(|index| Worker::new(Arc::clone(&run), index, connections))
        .collect();
    let (_stage, stages) = watch::channel(Stage::Open);
    let (reports, mut events) = mpsc::channel(2 * count);
    let begun = Instant::now();
    for worker in &workers {
        let spawned = worker::spawn(worker, stages.clone(), reports.clone());
        spawned.map_err(|error| LoadError::Generator(error.to_string()))?;
    }
    drop(reports);
    let done = async {
        let mut done = 0;
        while done < count {
            match events.recv().await {
                Some(Event::Done) => done += 1,
                Some(Event::Registered) => {}
                None => break,
            }
        }
    };
    let longest = scenario.limits.duration.0 + GRACE;
    let ended = tokio::time::timeout(longest, done).await;
    let elapsed = begun.elapsed();
    run.end();
    ended.map_err(|_| LoadError::Generator("its threads did not end".to_owned()))?;
    let mut totals = Totals::of(scenario.traffic.len() + 1);
    for worker in &workers {
        totals.collect(&worker.shard);
    }
    Ok(Bare {
        frame: totals.sum,
        elapsed,
    })
}
