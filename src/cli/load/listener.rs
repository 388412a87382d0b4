//! The load generator's own listener: its metrics, the progress of the run, and commands that steer it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Failure;
use super::telemetry::{RunTelemetry, record_trace};
use crate::api::load::LoadStatus;
use crate::http::listener::{Bounds, serve};
use crate::http::ops::{BearerToken, Hosts, RunControl, load_router};
use crate::load::recorder::Sample;
use crate::load::{Command, LoadControl, Meter, Progress};
use crate::telemetry::{LoadgenKind, LoadgenMetrics, Traces};

/// Metrics of a run, and the listener that serves them.
pub(super) struct Listener {
    socket: Option<TcpListener>,
    addr: Option<SocketAddr>,
    pushing: bool,
    metrics: LoadgenMetrics,
    traces: Traces,
}

/// Serves until it is dropped.
pub(super) struct Serving {
    _listening: Option<AbortOnDropHandle<bool>>,
    _counting: AbortOnDropHandle<()>,
    pushed: Option<LoadgenMetrics>,
}

impl Listener {
    /// Binds `addr`, if there is one, and pushes to the collector of `telemetry`.
    pub(super) async fn bind(
        addr: Option<SocketAddr>,
        telemetry: &RunTelemetry,
    ) -> Result<Listener, Failure> {
        let collector = telemetry.collector.as_ref();
        let metrics = LoadgenMetrics::new(collector, &telemetry.deliveries)
            .map_err(|error| Failure::could_not(format!("metrics: {error:#}")))?;
        let socket = match addr {
            None => None,
            Some(addr) => Some(TcpListener::bind(addr).await.map_err(|error| {
                Failure::could_not(format!(
                    "--metrics-addr {addr}: {error}; choose another one"
                ))
            })?),
        };
        Ok(Listener {
            socket,
            addr,
            pushing: collector.is_some(),
            metrics,
            traces: telemetry.logs.traces().clone(),
        })
    }

    /// Counts every request in the metrics. `None` if they are neither scraped nor pushed.
    pub(super) fn meter(&self) -> Option<Meter> {
        if self.socket.is_none() && !self.pushing {
            return None;
        }
        let (metrics, traces) = (self.metrics.clone(), self.traces.clone());
        let meter = move |traffic: &str, sample: &Sample| {
            let kind = LoadgenKind {
                traffic: traffic.to_owned(),
                phase: sample.operation.phase().as_str(),
                operation: sample.operation.as_str(),
                status: sample.status,
            };
            let due = sample.due.min(sample.sent);
            metrics.request(&kind, sample.done.saturating_duration_since(due));
            record_trace(&traces, sample);
        };
        Some(Meter(Arc::new(meter)))
    }

    /// Serves metrics, progress and commands; commands need `token`.
    pub(super) fn serve(
        self,
        token: &str,
        progress: watch::Receiver<Progress>,
        control: LoadControl,
    ) -> Serving {
        let metrics = self.metrics;
        let run = Run {
            metrics: metrics.clone(),
            progress: progress.clone(),
            control,
        };
        let listening = self.socket.zip(self.addr).map(|(socket, addr)| {
            let hosts = Hosts::new(addr, &[]);
            let router = load_router(Arc::new(run), BearerToken::new(token), hosts);
            let bounds = Bounds {
                connections: 64,
                drain: Duration::from_secs(1),
                ..Bounds::default()
            };
            let serving = serve(socket, router, bounds, None, CancellationToken::new());
            AbortOnDropHandle::new(tokio::spawn(serving))
        });
        let counting = count_users(metrics.clone(), progress);
        Serving {
            _listening: listening,
            _counting: AbortOnDropHandle::new(tokio::spawn(counting)),
            pushed: self.pushing.then_some(metrics),
        }
    }
}

impl Serving {
    /// Pushes the remaining metrics. Returns whether they were accepted.
    pub(super) async fn close(mut self) -> bool {
        let Some(metrics) = self.pushed.take() else {
            return true;
        };
        let pushing = tokio::task::spawn_blocking(move || metrics.shutdown());
        pushing.await.unwrap_or(false)
    }
}

async fn count_users(metrics: LoadgenMetrics, mut progress: watch::Receiver<Progress>) {
    while progress.changed().await.is_ok() {
        let users = progress.borrow_and_update().users.clone();
        for (state, count) in users {
            metrics.users(state.as_str(), count);
        }
    }
}

struct Run {
    metrics: LoadgenMetrics,
    progress: watch::Receiver<Progress>,
    control: LoadControl,
}

impl RunControl for Run {
    fn metrics(&self) -> String {
        self.metrics.render()
    }

    fn status(&self) -> LoadStatus {
        status(&self.progress.borrow())
    }

    fn steer(&self, command: &str) -> Option<bool> {
        Command::named(command).map(|command| self.control.send(command))
    }
}

fn status(progress: &Progress) -> LoadStatus {
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    LoadStatus {
        scenario: progress.scenario.clone(),
        step: progress.step.name().to_owned(),
        elapsed: progress.elapsed.as_secs_f64(),
        expected_end: progress.expected_end.map(|end| end.as_secs_f64()),
        tps: progress.tps,
        requests: progress.requests,
        statuses: progress
            .statuses
            .by_class()
            .map(|(class, count)| (class.to_owned(), count))
            .into(),
        p95: progress.p95.map(millis),
        users: progress
            .users
            .iter()
            .map(|(state, count)| (state.to_string(), *count))
            .collect(),
        dropped: progress.dropped,
        paused: progress.paused,
        pace: progress.pace,
    }
}
