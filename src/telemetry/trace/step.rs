//! The waits of a request as child spans of its own span: a lock, a connection, a statement, a commit.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::collector::{Collector, Ended};
use super::context::random_span_id;
use super::record::{SpanKind, Value};
use super::request::RequestSpan;

/// The trace to which steps belong, or none. Work that continues elsewhere, for example on another thread, carries the
/// handle with it.
#[derive(Clone, Debug, Default)]
pub struct TraceHandle(Option<Arc<Collector>>);

impl TraceHandle {
    /// The trace of the current request.
    #[must_use]
    pub fn current() -> TraceHandle {
        TraceHandle(RequestSpan::gathering())
    }

    /// Begins a step now.
    pub fn step(&self, name: &'static str) -> Step {
        self.step_since(name, Instant::now())
    }

    /// Begins a step whose time counts from `began`.
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

/// A running step. It ends when it is dropped. Without a trace it costs nothing.
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

/// The ids in a log record of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::telemetry) struct StepIds {
    pub(in crate::telemetry) trace_id: u128,
    pub(in crate::telemetry) span_id: u64,
    pub(in crate::telemetry) parent_span_id: u64,
}

impl Step {
    /// Begins a step of the current request.
    pub fn begin(name: &'static str) -> Step {
        TraceHandle::current().step(name)
    }

    /// Marks the step as a request to another system, named by the semantic conventions: `postgresql`.
    pub fn asks(mut self, system: &'static str) -> Step {
        if let Some(open) = &mut self.0 {
            open.kind = SpanKind::Client;
            open.attributes.push(("db.system.name", system.into()));
        }
        self
    }

    /// Adds an attribute.
    pub fn note(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.0 {
            open.attributes.push((name, value.into()));
        }
    }

    /// Marks the step as failed. `why` is called only if the step is recorded.
    pub fn failed(&mut self, why: impl FnOnce() -> Cow<'static, str>) {
        if let Some(open) = &mut self.0 {
            open.error = Some(why());
        }
    }

    /// Ends the step `took` after it began.
    pub fn end_after(mut self, took: Duration) {
        self.took(took);
    }

    /// Sets the duration of the step. Without this call it is the time until the step is dropped.
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
