//! Builds, runs and drains the server.
//!
//! [`start`] returns a [`Running`] server with bound listeners, and [`Running::stop`] drains it. Tests, the console
//! and the load generator start servers in this way and reach them through their listeners, like every other client.

mod alerting;
mod critical;
mod datasets;
mod file_budget;
mod listeners;
mod monitors;
mod storage;
mod stores;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::booking::{self, Booking};
use crate::domain::token::TokenKey;
use crate::faults::Faults;
use crate::http;
use crate::http::ops::{BearerToken, Hosts, OpsState};
use crate::http_client;
use crate::settings::ServeSettings;
use crate::store::DatasetStorage;
use crate::telemetry::{Deliveries, Logs, Metrics, Otlp, Pushing};
use crate::tls::ServerTls;
use alerting::AlertingPlan;
use critical::CriticalTasks;
use datasets::Datasets;
use listeners::Listeners;
use storage::{Storage, StorageLocks};
use tls::Renewal;

pub use listeners::{ServerFile, reachable};
pub use storage::open_database;

/// The longest time for which a stop waits for a collector to accept the last logs and traces.
const LAST_PUSH: Duration = Duration::from_secs(3);

/// A running server.
#[derive(Debug)]
pub struct Running {
    /// The address of the ticketing API.
    pub api_addr: SocketAddr,
    /// The address of the operations API.
    pub ops_addr: SocketAddr,
    /// Both listeners speak TLS.
    pub is_tls: bool,
    /// The bearer token of the operations API.
    pub ops_token: String,
    stop_api: CancellationToken,
    stop_ops: CancellationToken,
    api: JoinHandle<bool>,
    ops: JoinHandle<bool>,
    background: Vec<JoinHandle<()>>,
    critical: CriticalTasks,
    datasets: Arc<Datasets>,
    faults: Faults,
    metrics: Metrics,
    pushing: Option<Pushing>,
    data_dir: PathBuf,
    _locks: StorageLocks,
}

/// Starts a server.
///
/// # Errors
/// The data directory cannot be used, the database is damaged, a certificate is bad, or a port is taken. Each error
/// says what to do.
pub async fn start(settings: ServeSettings, logs: &Logs) -> anyhow::Result<Running> {
    // Rules are read before anything is opened, so that a mistake in them changes nothing.
    let alerting = AlertingPlan::read(&settings.alerting)?;
    let tls = settings.tls.clone().map(ServerTls::open).transpose();
    let tls = tls.map_err(|why| anyhow::anyhow!("TLS (--tls-cert, --tls-key): {why}"))?;
    let Storage {
        storage,
        token_key,
        key_is_new,
        ops_token,
        locks,
    } = storage::open(&settings).await?;
    let Listeners { api, ops } = Listeners::bind(&settings)?;
    let (api_addr, ops_addr) = (api.addr, ops.addr);
    let telemetry = Telemetry::build(&settings, ops_addr, logs)?;
    let metrics = &telemetry.metrics;
    let critical = CriticalTasks::new();
    let service = Service::open(&settings, storage, token_key, metrics, &critical);
    // The future is boxed because it is large, and every caller's future contains it.
    let service = Box::pin(service).await?;
    if key_is_new {
        service.warn_of_new_key();
    }
    let file = ServerFile::new(api_addr, ops_addr, tls.as_deref());
    file.write(&settings.data_dir)?;

    let (stop_api, stop_ops) = (CancellationToken::new(), CancellationToken::new());
    let ops_at = OwnAddress::new(ops_addr, tls.clone());
    let stores = stores::start(&settings, alerting, &ops_at, (logs, metrics), &stop_ops)?;
    let mut background = stores.tasks;
    if let Some(tls) = &tls {
        let data_dir = settings.data_dir.clone();
        let renewal = Renewal::new(Arc::clone(tls), metrics.clone(), data_dir, file)?;
        background.push(tokio::spawn(renewal.run()));
    }
    let pushing = telemetry.push(settings.otlp.as_ref(), logs)?;
    let (api_bounds, ops_bounds) = listeners::bounds(&settings);
    let api_router = service.api_router(&settings, metrics);
    let access = (
        BearerToken::new(&ops_token),
        Hosts::new(ops_addr, &settings.ops_hosts),
    );
    let state = service.ops_state(api_addr, metrics);
    let ops_router = http::ops::router(state, access, stores.open, stores.guarded);
    background.extend(service.spawn_background(&settings, &telemetry, &critical, &stop_api));
    let api = http::listener::serve(
        api.socket,
        api_router,
        api_bounds,
        tls.clone(),
        stop_api.clone(),
    );
    let ops = http::listener::serve(
        ops.socket,
        ops_router,
        ops_bounds,
        tls.clone(),
        stop_ops.clone(),
    );
    let running = Running {
        api_addr,
        ops_addr,
        is_tls: tls.is_some(),
        ops_token,
        api: critical.spawn("ticketing listener", &stop_api, api),
        ops: critical.spawn("operations listener", &stop_ops, ops),
        stop_api,
        stop_ops,
        background,
        critical,
        datasets: service.datasets,
        faults: service.faults,
        metrics: telemetry.metrics,
        pushing,
        data_dir: settings.data_dir.clone(),
        _locks: locks,
    };
    tracing::info!(api = %api_addr, operations = %ops_addr, data = %settings.data_dir.display(), "serving");
    Ok(running)
}

/// The address of the operations listener, and the way in which the server reaches it.
struct OwnAddress {
    addr: SocketAddr,
    tls: Option<Arc<ServerTls>>,
}

impl OwnAddress {
    fn new(addr: SocketAddr, tls: Option<Arc<ServerTls>>) -> OwnAddress {
        OwnAddress { addr, tls }
    }

    fn url(&self) -> String {
        format!("{}://{}", listeners::scheme(self.tls.is_some()), self.addr)
    }

    /// A client that trusts this server only.
    fn client(&self) -> reqwest::ClientBuilder {
        let builder = http_client::builder();
        match &self.tls {
            Some(tls) => builder.tls_backend_preconfigured(crate::tls::client::of_itself(tls)),
            None => builder,
        }
    }
}

impl Running {
    /// The URL of the ticketing API.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}://{}", listeners::scheme(self.is_tls), self.api_addr)
    }

    /// The URL of the operations API.
    #[must_use]
    pub fn ops_url(&self) -> String {
        format!("{}://{}", listeners::scheme(self.is_tls), self.ops_addr)
    }

    /// Resolves with the reason when a critical task ends unexpectedly: a listener, the admission clock, the database
    /// writer. The rest of the server still runs and can be stopped.
    pub fn ended(&self) -> impl Future<Output = String> + Send + 'static {
        self.critical.failed()
    }

    /// Aborts the operations listener like a defect would, for tests of [`Running::ended`].
    pub fn break_down(&self) {
        self.ops.abort();
    }

    /// Accepts no more connections, finishes the requests in flight (10 s), and closes the database.
    ///
    /// # Errors
    /// The embedded database was not closed cleanly. The rest has stopped.
    pub async fn stop(self) -> anyhow::Result<()> {
        // A request that an injected fault delays could not finish.
        self.faults.end_all("the server stops");
        self.stop_api.cancel();
        if !self.api.await.unwrap_or(false) {
            tracing::warn!("some connections did not end in time and were cut");
        }
        let closed = self.datasets.close().await;
        // The operations listener stops last, so that consoles and scrapers see the end.
        self.stop_ops.cancel();
        drop(self.ops.await);
        // The seal ends only now: while the operations listener answers, it would show the fault to the player of a
        // blind drill.
        self.faults.unseal_at_stop();
        for task in self.background {
            task.abort();
            // The task releases its resources, such as the data directory, before this returns.
            drop(task.await);
        }
        if let Some(pushing) = self.pushing {
            let metrics = self.metrics;
            let last = tokio::task::spawn_blocking(move || {
                metrics.shutdown();
                pushing.end(LAST_PUSH);
            });
            // A panic in the task has already been reported.
            drop(last.await);
        }
        // From now on another program may listen at the addresses.
        ServerFile::remove(&self.data_dir);
        Ok(closed?)
    }
}

/// The metrics of a server, and the name under which its metrics, logs and traces are pushed.
struct Telemetry {
    metrics: Metrics,
    deliveries: Deliveries,
    /// One name for all three: the address that Prometheus scrapes.
    instance: String,
}

impl Telemetry {
    fn build(
        settings: &ServeSettings,
        ops_addr: SocketAddr,
        logs: &Logs,
    ) -> anyhow::Result<Telemetry> {
        let collector = settings.otlp.as_ref();
        for warning in collector.into_iter().flat_map(Otlp::warnings) {
            tracing::warn!("{warning}");
        }
        let (deliveries, instance) = (Deliveries::default(), ops_addr.to_string());
        let metrics = Metrics::pushed(collector, &deliveries, &instance)?;
        metrics.log_dropped_source({
            let logs = logs.clone();
            move || logs.dropped()
        });
        Ok(Telemetry {
            metrics,
            deliveries,
            instance,
        })
    }

    /// Starts to push logs and traces to the collector, if there is one.
    fn push(&self, collector: Option<&Otlp>, logs: &Logs) -> anyhow::Result<Option<Pushing>> {
        logs.set_instance(&self.instance);
        let pushing = collector.map(|otlp| otlp.push(logs, &self.instance, &self.deliveries));
        pushing.transpose()
    }
}

/// The ticketing service, its datasets and the injected faults.
struct Service {
    booking: Arc<Booking>,
    datasets: Arc<Datasets>,
    faults: Faults,
}

impl Service {
    async fn open(
        settings: &ServeSettings,
        storage: DatasetStorage,
        token_key: TokenKey,
        metrics: &Metrics,
        critical: &CriticalTasks,
    ) -> anyhow::Result<Service> {
        let booking = Booking::new(settings.rules, token_key, metrics.clone());
        let faults = Faults::new(metrics.clone(), settings.redis_url.is_some());
        let datasets =
            Datasets::open(storage, settings, &booking, metrics, &faults, critical).await?;
        Ok(Service {
            booking,
            datasets,
            faults,
        })
    }

    /// Warns that the tokens of a sale are lost. A sale without places has no tokens.
    fn warn_of_new_key(&self) {
        let queue = self.booking.queue_state();
        if queue.is_ok_and(|(counts, _)| counts.registered > 0) {
            tracing::warn!(
                "the data directory had no token-key and got a new one, so all tokens of the sale become unknown: to \
                 keep them, stop the server, put the token-key of a backup into the data directory, and start again"
            );
        }
    }

    fn api_router(&self, settings: &ServeSettings, metrics: &Metrics) -> axum::Router {
        let (booking, faults) = (Arc::clone(&self.booking), self.faults.clone());
        let router = http::public(booking, metrics, settings.limits, faults);
        http::cors::allow(router, &settings.cors_origins)
    }

    fn ops_state(&self, api_addr: SocketAddr, metrics: &Metrics) -> OpsState {
        OpsState {
            booking: Arc::clone(&self.booking),
            metrics: metrics.clone(),
            seeding: Arc::new(Arc::clone(&self.datasets)),
            faults: self.faults.clone(),
            api_addr,
            consoles: Default::default(),
        }
    }

    /// Starts the background tasks. The admission clock is critical: without it no user is admitted and no hold ends.
    fn spawn_background(
        &self,
        settings: &ServeSettings,
        telemetry: &Telemetry,
        critical: &CriticalTasks,
        stop: &CancellationToken,
    ) -> [JoinHandle<()>; 6] {
        let metrics = &telemetry.metrics;
        let (booking, datasets, faults) = (&self.booking, &self.datasets, &self.faults);
        let clock = booking::run_background(Arc::clone(booking), stop.clone());
        [
            critical.spawn("clock of admissions and holds", stop, clock),
            tokio::spawn(monitors::clock(
                settings.clock.clone(),
                metrics.clone(),
                faults.clone(),
            )),
            tokio::spawn(Arc::clone(datasets).follow()),
            tokio::spawn(monitors::database(
                Arc::clone(datasets),
                metrics.clone(),
                faults.clone(),
            )),
            tokio::spawn(monitors::pool_exhaustion(
                Arc::clone(booking),
                faults.clone(),
            )),
            tokio::spawn(monitors::telemetry_gone(
                telemetry.deliveries.clone(),
                faults.clone(),
            )),
        ]
    }
}
