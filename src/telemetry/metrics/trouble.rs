//! Gauges of trouble: the database away, faults injected on purpose.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Gauge, Meter};

use super::{Metrics, gauge};

pub(super) struct Trouble {
    database_up: Gauge<u64>,
    fault_active: Gauge<u64>,
}

impl Trouble {
    pub(super) fn new(meter: &Meter) -> Trouble {
        Trouble {
            database_up: gauge(
                meter,
                "concert_database_up",
                "1 while the database answers and takes writes.",
            ),
            fault_active: gauge(
                meter,
                "concert_fault_active",
                "1 while a fault of that kind is injected on purpose.",
            ),
        }
    }
}

impl Metrics {
    /// Whether the database (`sqlite`, `postgres`) answers and takes writes.
    pub fn set_database(&self, backend: &'static str, up: bool) {
        let backend = [KeyValue::new("backend", backend)];
        self.0.trouble.database_up.record(u64::from(up), &backend);
    }

    /// Whether a fault of that kind is injected.
    pub fn set_fault(&self, fault: &'static str, active: bool) {
        let fault = [KeyValue::new("fault", fault)];
        self.0
            .trouble
            .fault_active
            .record(u64::from(active), &fault);
    }
}
