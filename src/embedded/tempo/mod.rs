//! The embedded Tempo: the latest traces in bounded memory, with Tempo's HTTP API.
//!
//! It supports traces by id, as JSON and as protobuf; searches by tags, by durations and by a part of TraceQL (one
//! pair of braces with comparisons of attributes and intrinsics, joined by `&&`, `||` and parentheses); and lists of
//! names and values. It refuses everything else with a reason.
//!
//! Records come from [`crate::telemetry::Traces::subscribe`] through [`TempoStore::ingest`]. Records of one trace id
//! from several services or instances form one trace.

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

/// The limits of the store and of its queries.
#[derive(Debug, Clone)]
pub struct TempoConfig {
    /// The memory of traces and indexes, in bytes. Beyond it the oldest traces are dropped.
    pub max_bytes: usize,
    /// Traces older than this are dropped even if there is memory for them.
    pub retention: Duration,
    /// The largest number of spans in one trace. Records beyond it are refused and counted.
    pub max_spans_per_trace: usize,
    /// The limits of one query.
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

/// The limits of one query.
#[derive(Debug, Clone)]
pub struct QueryLimits {
    /// The largest length of a query or of the tags, in bytes.
    pub max_query_length: usize,
    /// The largest number of traces in a response.
    pub max_traces: usize,
    /// The largest number of spans per trace in a response.
    pub max_spans_per_set: usize,
    /// The largest number of values in a list of values.
    pub max_values: usize,
    /// The time-out, including the wait for a turn.
    pub timeout: Duration,
    /// The largest number of concurrent queries. Further ones wait.
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
