//! A trace that is kept, as its readers get it: the exporter and the embedded trace store.

use std::borrow::Cow;
use std::sync::Arc;

/// What a span was to its parent, in OpenTelemetry's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Serves a request from outside.
    Server,
    /// Sends a request to another system: a database, Redis, the ticketing API.
    Client,
    /// Something within the process.
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
    /// Yes or no.
    Bool(bool),
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanRecord {
    /// `GET /queue`, `db.acquire`, `reservation.create`.
    pub name: Cow<'static, str>,
    /// What it was to its parent.
    pub kind: SpanKind,
    /// Its id, never zero.
    pub span_id: u64,
    /// The span it was part of; of the first span, the caller's, if it sent one.
    pub parent_span_id: Option<u64>,
    /// Nanoseconds since the Unix epoch.
    pub start_ns: u64,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
    /// By the names of OpenTelemetry's semantic conventions.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it failed, if it did.
    pub error: Option<Cow<'static, str>>,
}

/// The spans of one request in this process.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceRecord {
    /// The trace's id, never zero.
    pub trace_id: u128,
    /// The service that the spans are from: `concertctl-api`, `concertctl-load`.
    pub service_name: &'static str,
    /// The instance, once the process has named it.
    pub instance: Option<Arc<str>>,
    /// The request's own span first; the others in the order of their ends. At least one.
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
