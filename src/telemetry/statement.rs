//! Database operations in metrics and traces, and in the log when they are slow.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::{Metrics, Step, TraceHandle, slow_query};

/// The wait for a connection, in traces.
pub const ACQUIRE: &str = "db.acquire";

/// Meters and traces the wait for a connection, which began at `began` and ends now.
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
    /// The statement's name, never its values.
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
    /// An operation that ends successfully now.
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

    /// Meters it, adds it to the trace, and logs it when it took `slow` or longer.
    pub fn report(self, metrics: Option<&Metrics>, trace: &TraceHandle, slow: Duration) {
        if let Some(metrics) = metrics {
            metrics.db_operation(self.name, self.took);
        }
        let step = self.step(trace);
        slow_query(self.name, self.took, slow, &step);
    }

    /// Adds it to one trace. Requests that share a commit each call this.
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
