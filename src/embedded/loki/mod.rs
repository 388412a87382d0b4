//! The embedded Loki: the latest log records in bounded memory, with Loki's HTTP API and a part of LogQL.
//!
//! Supported log queries have a stream selector with all four matchers and these stages: line filters (`|=`, `!=`,
//! `|~`, `!~`), `| json` (all fields or some), `| logfmt`, `| regexp`, `| pattern`, `| line_format`, `|
//! label_format`, `| drop`, `| keep`, and label filters on strings, numbers, durations and sizes (`and`, `or`, `,`,
//! parentheses).
//!
//! Supported metric queries apply `rate`, `count_over_time`, `bytes_rate`, `bytes_over_time` and, with `| unwrap`,
//! `sum`, `avg`, `min`, `max`, `first`, `last` and `quantile_over_time` to them, with `offset`. `sum`, `avg`, `min`,
//! `max`, `count`, `topk` and `bottomk` aggregate these, by or without labels. Sums of `vector(…)` are supported,
//! because Grafana tests the connection with them. Everything else is refused like Loki refuses a query that it
//! cannot parse.
//!
//! Records come from [`crate::telemetry::Logs::subscribe`] through [`LokiStore::ingest`].

mod chunk;
mod eval;
mod explore;
mod fields;
mod http;
mod json;
mod logfmt;
mod logql;
mod metadata;
pub(in crate::embedded) mod params;
mod pipeline;
mod responses;
mod store;
mod tail_queue;
mod tail_socket;

use std::time::Duration;

pub use super::request::PlainError as QueryError;
pub use explore::readiness_route;
pub use http::routes;
pub use logql::{check as check_query, parse_duration};
pub use store::{LokiStore, StoreStats};

/// The limits of the store and of its queries.
#[derive(Debug, Clone)]
pub struct LokiConfig {
    /// The memory of records and indexes, in bytes. Beyond it the oldest records are dropped.
    pub max_bytes: usize,
    /// Records older than this are dropped even if there is memory for them.
    pub retention: Duration,
    /// The largest number of label sets. Records of further ones are refused and counted.
    pub max_streams: usize,
    /// The limits of one query.
    pub limits: QueryLimits,
}

impl Default for LokiConfig {
    fn default() -> Self {
        LokiConfig {
            max_bytes: 64 << 20,
            retention: Duration::from_secs(24 * 3600),
            max_streams: 1000,
            limits: QueryLimits::default(),
        }
    }
}

/// The limits of one query. The defaults are Loki's own where it has them.
#[derive(Debug, Clone)]
pub struct QueryLimits {
    /// The largest length of a query, in characters.
    pub max_query_length: usize,
    /// The longest time between `start` and `end`, and the longest range in brackets.
    pub max_range: Duration,
    /// The largest number of bytes of log lines that are read.
    pub max_bytes_scanned: usize,
    /// The largest number of series in a result.
    pub max_series: usize,
    /// The largest number of log lines in a result.
    pub max_entries: usize,
    /// The time-out, including the wait for a turn.
    pub timeout: Duration,
    /// The largest number of concurrent queries. Further ones wait.
    pub max_concurrent: usize,
    /// The largest number of concurrent live tails. Further ones are refused.
    pub max_tails: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        QueryLimits {
            max_query_length: 5120,
            max_range: Duration::from_secs(721 * 3600),
            max_bytes_scanned: 1 << 30,
            max_series: 500,
            max_entries: 5000,
            timeout: Duration::from_secs(10),
            max_concurrent: 2,
            max_tails: 10,
        }
    }
}
