//! Builds the service, runs it, drains it.
//!
//! The caller owns the result: [`start`] gives a [`Running`] server whose listeners are bound, and
//! [`Running::stop`] drains it. Tests, the console and the load generator start servers like this and
//! reach them through their listeners, like anybody.

mod alerting;
mod datasets;
mod file_budget;
mod home;
mod parts;
mod watching;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::alerting::{Evaluator, routes as rule_routes};
use crate::booking::{self, Booking};
use crate::embedded::alertmanager::{self, AlertConfig, AlertStore, Refused};
use crate::embedded::loki::{self, LokiConfig, LokiStore};
use crate::embedded::prometheus::{self, QueryLimits, ScrapeTarget, Tsdb, TsdbConfig};
use crate::embedded::tempo::{self, TempoConfig, TempoStore};
use crate::faults::Faults;
use crate::files::{self, Access};
use crate::http;
use crate::http::listener::{Bounds, listen, serve};
use crate::http::ops::{BearerToken, Hosts, OpsState};
use crate::settings::ServeSettings;
use crate::store::data_dir::DataDir;
use crate::store::postgres::InUse;
use crate::telemetry::{Deliveries, Logs, Metrics, Otlp, Pushing};
use alerting::Prepared;
use datasets::Datasets;
use file_budget::FileBudget;
use home::Furnished;
use parts::Parts;

/// Log records that may wait for the embedded log store.
const LOG_BUFFER: usize = 65_536;
/// Traces that may wait for the embedded trace store: eight seconds of all that are kept at most.
const TRACE_BUFFER: usize = 4_096;

/// Connections to the operations listener from one address.
const OPS_PER_ADDRESS: usize = 64;
/// Bytes of unfinished headers over all connections to the operations listener.
const OPS_UNFINISHED_HEADERS: usize = 4 * 1024 * 1024;

/// How long the end waits for a collector to take the last of logs and traces.
const LAST_PUSH: Duration = Duration::from_secs(3);

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    /// Where the ticketing API listens.
    pub api_addr: SocketAddr,
    /// Where the operations API listens.
    pub ops_addr: SocketAddr,
    /// The bearer token of the operations API.
    pub ops_token: String,
    stop: CancellationToken,
    stop_ops: CancellationToken,
    public: JoinHandle<bool>,
    operations: JoinHandle<bool>,
    work: Vec<JoinHandle<()>>,
    datasets: Arc<Datasets>,
    parts: Parts,
    metrics: Metrics,
    pushing: Option<Pushing>,
    faults: Faults,
    _in_use: Option<InUse>,
    _dir: Arc<DataDir>,
}

pub use home::open_database;

/// Where a running server can be reached, for other commands on the same data directory
/// (`server.json`).
#[derive(Debug, Serialize, Deserialize)]
pub struct ServerFile {
    /// The ticketing API.
    pub api_addr: SocketAddr,
    /// The operations API.
    pub ops_addr: SocketAddr,
}

impl ServerFile {
    /// The file's name in the data directory.
    pub const NAME: &str = "server.json";
}

/// Starts a server.
///
/// # Errors
/// A data directory that cannot be used, a damaged database, a port that is taken: each says what to
/// do.
pub async fn start(settings: ServeSettings, logs: &Logs) -> anyhow::Result<Running> {
    let alerting = Prepared::new(&settings.alerting)?;
    let Furnished {
        home,
        key,
        ops_token,
        dir,
    } = home::furnish(&settings).await?;
    let in_use = home.occupy(settings.redis_url.is_none()).await?;
    let api = bind(settings.api_addr, "--api-addr")?;
    let ops = bind(settings.ops_addr, "--ops-addr")?;
    let (api_addr, ops_addr) = (api.local_addr()?, ops.local_addr()?);

    // One name in metrics, logs and traces: the address that is scraped.
    let instance = ops_addr.to_string();
    let deliveries = Deliveries::default();
    let collector = settings.otlp.as_ref();
    for warning in collector.into_iter().flat_map(Otlp::warnings) {
        tracing::warn!("{warning}");
    }
    let metrics = Metrics::pushed(collector, &deliveries, &instance)?;
    metrics.log_dropped_source({
        let logs = logs.clone();
        move || logs.dropped()
    });
    let booking = Booking::new(settings.rules, key, metrics.clone());
    let faults = Faults::new(metrics.clone(), settings.redis_url.is_some());
    let parts = Parts::new();
    let datasets = Datasets::open(
        home,
        settings.redis_url.clone(),
        Arc::clone(&booking),
        (metrics.clone(), settings.clock.clone()),
        faults.clone(),
        parts.clone(),
    )
    .await?;
    let file = serde_json::to_vec(&ServerFile { api_addr, ops_addr })?;
    let place = settings.data_dir.join(ServerFile::NAME);
    files::replace(&place, &file, Access::Owner).map_err(|error| {
        let (place, advice) = (place.display(), files::advice(&error));
        anyhow::anyhow!("{place} cannot be written: {error}; {advice}")
    })?;

    let (stop, stop_ops) = (CancellationToken::new(), CancellationToken::new());
    let stores = Embedded::start(&settings, ops_addr, (logs, &metrics), alerting, &stop_ops)?;
    let state = OpsState {
        booking: Arc::clone(&booking),
        metrics: metrics.clone(),
        seeding: Arc::new(Arc::clone(&datasets)),
        faults: faults.clone(),
        api_addr,
        consoles: Default::default(),
    };
    let (open, guarded) = stores.routers();
    let access = (
        BearerToken::new(&ops_token),
        Hosts::new(ops_addr, &settings.ops_hosts),
    );
    let operations = http::ops::router(state, access, open, guarded);
    let public = http::public(
        Arc::clone(&booking),
        &metrics,
        settings.limits,
        faults.clone(),
    );
    let public = http::cors::allow(public, &settings.cors_origins);

    logs.set_instance(&instance);
    let pushing = collector
        .map(|otlp| otlp.push(logs, &instance, &deliveries))
        .transpose()?;
    let files = FileBudget::now(settings.bounds.connections, settings.database_connections);
    files.report();
    let api_bounds = Bounds {
        connections: files.api,
        ..settings.bounds
    };
    let ops_bounds = Bounds {
        connections: files.operations,
        per_address: OPS_PER_ADDRESS,
        unfinished_headers: OPS_UNFINISHED_HEADERS,
        drain: Duration::from_secs(2),
        ..settings.bounds
    };
    let mut work = stores.work;
    let asked = |stop: &CancellationToken| {
        let stop = stop.clone();
        move || stop.is_cancelled()
    };
    work.push(parts.run(
        "clock of admissions and holds",
        asked(&stop),
        booking::run_background(Arc::clone(&booking), stop.clone()),
    ));
    work.push(tokio::spawn(watching::clock(
        settings.clock.clone(),
        metrics.clone(),
    )));
    work.push(tokio::spawn(Arc::clone(&datasets).follow()));
    work.push(tokio::spawn(watching::database(
        Arc::clone(&datasets),
        metrics.clone(),
        faults.clone(),
    )));
    work.push(tokio::spawn(watching::connections(booking, faults.clone())));
    let running = Running {
        api_addr,
        ops_addr,
        ops_token,
        public: parts.run(
            "ticketing listener",
            asked(&stop),
            serve(api, public, api_bounds, stop.clone()),
        ),
        operations: parts.run(
            "operations listener",
            asked(&stop_ops),
            serve(ops, operations, ops_bounds, stop_ops.clone()),
        ),
        stop,
        stop_ops,
        work,
        datasets,
        parts,
        metrics,
        pushing,
        faults,
        _in_use: in_use,
        _dir: dir,
    };
    tracing::info!(api = %api_addr, operations = %ops_addr, data = %settings.data_dir.display(), "serving");
    Ok(running)
}

impl Running {
    /// Resolves with the reason when a part that the server cannot do without ends unasked: a
    /// listener, the clock of admissions, the database writer. What is left of it can still be
    /// stopped.
    pub fn ended(&self) -> impl Future<Output = String> + Send + 'static {
        self.parts.ended()
    }

    /// Cuts the operations listener off as a defect would, for tests of what [`Running::ended`]
    /// leads to.
    pub fn break_down(&self) {
        self.operations.abort();
    }

    /// Takes no more connections, finishes what is under way (10 s), closes the database.
    pub async fn stop(self) {
        // What they hold up could not be finished.
        self.faults.end_all("the server stops");
        self.stop.cancel();
        if !self.public.await.unwrap_or(false) {
            tracing::warn!("some connections did not end in time and were cut");
        }
        self.datasets.close().await;
        // Last, so that whoever watches sees the end.
        self.stop_ops.cancel();
        drop(self.operations.await);
        for task in self.work {
            task.abort();
            // What it held, the data directory among it, is given back before this returns.
            drop(task.await);
        }
        if let Some(pushing) = self.pushing {
            let metrics = self.metrics;
            let last = tokio::task::spawn_blocking(move || {
                metrics.shutdown();
                pushing.end(LAST_PUSH);
            });
            // A panic there was reported where it happened.
            drop(last.await);
        }
    }
}

fn bind(addr: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    listen(addr).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!(
                "{addr} is in use: is a server running already? Choose another with {flag}"
            )
        }
        _ => anyhow::anyhow!("cannot listen on {addr}: {error}; choose another with {flag}"),
    })
}

/// The telemetry stores that answer when no stack is there.
struct Embedded {
    tsdb: Arc<Tsdb>,
    loki: Arc<LokiStore>,
    tempo: Arc<TempoStore>,
    alerts: Arc<AlertStore>,
    evaluator: Arc<Evaluator>,
    work: Vec<JoinHandle<()>>,
}

impl Embedded {
    fn start(
        settings: &ServeSettings,
        ops_addr: SocketAddr,
        (logs, metrics): (&Logs, &Metrics),
        alerting: Prepared,
        stop: &CancellationToken,
    ) -> anyhow::Result<Embedded> {
        let bounds = settings.embedded;
        let tsdb = Arc::new(Tsdb::new(TsdbConfig {
            max_bytes: bounds.metrics_bytes,
            retention: bounds.retention,
            ..TsdbConfig::default()
        }));
        let loki = LokiStore::new(LokiConfig {
            max_bytes: bounds.logs_bytes,
            retention: bounds.retention,
            ..LokiConfig::default()
        });
        let loki = Arc::new(loki.until(stop.clone()));
        let tempo = Arc::new(TempoStore::new(TempoConfig {
            max_bytes: bounds.traces_bytes,
            retention: bounds.retention,
            ..TempoConfig::default()
        }));
        let target = ScrapeTarget {
            job: "concertctl".to_owned(),
            instance: ops_addr.to_string(),
            url: format!("http://{ops_addr}/metrics"),
        };
        let timeout = bounds.scrape_interval.min(Duration::from_secs(10));
        let scraper = prometheus::spawn_scraper(
            Arc::clone(&tsdb),
            vec![target],
            bounds.scrape_interval,
            timeout,
            stop.clone(),
        )?;
        let ingest = tokio::spawn(Arc::clone(&loki).ingest(logs.subscribe(LOG_BUFFER)));
        let kept = logs.traces().subscribe(TRACE_BUFFER);
        let traces = tokio::spawn(Arc::clone(&tempo).ingest(kept));
        let alerts = Arc::new(AlertStore::new(AlertConfig::default()));
        metrics.alerts_refused_source({
            let alerts = Arc::clone(&alerts);
            move || Refused::ALL.map(|kind| (kind.label(), alerts.refused(kind)))
        });
        let stores = (&tsdb, &alerts);
        let alerting = alerting.start(&settings.alerting, ops_addr, stores, metrics, stop)?;
        let mut work = alerting.work;
        work.extend([scraper, ingest, traces]);
        Ok(Embedded {
            tsdb,
            loki,
            tempo,
            alerts,
            evaluator: alerting.evaluator,
            work,
        })
    }

    /// What is open to anybody on the listener, and what needs the token: log lines and traces name
    /// users; metrics, rules and alerts do not.
    fn routers(&self) -> (axum::Router, axum::Router) {
        let open = prometheus::routes(Arc::clone(&self.tsdb), QueryLimits::default())
            .merge(rule_routes(Arc::clone(&self.evaluator)))
            .merge(alertmanager::read_routes(Arc::clone(&self.alerts)))
            .merge(loki::readiness_route());
        let guarded = loki::routes(Arc::clone(&self.loki))
            .merge(tempo::routes(Arc::clone(&self.tempo)))
            .merge(alertmanager::write_routes(Arc::clone(&self.alerts)));
        (open, guarded)
    }
}
