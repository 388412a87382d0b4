//! Traces: where a request stands in one, and what is kept of those worth keeping.

mod context;
mod record;

pub use context::TraceContext;
pub(super) use context::random_span_id;
pub use record::{SpanKind, SpanRecord, TraceRecord, Value};
