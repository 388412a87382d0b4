//! Gauges of trouble: the database away, faults injected on purpose.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};

use super::{Metrics, counter, gauge};

const BACK: &str = "back";
const FORWARD: &str = "forward";

pub(super) struct Trouble {
    database_up: Gauge<u64>,
    fault_active: Gauge<u64>,
    clock_steps: Counter<u64>,
    clock_offset: Gauge<f64>,
}

impl Trouble {
    pub(super) fn new(meter: &Meter) -> Trouble {
        let clock_steps = counter(
            meter,
            "concert_clock_steps",
            "Times that the system's clock was set, by direction.",
        );
        // Seen at zero: `increase()` over a counter that appears at 1 misses the first event.
        for direction in [BACK, FORWARD] {
            clock_steps.add(0, &[KeyValue::new("direction", direction)]);
        }
        Trouble {
            clock_steps,
            clock_offset: meter
                .f64_gauge("concert_clock_offset_seconds")
                .with_description("How far the system's clock is ahead of the service's time.")
                .build(),
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
    /// Counts that the system's clock was set, back or forward.
    pub fn clock_step(&self, back: bool) {
        let direction = if back { BACK } else { FORWARD };
        let direction = [KeyValue::new("direction", direction)];
        self.0.trouble.clock_steps.add(1, &direction);
    }

    /// How many seconds the system's clock is ahead of the service's time.
    pub fn set_clock_offset(&self, seconds: f64) {
        self.0.trouble.clock_offset.record(seconds, &[]);
    }

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
