//! The embedded telemetry stores of a server. They answer like Prometheus, Loki, Tempo and Alertmanager.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::OwnAddress;
use super::alerting::AlertingPlan;
use crate::alerting::routes as rule_routes;
use crate::embedded::alertmanager::{self, AlertConfig, AlertStore, Refused};
use crate::embedded::loki::{self, LokiConfig, LokiStore};
use crate::embedded::prometheus::{self, QueryLimits, ScrapeTarget, Tsdb, TsdbConfig};
use crate::embedded::tempo::{self, TempoConfig, TempoStore};
use crate::settings::ServeSettings;
use crate::telemetry::{Logs, Metrics};

/// The largest number of log records that wait for the embedded log store.
const LOG_BUFFER: usize = 65_536;
/// The largest number of traces that wait for the embedded trace store. They cover at least eight seconds of all kept
/// traces.
const TRACE_BUFFER: usize = 4_096;
/// A scrape that takes longer has failed, even if the scrape interval is longer.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

/// The running stores.
pub(super) struct TelemetryStores {
    /// Routes that need no token: metrics, rules and alerts name no users.
    pub(super) open: Router,
    /// Routes that need the token: log lines and traces name users.
    pub(super) guarded: Router,
    pub(super) tasks: Vec<JoinHandle<()>>,
}

/// Starts the stores and the tasks that fill them: scrapes, log records, traces, alert rules.
pub(super) fn start(
    settings: &ServeSettings,
    alerting: AlertingPlan,
    ops: &OwnAddress,
    (logs, metrics): (&Logs, &Metrics),
    stop: &CancellationToken,
) -> anyhow::Result<TelemetryStores> {
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
    let alerts = Arc::new(AlertStore::new(AlertConfig::default()));
    metrics.alerts_refused_source({
        let alerts = Arc::clone(&alerts);
        move || Refused::ALL.map(|kind| (kind.label(), alerts.refused(kind)))
    });
    let alerting = alerting.start(
        &settings.alerting,
        &ops.url(),
        (&tsdb, &alerts),
        metrics,
        stop,
    )?;
    let mut tasks = alerting.tasks;
    tasks.push(scrape(&tsdb, ops, bounds.scrape_interval, stop)?);
    tasks.push(tokio::spawn(
        Arc::clone(&loki).ingest(logs.subscribe(LOG_BUFFER)),
    ));
    let traces = logs.traces().subscribe(TRACE_BUFFER);
    tasks.push(tokio::spawn(Arc::clone(&tempo).ingest(traces)));
    Ok(TelemetryStores {
        open: prometheus::routes(tsdb, QueryLimits::default())
            .merge(rule_routes(alerting.evaluator))
            .merge(alertmanager::read_routes(Arc::clone(&alerts)))
            .merge(loki::readiness_route()),
        guarded: loki::routes(loki)
            .merge(tempo::routes(tempo))
            .merge(alertmanager::write_routes(alerts)),
        tasks,
    })
}

/// Scrapes this server's own metrics over its operations listener, like an external Prometheus.
fn scrape(
    tsdb: &Arc<Tsdb>,
    ops: &OwnAddress,
    interval: Duration,
    stop: &CancellationToken,
) -> anyhow::Result<JoinHandle<()>> {
    let target = ScrapeTarget {
        job: "concertctl".to_owned(),
        instance: ops.addr.to_string(),
        url: format!("{}/metrics", ops.url()),
    };
    let timeout = interval.min(SCRAPE_TIMEOUT);
    let tsdb = Arc::clone(tsdb);
    Ok(prometheus::spawn_scraper(
        ops.client(),
        tsdb,
        vec![target],
        interval,
        timeout,
        stop.clone(),
    )?)
}
