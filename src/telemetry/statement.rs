//! Records database operations in metrics and traces, and logs slow ones.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::{Metrics, Step, TraceHandle, slow_query};

/// The name of the wait for a connection in traces.
pub const ACQUIRE: &str = "db.acquire";

/// Records the wait for a connection that began at `began` and ends now.
pub fn connection_acquired(metrics: Option<&Metrics>, trace: &TraceHandle, began: Instant) {
    let took = began.elapsed();
    if let Some(metrics) = metrics {
        metrics.db_wait(took);
    }
    trace.step_since(ACQUIRE, began).end_after(took);
}

/// A finished database operation.
#[derive(Debug)]
pub struct Statement {
    /// The name of the statement. It never contains values.
    pub name: &'static str,
    /// The database, named by the semantic conventions: `sqlite`, `postgresql`, `mysql`.
    pub system: &'static str,
    /// The time at which it began.
    pub began: Instant,
    /// Its duration.
    pub took: Duration,
    /// The reason of the failure, if it failed.
    pub error: Option<Cow<'static, str>>,
}

impl Statement {
    /// An operation that ends now with success.
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

    /// Records it in metrics and trace, and logs it if it took at least `slow`.
    pub fn report(self, metrics: Option<&Metrics>, trace: &TraceHandle, slow: Duration) {
        if let Some(metrics) = metrics {
            metrics.db_operation(self.name, self.took);
        }
        let step = self.step(trace);
        slow_query(self.name, self.took, slow, &step);
    }

    /// Adds it to one trace. Each of the requests that share a commit calls this.
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
