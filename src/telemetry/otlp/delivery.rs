//! The state of the pushes: the number of losses, and whether the last push failed.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A signal that is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Log records.
    Logs,
    /// Kept traces.
    Traces,
    /// Metrics. An undelivered push counts as one loss, and the next push contains all values.
    Metrics,
}

impl Signal {
    /// All signals.
    pub const ALL: [Signal; 3] = [Signal::Logs, Signal::Traces, Signal::Metrics];

    /// The name in metrics and in OTLP's paths.
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

    /// The name of an environment variable for only this signal.
    pub(super) fn variable(self, what: &str) -> String {
        format!("OTEL_EXPORTER_OTLP_{}_{what}", self.upper())
    }
}

/// The state of the pushes by signal. Clones share it.
#[derive(Clone, Debug)]
pub struct Deliveries([Arc<Delivery>; 3]);

/// The time at which a refused push may be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    Soon,
    After(Duration),
    Never,
}

/// The reason why a push was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) why: String,
    pub(super) retry: Retry,
}

type Lost = Box<dyn Fn() -> u64 + Send + Sync>;

/// The state of the pushes of one signal.
pub(in crate::telemetry) struct Delivery {
    signal: Signal,
    dropped: AtomicU64,
    failing: AtomicBool,
    /// While this is set, no push reaches the collector.
    cut_off: AtomicBool,
    rejecting: AtomicBool,
    /// The reason of the last refusal, until it is read.
    refusal: Mutex<Option<Refusal>>,
    /// The end of the pause that the collector asked for.
    not_before: Mutex<Option<Instant>>,
    /// The number of records that were lost before they reached the pusher.
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
                cut_off: AtomicBool::new(false),
                rejecting: AtomicBool::new(false),
                refusal: Mutex::default(),
                not_before: Mutex::default(),
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

    /// Blocks every push to the collector, or allows pushes again.
    pub fn cut_off(&self, is_cut: bool) {
        for delivery in &self.0 {
            delivery.cut_off.store(is_cut, Ordering::Relaxed);
        }
    }

    /// The number of lost records, traces or pushes of `signal`.
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

    /// Returns whether a push can reach the collector.
    ///
    /// # Errors
    /// It cannot. The error is the text of the exporter for an unreachable collector.
    pub(super) fn reaches_collector(&self) -> Result<(), String> {
        match self.cut_off.load(Ordering::Relaxed) {
            true => Err("the collector cannot be reached".to_owned()),
            false => Ok(()),
        }
    }

    /// Counts `records` that were given up.
    pub(super) fn lost(&self, records: u64) {
        self.dropped.fetch_add(records, Ordering::Relaxed);
    }

    /// Records that a push was refused for this reason.
    pub(super) fn refused(&self, refusal: Refusal) {
        if let Retry::After(pause) = refusal.retry {
            *self.not_before.lock() = Some(Instant::now() + pause);
        }
        *self.refusal.lock() = Some(refusal);
    }

    /// The reason why a push was refused. `error` is the exporter's text.
    pub(super) fn refusal(&self, error: &str) -> Refusal {
        let noted = self.refusal.lock().take();
        noted.unwrap_or_else(|| Refusal {
            why: error.to_owned(),
            retry: Retry::Soon,
        })
    }

    /// Returns whether the pause that the collector asked for is not over.
    pub(super) fn must_wait(&self) -> bool {
        let not_before = *self.not_before.lock();
        not_before.is_some_and(|at| Instant::now() < at)
    }

    /// Records that the collector took the whole push, so that the next rejection is logged.
    pub(super) fn accepted_whole(&self) {
        self.rejecting.store(false, Ordering::Relaxed);
    }

    /// Counts `count` records, spans or data points as lost, because the collector rejected them in an accepted push.
    /// Of several such pushes in a row only the first is logged.
    pub(super) fn rejected(&self, count: u64, why: &str) {
        self.lost(count);
        if !self.rejecting.swap(true, Ordering::Relaxed) {
            let signal = self.signal.label();
            let why: String = why.chars().take(200).collect();
            tracing::warn!(
                signal,
                rejected = count,
                why,
                "the collector rejects a part of the {signal}; what is rejected is counted as dropped"
            );
        }
    }

    /// Records that a push succeeded, or that it failed because of `trouble`. Logs each change.
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
