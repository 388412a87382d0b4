//! Decides which traces are kept, and hands them to subscribers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::TraceContext;
use super::record::TraceRecord;
use crate::telemetry::subscription::{Subscribers, Subscription};

/// A subscriber's end of the traces that are kept.
pub type TraceSubscription = Subscription<Arc<TraceRecord>>;

/// Slow and failed traces kept in a second. When everything is slow, some of it tells as much as all
/// of it, and costs less.
const MOST_PER_SECOND: u64 = 500;

/// Which traces are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceConfig {
    /// Requests that took at least this long.
    pub slow: Duration,
    /// Of the others, this share: 0 none, 1 all. By the trace id, so that every service that keeps
    /// the same share keeps the same traces.
    pub ratio: f64,
    /// Of those, the caller's decision goes before the share.
    pub parent: bool,
    /// Keeps no trace, whatever the other fields say.
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

/// A handle on the process's traces. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Traces(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slow: Duration,
    /// Trace ids whose lower 63 bits are below this are kept.
    below: u64,
    parent: bool,
    off: bool,
    began: Instant,
    /// The second that is counted, and how many were kept in it.
    pace: Mutex<(u64, u64)>,
    passed_over: AtomicU64,
    subscribers: Subscribers<Arc<TraceRecord>>,
    instance: Mutex<Option<Arc<str>>>,
}

impl Traces {
    /// Keeps traces as `config` says, once there is a subscriber.
    #[must_use]
    pub fn new(config: TraceConfig) -> Traces {
        Traces(Arc::new(Shared {
            slow: config.slow,
            // Saturates: a ratio of 1 keeps every id, one below 0 (or none) keeps none.
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

    /// Whether there is a subscriber.
    #[must_use]
    pub fn wanted(&self) -> bool {
        self.0.subscribers.any()
    }

    /// Every trace that is kept from now on. At most `capacity` wait for the subscriber.
    #[must_use]
    pub fn subscribe(&self, capacity: usize) -> TraceSubscription {
        self.0.subscribers.subscribe(capacity)
    }

    /// Names this process's instance in traces from now on.
    pub fn set_instance(&self, instance: &str) {
        *self.0.instance.lock() = Some(Arc::from(instance));
    }

    /// Traces worth keeping that were not kept, because too many came in one second.
    #[must_use]
    pub fn passed_over(&self) -> u64 {
        self.0.passed_over.load(Ordering::Relaxed)
    }

    /// Whether the trace of a request is kept that took `took`.
    #[must_use]
    pub fn keeps(&self, request: &TraceContext, took: Duration, failed: bool) -> bool {
        let ordinary = !failed && took < self.0.slow;
        match request.sampled.filter(|_| self.0.parent && ordinary) {
            Some(sampled) => sampled && !self.0.off,
            None => self.worth_keeping(request.trace_id, took, failed),
        }
    }

    /// Whether a trace is kept whose root took `took`, and whose caller has no say.
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

    /// Hands a trace to the subscribers.
    pub fn publish(&self, mut trace: TraceRecord) {
        if trace.instance.is_none() {
            trace.instance.clone_from(&self.0.instance.lock());
        }
        self.0.subscribers.offer([Arc::new(trace)]);
    }
}
