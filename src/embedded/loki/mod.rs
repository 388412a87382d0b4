//! The embedded Loki: the latest log records in bounded memory, behind Loki's HTTP API, with a part of
//! LogQL.
//!
//! Supported: stream selectors with all four matchers, line filters (`|=`, `!=`, `|~`, `!~`), `| json` (all
//! fields or some), `| logfmt`, `| regexp`, `| pattern`, `| line_format`, `| label_format`, `| drop`, `| keep`,
//! label filters on strings, numbers, durations and sizes (`and`, `or`, `,`, parentheses); over them `rate`, `count_over_time`, `bytes_rate`,
//! `bytes_over_time` and, with `| unwrap`, `sum`, `avg`, `min`, `max`, `first`, `last` and
//! `quantile_over_time`, with `offset`; over those `sum`, `avg`, `min`, `max`, `count`, `topk`, `bottomk`, by or
//! without labels; and sums of `vector(…)`, by which Grafana tests the connection. Everything
//! else is refused as Loki refuses what it cannot parse.
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

/// How much is kept and how much one query may cost.
#[derive(Debug, Clone)]
pub struct LokiConfig {
    /// Memory for records, in bytes, indexes included. The oldest fall off the end.
    pub max_bytes: usize,
    /// Records older than this are dropped even where there is room.
    pub retention: Duration,
    /// Label sets there may be at once; records of further ones are refused and counted.
    pub max_streams: usize,
    /// What one query may cost.
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

/// Bounds of one query. The defaults are Loki's own where it has them.
#[derive(Debug, Clone)]
pub struct QueryLimits {
    /// Characters of a query.
    pub max_query_length: usize,
    /// Between `start` and `end`, and of a range in brackets.
    pub max_range: Duration,
    /// Bytes of log lines looked at.
    pub max_bytes_scanned: usize,
    /// Series in a result.
    pub max_series: usize,
    /// Log lines in a result.
    pub max_entries: usize,
    /// Time, waiting for a turn included.
    pub timeout: Duration,
    /// Queries evaluated at once; further ones wait.
    pub max_concurrent: usize,
    /// Readers that tail at once; further ones are refused.
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
