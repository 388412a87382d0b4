//! A kept trace, in the form that the exporter and the embedded trace store read.

use std::borrow::Cow;
use std::sync::Arc;

/// The kind of a span in OpenTelemetry's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Serves a request from another process.
    Server,
    /// Sends a request to another system: a database, Redis, the ticketing API.
    Client,
    /// Work within the process.
    Internal,
}

/// An attribute's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(Cow<'static, str>),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A boolean.
    Bool(bool),
}

/// A finished span.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanRecord {
    /// The name, for example `GET /queue`, `db.acquire` or `reservation.create`.
    pub name: Cow<'static, str>,
    /// The kind of the span.
    pub kind: SpanKind,
    /// Its id, never zero.
    pub span_id: u64,
    /// The parent span. For the first span, this is the caller's span if the caller sent one.
    pub parent_span_id: Option<u64>,
    /// Nanoseconds since the Unix epoch.
    pub start_ns: u64,
    /// The duration in nanoseconds.
    pub duration_ns: u64,
    /// The attributes, named by OpenTelemetry's semantic conventions.
    pub attributes: Vec<(&'static str, Value)>,
    /// The reason of the failure, if it failed.
    pub error: Option<Cow<'static, str>>,
}

/// The spans of one request in this process.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceRecord {
    /// The trace's id, never zero.
    pub trace_id: u128,
    /// The service of the spans: `concertctl-api`, `concertctl-load`.
    pub service_name: &'static str,
    /// The instance, after the process has set its name.
    pub instance: Option<Arc<str>>,
    /// The spans, at least one. The request's own span comes first, then the others in the order of their ends.
    pub spans: Vec<SpanRecord>,
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Value {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Float(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Value {
        Value::Bool(yes)
    }
}
