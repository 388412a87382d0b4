//! A database operation is metered, is a step of its request's trace, and is reported when slow.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::{Metrics, Step, TraceHandle, slow_query};

/// The wait for a connection, in traces.
pub const ACQUIRE: &str = "db.acquire";

/// The wait for a connection has ended, begun at `began`.
pub fn connection_acquired(metrics: Option<&Metrics>, trace: &TraceHandle, began: Instant) {
    let took = began.elapsed();
    if let Some(metrics) = metrics {
        metrics.db_wait(took);
    }
    trace.step_since(ACQUIRE, began).end_after(took);
}

/// A database operation that has ended.
#[derive(Debug)]
pub struct Statement {
    /// By its name, never with its values.
    pub name: &'static str,
    /// The database, by the semantic conventions: `sqlite`, `postgresql`.
    pub system: &'static str,
    /// When it began.
    pub began: Instant,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, if it did.
    pub error: Option<Cow<'static, str>>,
}

impl Statement {
    /// One that ends now, well.
    #[must_use]
    pub fn ended(name: &'static str, system: &'static str, began: Instant) -> Statement {
        Statement {
            name,
            system,
            began,
            took: began.elapsed(),
            error: None,
        }
    }

    /// Metered, traced, and logged when it took `slow` or longer.
    pub fn tell(self, metrics: Option<&Metrics>, trace: &TraceHandle, slow: Duration) {
        if let Some(metrics) = metrics {
            metrics.db_operation(self.name, self.took);
        }
        let step = self.step(trace);
        slow_query(self.name, self.took, slow, &step);
    }

    /// It as a step of one trace. Several requests may share one commit.
    pub fn step(&self, trace: &TraceHandle) -> Step {
        let mut step = trace.step_since(self.name, self.began).asks(self.system);
        step.took(self.took);
        step.note("db.operation.name", self.name);
        if let Some(error) = &self.error {
            step.failed(|| error.clone());
        }
        step
    }
}
