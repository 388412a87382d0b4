//! Traces: where a request stands in one, what it waited for, and which of them are kept.
//!
//! A [`RequestSpan`] is under way while its work is polled: log lines carry its ids, and what it waits for
//! is a [`Step`] beneath it. When it ends ([`RequestSpan::end`]) its trace is kept if it failed, was slow, or
//! is of the ratio that is kept anyway ([`Traces`]), and handed to the subscribers.

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

#[cfg(test)]
mod tests;
