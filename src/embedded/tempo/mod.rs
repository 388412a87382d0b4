//! The embedded Tempo: the latest traces in bounded memory, behind Tempo's HTTP API.
//!
//! Supported: traces by id, as JSON and as protobuf; searches by tags and durations, and by a part of
//! TraceQL: one pair of braces with comparisons of attributes and intrinsics, joined by `&&`, `||`
//! and parentheses; the names and values there are to search for. Everything else is refused with a
//! reason.
//!
//! Records come from [`crate::telemetry::Traces::subscribe`] through [`TempoStore::ingest`]. Records of one
//! trace id from several services or instances form one trace.

mod http;
mod index;
mod otlp;
mod params;
mod responses;
mod search;
mod store;
mod tags;
mod trace;
mod traceql;

use std::time::Duration;

pub use super::request::PlainError as TempoError;
pub use http::routes;
pub use store::{StoreStats, TempoStore};

/// How much is kept and how much one query may cost.
#[derive(Debug, Clone)]
pub struct TempoConfig {
    /// Memory for traces, in bytes, indexes included. The oldest fall off the end.
    pub max_bytes: usize,
    /// Traces older than this are dropped even where there is room.
    pub retention: Duration,
    /// Spans of one trace; records that would exceed it are refused and counted.
    pub max_spans_per_trace: usize,
    /// What one query may cost.
    pub limits: QueryLimits,
}

impl Default for TempoConfig {
    fn default() -> Self {
        TempoConfig {
            max_bytes: 64 << 20,
            retention: Duration::from_secs(24 * 3600),
            max_spans_per_trace: 10_000,
            limits: QueryLimits::default(),
        }
    }
}

/// Bounds of one query.
#[derive(Debug, Clone)]
pub struct QueryLimits {
    /// Bytes of a query, or of the tags.
    pub max_query_length: usize,
    /// Traces in a result.
    pub max_traces: usize,
    /// Spans of a trace in a result.
    pub max_spans_per_set: usize,
    /// Values in a list of values.
    pub max_values: usize,
    /// Time, waiting for a turn included.
    pub timeout: Duration,
    /// Queries evaluated at once; further ones wait.
    pub max_concurrent: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        QueryLimits {
            max_query_length: 5120,
            max_traces: 1000,
            max_spans_per_set: 100,
            max_values: 1000,
            timeout: Duration::from_secs(10),
            max_concurrent: 2,
        }
    }
}
