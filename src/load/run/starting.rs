//! The beginning of a run: threads, connections, and what is watched.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use super::{Pace, Rehearsal, Silence};
use crate::api::ops::Dataset;
use crate::load::connection::Connector;
use crate::load::hall::Hall;
use crate::load::health::{connection_budget, raise_file_limit};
use crate::load::judge::Watches;
use crate::load::ops::Ops;
use crate::load::prepare::{Ready, Servers};
use crate::load::progress::Progress;
use crate::load::recorder::Totals;
use crate::load::summary::{GeneratorSummary, Recording};
use crate::load::wire::Wire;
use crate::load::worker::{self, Parts, Run, Stage, Worker};
use crate::load::{LoadError, RunOptions, Scenario};

const MOST_WORKERS: usize = 8;

impl<'p> Rehearsal<'p> {
    pub(super) fn start(
        servers: Servers,
        options: &'p RunOptions,
        ready: &Ready,
        ops: Ops,
        progress: &'p watch::Sender<Progress>,
    ) -> Result<Rehearsal<'p>, LoadError> {
        let scenario = Arc::new(options.scenario.clone());
        let dataset = ready.status.dataset.clone().unwrap_or_else(no_dataset);
        let target = servers.shown.clone();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = workers(&scenario, cores);
        let run = run(servers, &scenario, &dataset, options, count)?;
        let file_limit = raise_file_limit();
        let wanted = run.wanted_connections();
        let (own, embedded) = (scenario.http.connections, options.embedded);
        let connections = connection_budget(wanted, own, file_limit, embedded);
        let workers: Vec<Arc<Worker>> = (0..count)
            .map(|index| Worker::new(Arc::clone(&run), index, connections))
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
        let crowds: Vec<String> = scenario.traffic.keys().cloned().collect();
        Ok(Rehearsal {
            totals: Totals::of(crowds.len() + 1),
            watches: Watches::new(&options.scenario, options.phase),
            crowds,
            run,
            workers,
            threads,
            stage,
            events,
            progress,
            ops,
            target,
            begun,
            started_at: jiff::Timestamp::now(),
            ended: None,
            generator: GeneratorSummary {
                workers: count,
                cores,
                machine: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
                connections,
                wanted,
                file_limit,
                memory: None,
                busiest: None,
                lag: None,
                connection_wait: None,
                limited: Vec::new(),
            },
            recording: Recording::default(),
            second_since: begun,
            pace: Pace::new(begun),
            silence: Silence::new(begun),
            seen: Arc::default(),
            eased: false,
            breach: None,
        })
    }
}

pub(in crate::load) fn workers(scenario: &Scenario, cores: usize) -> usize {
    let asked = scenario.generator.workers;
    let count = asked.map_or(cores.min(MOST_WORKERS), |count| count as usize);
    let most = usize::try_from(scenario.everybody()).unwrap_or(usize::MAX);
    count.clamp(1, most.max(1))
}

pub(in crate::load) fn run(
    servers: Servers,
    scenario: &Arc<Scenario>,
    dataset: &Dataset,
    options: &RunOptions,
    workers: usize,
) -> Result<Arc<Run>, LoadError> {
    let authority = &servers.authority;
    let wire = Wire::new(authority, dataset.on_sale_concert)
        .map_err(|error| LoadError::Target(format!("`{authority}`: {error}")))?;
    Ok(Arc::new(Run::new(Parts {
        scenario: Arc::clone(scenario),
        wire,
        connector: Connector {
            addrs: servers.addrs,
            next: AtomicUsize::new(0),
            connect_timeout: scenario.http.connect_timeout.0,
            request_timeout: scenario.http.request_timeout.0,
        },
        hall: Hall::new(dataset, &scenario.contention),
        only: options.phase,
        shard: options.shard,
        workers,
        meter: options.meter.clone(),
    })))
}

pub(in crate::load) fn no_dataset() -> Dataset {
    Dataset {
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
