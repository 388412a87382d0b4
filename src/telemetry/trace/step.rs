//! What a request waits for, as spans beneath its own: a lock, a connection, a statement, a commit.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::collector::{Collector, Ended};
use super::context::random_span_id;
use super::record::{SpanKind, Value};
use super::request::RequestSpan;

/// Where a step belongs: a span of a trace that is being collected, or nowhere. To be taken along by
/// work that is done elsewhere, on another thread say.
#[derive(Clone, Debug, Default)]
pub struct TraceHandle(Option<Arc<Collector>>);

impl TraceHandle {
    /// The request that this code runs in.
    #[must_use]
    pub fn current() -> TraceHandle {
        TraceHandle(RequestSpan::gathering())
    }

    /// A step that begins now.
    pub fn step(&self, name: &'static str) -> Step {
        self.step_since(name, Instant::now())
    }

    /// A step that began at `began`.
    pub fn step_since(&self, name: &'static str, began: Instant) -> Step {
        Step(self.0.clone().map(|trace| Open {
            trace,
            name,
            kind: SpanKind::Internal,
            span_id: random_span_id(),
            began,
            took: None,
            attributes: Vec::new(),
            error: None,
        }))
    }
}

/// A step that is under way; it ends when dropped. One that belongs nowhere costs nothing.
#[derive(Debug)]
#[must_use = "a step ends when it is dropped"]
pub struct Step(Option<Open>);

#[derive(Debug)]
struct Open {
    trace: Arc<Collector>,
    name: &'static str,
    kind: SpanKind,
    span_id: u64,
    began: Instant,
    took: Option<Duration>,
    attributes: Vec<(&'static str, Value)>,
    error: Option<Cow<'static, str>>,
}

/// The ids that a log record of a step carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::telemetry) struct StepIds {
    pub(in crate::telemetry) trace_id: u128,
    pub(in crate::telemetry) span_id: u64,
    pub(in crate::telemetry) parent_span_id: u64,
}

impl Step {
    /// A step of the request that this code runs in.
    pub fn begin(name: &'static str) -> Step {
        TraceHandle::current().step(name)
    }

    /// Marks it as a request to another system, named by the semantic conventions: `postgresql`.
    pub fn asks(mut self, system: &'static str) -> Step {
        if let Some(open) = &mut self.0 {
            open.kind = SpanKind::Client;
            open.attributes.push(("db.system.name", system.into()));
        }
        self
    }

    /// Says more about it.
    pub fn note(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.0 {
            open.attributes.push((name, value.into()));
        }
    }

    /// It failed, because of `why`; asked only where it is recorded.
    pub fn failed(&mut self, why: impl FnOnce() -> Cow<'static, str>) {
        if let Some(open) = &mut self.0 {
            open.error = Some(why());
        }
    }

    /// It ended `took` after it began.
    pub fn end_after(mut self, took: Duration) {
        self.took(took);
    }

    pub(in crate::telemetry) fn took(&mut self, took: Duration) {
        if let Some(open) = &mut self.0 {
            open.took = Some(took);
        }
    }

    pub(in crate::telemetry) fn ids(&self) -> Option<StepIds> {
        self.0.as_ref().map(|open| {
            let request = open.trace.context();
            StepIds {
                trace_id: request.trace_id,
                span_id: open.span_id,
                parent_span_id: request.span_id,
            }
        })
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            let took = open.took.unwrap_or_else(|| open.began.elapsed());
            open.trace.add(Ended {
                name: open.name,
                kind: open.kind,
                span_id: open.span_id,
                parent_span_id: open.trace.context().span_id,
                began: open.began,
                took,
                attributes: open.attributes,
                error: open.error,
            });
        }
    }
}
