//! The load generator's instruments.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{
    BoundCounter, BoundHistogram, Counter, Gauge, Histogram, MeterProvider as _,
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use parking_lot::RwLock;

use super::instruments::instruments;
use super::{exposition, provider};
use crate::telemetry::otlp::{Deliveries, Otlp, resource};

/// The metrics of the load generator. `load --metrics-addr` serves them at `/metrics`, and a collector gets them too.
/// Clones share them.
#[derive(Clone)]
pub struct LoadgenMetrics(Arc<Inner>);

instruments! {
    Instruments {
        duration: Histogram<f64> = "loadgen_request_duration_seconds", "Latency as a client saw it, from the instant the request was due.";
        requests: Counter<u64> = "loadgen_requests", "Requests that ended.";
        users: Gauge<u64> = "loadgen_users", "Virtual users, by state.";
    }
}

struct Inner {
    provider: SdkMeterProvider,
    registry: prometheus::Registry,
    instruments: Instruments,
    bound: RwLock<HashMap<Kind, Bound>>,
}

/// The duration and the counter for one kind of request, bound to its labels.
type Bound = (BoundHistogram<f64>, BoundCounter<u64>);

/// The kind of a request: the labels of its metrics.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// The traffic group. It is empty for the buyers, whose metrics lack this label.
    pub traffic: String,
    /// The phase of the rehearsal to which the operation belongs: `register`, `open`, `pay`.
    pub phase: &'static str,
    /// The operation, such as `reserve`.
    pub operation: &'static str,
    /// The status, or 0 when there was no answer.
    pub status: u16,
}

impl LoadgenMetrics {
    /// Creates the instruments in a new registry. With a `collector`, their values are also pushed.
    ///
    /// # Errors
    /// A reader cannot be created or attached.
    pub fn new(
        collector: Option<&Otlp>,
        deliveries: &Deliveries,
    ) -> anyhow::Result<LoadgenMetrics> {
        let registry = prometheus::Registry::new();
        let mut provider = provider(&registry)?.with_resource(resource("concertctl-load", None));
        if let Some(collector) = collector
            && let Some(reader) = collector.reader(deliveries)?
        {
            provider = provider.with_reader(reader);
        }
        let provider = provider.build();
        Ok(LoadgenMetrics(Arc::new(Inner {
            instruments: Instruments::declare(&provider.meter("concertctl")),
            bound: RwLock::default(),
            provider,
            registry,
        })))
    }

    /// Counts a request that ended `latency` after its due time. It is fast, because the workers call it.
    pub fn request(&self, kind: &Kind, latency: Duration) {
        let seconds = latency.as_secs_f64();
        if let Some((duration, requests)) = self.0.bound.read().get(kind) {
            duration.record(seconds);
            requests.add(1);
            return;
        }
        let mut bound = self.0.bound.write();
        let (duration, requests) = bound.entry(kind.clone()).or_insert_with(|| {
            let attributes = attributes(kind);
            (
                self.0.instruments.duration.bind(&attributes),
                self.0.instruments.requests.bind(&attributes),
            )
        });
        duration.record(seconds);
        requests.add(1);
    }

    /// Sets the number of virtual users in `state`.
    pub fn users(&self, state: &'static str, count: u64) {
        self.0
            .instruments
            .users
            .record(count, &[KeyValue::new("state", state)]);
    }

    /// All metrics in the Prometheus text exposition format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        exposition(&self.0.registry)
    }

    /// Pushes the remaining values and ends pushing. Waits for the collector's answer and returns whether it accepted
    /// the metrics. The SDK does not give the reason for a failure.
    #[must_use]
    pub fn shutdown(&self) -> bool {
        self.0.provider.shutdown().is_ok()
    }
}

fn attributes(kind: &Kind) -> Vec<KeyValue> {
    let status = match kind.status {
        0 => "none".to_owned(),
        status => status.to_string(),
    };
    let mut attributes = vec![
        KeyValue::new("phase", kind.phase),
        KeyValue::new("operation", kind.operation),
        KeyValue::new("status", status),
    ];
    if !kind.traffic.is_empty() {
        attributes.push(KeyValue::new("traffic", kind.traffic.clone()));
    }
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_appears_in_the_exposition_with_its_labels() {
        let metrics = LoadgenMetrics::new(None, &Deliveries::default()).unwrap();
        let mut kind = Kind {
            traffic: String::new(),
            phase: "open",
            operation: "reserve",
            status: 201,
        };
        metrics.request(&kind, Duration::from_millis(40));
        metrics.request(&kind, Duration::from_millis(40));
        kind.status = 0;
        kind.traffic = "strangers".to_owned();
        metrics.request(&kind, Duration::from_secs(3));
        metrics.users("waiting", 7);
        let text = metrics.render();
        for line in [
            "loadgen_requests_total{operation=\"reserve\",phase=\"open\",status=\"201\"} 2",
            "loadgen_request_duration_seconds_bucket{operation=\"reserve\",phase=\"open\",status=\"201\",le=\"0.05\"} 2",
            "loadgen_requests_total{operation=\"reserve\",phase=\"open\",status=\"none\",traffic=\"strangers\"} 1",
            "loadgen_users{state=\"waiting\"} 7",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn every_metric_is_documented() {
        let page = include_str!("../../../docs/rehearsals.md");
        for (name, _) in Instruments::declared() {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }
}
