//! How the pushing goes: what was lost, and whether it fails at the moment.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// What is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Log records.
    Logs,
    /// Kept traces.
    Traces,
    /// Metrics; what is not delivered of them is one push, and the next has all of it.
    Metrics,
}

impl Signal {
    /// All of them.
    pub const ALL: [Signal; 3] = [Signal::Logs, Signal::Traces, Signal::Metrics];

    /// As it is written in metrics and in OTLP's paths.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Signal::Logs => "logs",
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
        }
    }

    pub(super) fn upper(self) -> String {
        self.label().to_ascii_uppercase()
    }

    /// The name of an environment variable of this signal alone.
    pub(super) fn variable(self, what: &str) -> String {
        format!("OTEL_EXPORTER_OTLP_{}_{what}", self.upper())
    }
}

/// How the pushing of each signal goes. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Deliveries([Arc<Delivery>; 3]);

type Lost = Box<dyn Fn() -> u64 + Send + Sync>;

/// How the pushing of one signal goes.
pub(in crate::telemetry) struct Delivery {
    signal: Signal,
    dropped: AtomicU64,
    failing: AtomicBool,
    /// What is lost elsewhere: before it got to the pusher.
    also: OnceLock<Lost>,
    missed: OnceLock<Arc<AtomicU64>>,
}

impl Default for Deliveries {
    fn default() -> Self {
        Deliveries(Signal::ALL.map(|signal| {
            Arc::new(Delivery {
                signal,
                dropped: AtomicU64::new(0),
                failing: AtomicBool::new(false),
                also: OnceLock::new(),
                missed: OnceLock::new(),
            })
        }))
    }
}

impl Deliveries {
    pub(in crate::telemetry) fn of(&self, signal: Signal) -> Arc<Delivery> {
        Arc::clone(&self.0[signal as usize])
    }

    /// What was lost of `signal`, in records, traces or pushes.
    #[must_use]
    pub fn dropped(&self, signal: Signal) -> u64 {
        let delivery = &self.0[signal as usize];
        let missed = delivery.missed.get();
        delivery.dropped.load(Ordering::Relaxed)
            + missed.map_or(0, |missed| missed.load(Ordering::Relaxed))
            + delivery.also.get().map_or(0, |lost| lost())
    }
}

impl Delivery {
    pub(super) fn also_lost(&self, lost: impl Fn() -> u64 + Send + Sync + 'static) {
        let _already_set = self.also.set(Box::new(lost));
    }

    pub(super) fn missed(&self, counter: Arc<AtomicU64>) {
        let _already_set = self.missed.set(counter);
    }

    pub(super) fn signal(&self) -> Signal {
        self.signal
    }

    /// `records` are given up.
    pub(super) fn lost(&self, records: u64) {
        self.dropped.fetch_add(records, Ordering::Relaxed);
    }

    /// One push went well or, because of `trouble`, did not. Said when that changes, not every time.
    pub(super) fn pushed(&self, trouble: Option<&str>) {
        let failed = trouble.is_some();
        if self.failing.swap(failed, Ordering::Relaxed) == failed {
            return;
        }
        let signal = self.signal.label();
        match trouble {
            None => tracing::info!(signal, "{signal} are delivered to the collector again"),
            Some(why) => tracing::warn!(
                signal,
                why,
                "{signal} cannot be delivered to the collector; what does not fit the buffer is dropped and counted"
            ),
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("signal", &self.signal)
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}
