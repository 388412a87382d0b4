//! How instruments are made.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, BoundHistogram, Counter, Gauge, Histogram, Meter};
use parking_lot::RwLock;

use super::{DroppedSource, LATENCY_BOUNDS};
use crate::telemetry::otlp::{Deliveries, Signal};

/// The exporter adds `_total` to a counter's name.
pub(super) fn counter(meter: &Meter, name: &'static str, help: &'static str) -> Counter<u64> {
    meter.u64_counter(name).with_description(help).build()
}

pub(super) fn plain_counter(
    meter: &Meter,
    name: &'static str,
    help: &'static str,
) -> BoundCounter<u64> {
    let bound = counter(meter, name, help).bind(&[]);
    bound.add(0);
    bound
}

/// One bound counter a label, each visible at zero from the start: `increase()` over a counter that
/// appears at 1 misses the first event.
pub(super) fn from_zero(
    counter: &Counter<u64>,
    labels: impl Iterator<Item = &'static str>,
) -> Vec<BoundCounter<u64>> {
    labels
        .map(|label| {
            let bound = counter.bind(&[KeyValue::new("outcome", label)]);
            bound.add(0);
            bound
        })
        .collect()
}

pub(super) fn gauge(meter: &Meter, name: &'static str, help: &'static str) -> Gauge<u64> {
    meter.u64_gauge(name).with_description(help).build()
}

pub(super) fn latency(meter: &Meter, name: &'static str, help: &'static str) -> Histogram<f64> {
    meter
        .f64_histogram(name)
        .with_description(help)
        .with_boundaries(LATENCY_BOUNDS.to_vec())
        .build()
}

pub(super) fn observe_active_requests(meter: &Meter, active: &Arc<AtomicI64>) {
    let active = Arc::clone(active);
    meter
        .i64_observable_gauge("http_server_active_requests")
        .with_description("Requests being served.")
        .with_callback(move |observer| observer.observe(active.load(Ordering::Relaxed), &[]))
        .build();
}

pub(super) fn observe_log_dropped(meter: &Meter, source: &Arc<OnceLock<DroppedSource>>) {
    let source = Arc::clone(source);
    meter
        .u64_observable_counter("concert_log_dropped")
        .with_description("Log records dropped because the queue to the writer was full.")
        .with_callback(move |observer| {
            if let Some(dropped) = source.get() {
                observer.observe(dropped(), &[]);
            }
        })
        .build();
}

pub(super) fn observe_telemetry_dropped(meter: &Meter, deliveries: &Deliveries) {
    let deliveries = deliveries.clone();
    meter
        .u64_observable_counter("concert_telemetry_dropped")
        .with_description(
            "Log records, traces and pushes of metrics that did not reach the collector.",
        )
        .with_callback(move |observer| {
            for signal in Signal::ALL {
                let label = [KeyValue::new("signal", signal.label())];
                observer.observe(deliveries.dropped(signal), &label);
            }
        })
        .build();
}

/// A histogram bound per key on the key's first use. Keys are names from the program text, so the
/// table stays small.
pub(super) struct BoundByKey<K> {
    histogram: Histogram<f64>,
    bound: RwLock<HashMap<K, BoundHistogram<f64>>>,
}

impl<K: Hash + Eq + Copy> BoundByKey<K> {
    pub(super) fn new(histogram: Histogram<f64>) -> Self {
        BoundByKey {
            histogram,
            bound: RwLock::new(HashMap::new()),
        }
    }

    pub(super) fn record(
        &self,
        key: K,
        value: Duration,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) {
        let seconds = value.as_secs_f64();
        if let Some(bound) = self.bound.read().get(&key) {
            bound.record(seconds);
            return;
        }
        self.bound
            .write()
            .entry(key)
            .or_insert_with(|| self.histogram.bind(&attributes()))
            .record(seconds);
    }
}
