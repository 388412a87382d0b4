//! Runs only the traffic groups of a scenario against any HTTP server, without dataset, admission and audit. The
//! check of the generator's own clock uses it, and so do benchmarks that compare other tools.

use std::time::{Duration, Instant};

use super::prepare::{Endpoint, Servers};
use super::recorder::{Frame, Totals};
use super::run::{Workers, no_dataset};
use super::worker::{Event, RunContext, Stage};
use super::{LoadError, RunOptions};

/// The time in which threads must end after the scenario.
const GRACE: Duration = Duration::from_secs(30);

/// The measurements of a run without buyers.
#[derive(Debug)]
pub struct TrafficMeasurement {
    /// All measurements. Traffic groups are numbered from 1.
    pub frame: Frame,
    /// The time from the first request to the last.
    pub elapsed: Duration,
}

/// Runs the traffic groups of a scenario against `url`.
///
/// # Errors
/// No server listens there, or a thread cannot be started.
pub async fn measure_traffic(
    url: &str,
    options: &RunOptions,
) -> Result<TrafficMeasurement, LoadError> {
    let servers = Servers::reach(&[Endpoint::parse(url)?]).await?;
    let context = RunContext::new(options, servers, &no_dataset())?;
    let begun = Instant::now();
    let mut workers = Workers::start(context, options, Stage::Open)?;
    let done = async {
        let mut done = 0;
        while done < workers.count() {
            match workers.events.recv().await {
                Some(Event::Done) => done += 1,
                Some(Event::Registered) => {}
                None => break,
            }
        }
    };
    let longest = options.scenario.limits.duration.0 + GRACE;
    let ended = tokio::time::timeout(longest, done).await;
    let elapsed = begun.elapsed();
    workers.run.end();
    ended.map_err(|_| LoadError::Generator("its threads did not end".to_owned()))?;
    let mut totals = Totals::of(options.scenario.traffic.len() + 1);
    workers.collect(&mut totals);
    Ok(TrafficMeasurement {
        frame: totals.sum,
        elapsed,
    })
}
