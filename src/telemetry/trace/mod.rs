//! Traces: the ids of a request, the steps that it waits for, and the decision which traces are kept.
//!
//! A [`RequestSpan`] is active while its work is polled. Log lines then carry its ids, and each wait is a [`Step`]
//! below it. When it ends ([`RequestSpan::end`]), its trace is kept if it failed, was slow, or belongs to the share
//! that is always kept ([`Traces`]). A kept trace is sent to the subscribers.

mod collector;
mod context;
mod record;
mod request;
mod step;
mod traces;

use std::borrow::Cow;

use collector::Collector;
pub use context::TraceContext;
pub use record::{SpanKind, SpanRecord, TraceRecord, Value};
pub use request::RequestSpan;
pub(super) use request::current_context;
pub use step::{Step, TraceHandle};
pub use traces::{TraceConfig, TraceSubscription, Traces};

/// The description of a request's own span.
#[derive(Debug)]
pub struct RootSpan {
    /// The name, for example `GET /queue`.
    pub name: Cow<'static, str>,
    /// Server or client.
    pub kind: SpanKind,
    /// The attributes, named by OpenTelemetry's semantic conventions.
    pub attributes: Vec<(&'static str, Value)>,
    /// The reason of the failure, if it failed.
    pub error: Option<Cow<'static, str>>,
}

#[cfg(test)]
mod tests;
