//! The current request of the running code. Its log records carry the request's ids, and its waits are steps of the
//! request's trace.
//!
//! This is not a span of `tracing`. The registry of `tracing` would cost each request an entry in a table, and each
//! poll a lock of the filter. Together this costs more than all other records of a request (see
//! `docs/benchmarks.md`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Collector, RootSpan, TraceContext};
use crate::telemetry::logs::{self, AccessRecord};

tokio::task_local! {
    static CURRENT: RequestSpan;
}

/// The span of a running request. Clones share it. If it is dropped without an end, nothing is kept.
#[derive(Clone, Debug)]
pub struct RequestSpan(Arc<Collector>);

impl RequestSpan {
    /// Begins a request at `began`. Its trace is collected if it is `traced` and there is a subscriber.
    #[must_use]
    pub fn begin(context: TraceContext, began: Instant, traced: bool) -> RequestSpan {
        let gathers = traced && logs::with_output(|logs| logs.traces.wanted()).unwrap_or(false);
        RequestSpan(Arc::new(Collector::new(context, began, gathers)))
    }

    /// The current request, if there is one.
    #[must_use]
    pub fn current() -> Option<RequestSpan> {
        CURRENT.try_with(RequestSpan::clone).ok()
    }

    /// Runs `work` as part of the request whenever it is polled.
    pub fn within<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(self.clone(), work)
    }

    /// Runs `work` as part of the request.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), work)
    }

    /// The request's position in its trace.
    #[must_use]
    pub fn context(&self) -> TraceContext {
        self.0.context()
    }

    /// Ends the request `took` after it began. Calls `describe` only if the trace is kept, and then returns the
    /// trace's id.
    pub fn end(
        &self,
        took: Duration,
        failed: bool,
        describe: impl FnOnce() -> RootSpan,
    ) -> Option<u128> {
        self.0.end(took, failed, describe)
    }

    /// Logs the access record of the answer.
    pub fn log_access(&self, record: &AccessRecord<'_>) {
        record.log(self.context());
    }

    /// The collector of the current request, while it needs steps.
    pub(super) fn gathering() -> Option<Arc<Collector>> {
        let open = |span: &RequestSpan| span.0.takes_steps().then(|| Arc::clone(&span.0));
        CURRENT.try_with(open).ok().flatten()
    }
}

/// The ids for a record that is logged here.
pub(in crate::telemetry) fn current_context() -> Option<TraceContext> {
    CURRENT.try_with(RequestSpan::context).ok()
}
