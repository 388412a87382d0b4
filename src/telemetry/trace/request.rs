//! The request that code runs in: what it logs carries the request's ids, what it waits for is a step
//! of the request's trace.
//!
//! Not a span of `tracing`: its registry costs each request an entry in a table and each poll a lock
//! of the filter, together more than all else that is recorded of a request (see `docs/benchmarks.md`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Collector, RootSpan, TraceContext};
use crate::telemetry::logs::{self, AccessRecord};

tokio::task_local! {
    static CURRENT: RequestSpan;
}

/// The span of a request under way. Cloning shares it. Dropped without an end, nothing of it is kept.
#[derive(Clone, Debug)]
pub struct RequestSpan(Arc<Collector>);

impl RequestSpan {
    /// Of a request that began at `began`. Its trace is gathered if it is `traced` and anybody wants
    /// traces.
    #[must_use]
    pub fn begin(context: TraceContext, began: Instant, traced: bool) -> RequestSpan {
        let gathers = traced && logs::with_output(|logs| logs.traces.wanted()).unwrap_or(false);
        RequestSpan(Arc::new(Collector::new(context, began, gathers)))
    }

    /// The request that this code runs in, if it runs in one.
    #[must_use]
    pub fn current() -> Option<RequestSpan> {
        CURRENT.try_with(RequestSpan::clone).ok()
    }

    /// `work`, as part of the request wherever it is polled.
    pub fn within<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(self.clone(), work)
    }

    /// Does `work` as part of the request.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), work)
    }

    /// Where it stands in its trace.
    #[must_use]
    pub fn context(&self) -> TraceContext {
        self.0.context()
    }

    /// The request ended `took` after it began. `describe` is asked only when its trace is kept: then
    /// its id.
    pub fn end(
        &self,
        took: Duration,
        failed: bool,
        describe: impl FnOnce() -> RootSpan,
    ) -> Option<u128> {
        self.0.end(took, failed, describe)
    }

    /// Writes the record of its answer into the log.
    pub fn log_access(&self, record: &AccessRecord<'_>) {
        record.log(self.context());
    }

    /// Where steps of it are gathered, while they are of use.
    pub(super) fn gathering() -> Option<Arc<Collector>> {
        let open = |span: &RequestSpan| span.0.takes_steps().then(|| Arc::clone(&span.0));
        CURRENT.try_with(open).ok().flatten()
    }
}

/// The ids that a record carries which is logged here.
pub(in crate::telemetry) fn current_context() -> Option<TraceContext> {
    CURRENT.try_with(RequestSpan::context).ok()
}
