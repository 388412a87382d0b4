//! Decides which traces are kept, and sends them to subscribers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::TraceContext;
use super::record::TraceRecord;
use crate::telemetry::subscription::{Subscribers, Subscription};

/// A subscriber's end of the kept traces.
pub type TraceSubscription = Subscription<Arc<TraceRecord>>;

/// The largest number of slow and failed traces per second. If all requests are slow, a part of their traces is enough.
const MOST_PER_SECOND: u64 = 500;

/// The rules for keeping traces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceConfig {
    /// Traces of requests that took at least this long are kept.
    pub slow: Duration,
    /// The share of the other traces that is kept, 0 to 1. The trace id decides, so that all services with the same
    /// share keep the same traces.
    pub ratio: f64,
    /// For those traces, the caller's decision takes precedence over the share.
    pub parent: bool,
    /// Keeps no trace, and overrides the other fields.
    pub off: bool,
}

impl Default for TraceConfig {
    fn default() -> Self {
        TraceConfig {
            slow: Duration::from_millis(100),
            ratio: 0.01,
            parent: false,
            off: false,
        }
    }
}

/// A handle to the traces of the process. Clones share it.
#[derive(Clone, Debug)]
pub struct Traces(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slow: Duration,
    /// A trace is kept if the lower 63 bits of its id are below this number.
    below: u64,
    parent: bool,
    off: bool,
    began: Instant,
    /// The current second, and the number of traces kept in it.
    pace: Mutex<(u64, u64)>,
    passed_over: AtomicU64,
    subscribers: Subscribers<Arc<TraceRecord>>,
    instance: Mutex<Option<Arc<str>>>,
}

impl Traces {
    /// Keeps traces by `config` when there is a subscriber.
    #[must_use]
    pub fn new(config: TraceConfig) -> Traces {
        Traces(Arc::new(Shared {
            slow: config.slow,
            // The conversion saturates: a ratio of 1 keeps every id, and a negative one or NaN keeps none.
            below: (config.ratio * (1_u64 << 63) as f64) as u64,
            parent: config.parent,
            off: config.off,
            began: Instant::now(),
            pace: Mutex::default(),
            passed_over: AtomicU64::new(0),
            subscribers: Subscribers::default(),
            instance: Mutex::default(),
        }))
    }

    /// Returns whether there is a subscriber.
    #[must_use]
    pub fn wanted(&self) -> bool {
        self.0.subscribers.any()
    }

    /// Subscribes to the traces that are kept from now on. At most `capacity` of them wait for the subscriber.
    #[must_use]
    pub fn subscribe(&self, capacity: usize) -> TraceSubscription {
        self.0.subscribers.subscribe(capacity)
    }

    /// Sets the instance name of later traces.
    pub fn set_instance(&self, instance: &str) {
        *self.0.instance.lock() = Some(Arc::from(instance));
    }

    /// The number of traces that were dropped because too many came in one second.
    #[must_use]
    pub fn passed_over(&self) -> u64 {
        self.0.passed_over.load(Ordering::Relaxed)
    }

    /// Returns whether the trace of a request that took `took` is kept.
    #[must_use]
    pub fn keeps(&self, request: &TraceContext, took: Duration, failed: bool) -> bool {
        let ordinary = !failed && took < self.0.slow;
        match request.sampled.filter(|_| self.0.parent && ordinary) {
            Some(sampled) => sampled && !self.0.off,
            None => self.worth_keeping(request.trace_id, took, failed),
        }
    }

    /// Returns whether a trace is kept whose root took `took`, without regard to the caller's decision.
    #[must_use]
    pub fn worth_keeping(&self, trace_id: u128, took: Duration, failed: bool) -> bool {
        if self.0.off {
            return false;
        }
        let lower = trace_id as u64 & (u64::MAX >> 1);
        if !failed && took < self.0.slow {
            return lower < self.0.below;
        }
        let second = self.0.began.elapsed().as_secs();
        let mut pace = self.0.pace.lock();
        if pace.0 != second {
            *pace = (second, 0);
        }
        if pace.1 >= MOST_PER_SECOND {
            self.0.passed_over.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        pace.1 += 1;
        true
    }

    /// Sends a trace to the subscribers.
    pub fn publish(&self, mut trace: TraceRecord) {
        if trace.instance.is_none() {
            trace.instance.clone_from(&self.0.instance.lock());
        }
        self.0.subscribers.offer([Arc::new(trace)]);
    }
}
