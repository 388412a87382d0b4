//! Traces: where a request stands in one, what it waited for, and which of them are kept.
//!
//! A request's root is an ordinary span of `tracing` ([`TraceContext::span`]), so that log lines carry
//! its ids. What it waits for is a [`Step`] beneath it. When the root ends ([`Root::end`]) its trace is
//! kept if it failed, was slow, or is of the ratio that is kept anyway ([`Traces`]), and handed to
//! whoever subscribed.

mod collector;
mod context;
mod record;
mod step;
mod traces;

use std::borrow::Cow;
use std::sync::Arc;

pub(super) use collector::{Collector, nanoseconds};
pub use context::TraceContext;
pub(super) use context::random_span_id;
pub use record::{SpanKind, SpanRecord, TraceRecord, Value};
pub use step::{Step, TraceHandle};
pub use traces::{TraceConfig, TraceSubscription, Traces};

/// A request whose spans are gathered, if anybody wants traces. Dropped without an end, nothing of it
/// is kept.
#[derive(Debug)]
pub struct Root(Option<Arc<Collector>>);

/// What a request's own span says of it.
#[derive(Debug)]
pub struct RootSpan {
    /// `GET /queue`.
    pub name: Cow<'static, str>,
    /// Server or client.
    pub kind: SpanKind,
    /// By the names of OpenTelemetry's semantic conventions.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it failed, if it did.
    pub error: Option<Cow<'static, str>>,
}

impl Root {
    /// The request has ended. `describe` is asked only when its trace is kept: then its id.
    pub fn end(&mut self, failed: bool, describe: impl FnOnce() -> RootSpan) -> Option<u128> {
        self.0.take()?.end(failed, describe)
    }
}

#[cfg(test)]
mod tests;
