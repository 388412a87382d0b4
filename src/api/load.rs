//! The progress of a load generator: `GET /ops/v1/load` on the listener of `concertctl load --metrics-addr`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A run in progress. Times are in seconds, latencies in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadStatus {
    /// The scenario's name.
    pub scenario: String,
    /// The current step: `register`, `open`, `pay`, `auditing` …
    pub step: String,
    /// Time since the first registration.
    pub elapsed: f64,
    /// The expected end, on the same clock; absent while it cannot be estimated.
    pub expected_end: Option<f64>,
    /// Requests that ended per second, over the last second.
    pub tps: f64,
    /// Requests that have ended so far.
    pub requests: u64,
    /// Requests by class of status: `2xx`, `4xx`, `5xx`, `none`.
    pub statuses: BTreeMap<String, u64>,
    /// 95th percentile of the successful requests outside the queue.
    pub p95: Option<f64>,
    /// Users by state.
    pub users: BTreeMap<String, u64>,
    /// Arrivals that could not be started on schedule.
    pub dropped: u64,
    /// An operator paused the run.
    pub paused: bool,
    /// The factor by which an operator sped up the run; 1 is the scenario's own pace.
    pub pace: f64,
}
