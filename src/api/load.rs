//! What a load generator says of its run: `GET /ops/v1/load` on the listener of `--metrics-addr`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A run under way. Times are seconds, latencies milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadStatus {
    /// The scenario's name.
    pub scenario: String,
    /// What it does: `register`, `open`, `pay`, `auditing` …
    pub step: String,
    /// Since the first registration.
    pub elapsed: f64,
    /// When it should end, on the same clock; absent while nobody can tell.
    pub expected_end: Option<f64>,
    /// Requests that ended per second, over the last second.
    pub tps: f64,
    /// Requests that ended so far.
    pub requests: u64,
    /// Of those, by class of status: `2xx`, `4xx`, `5xx`, `none`.
    pub statuses: BTreeMap<String, u64>,
    /// 95 % of the successes outside the queue within this.
    pub p95: Option<f64>,
    /// Users by state.
    pub users: BTreeMap<String, u64>,
    /// Arrivals that could not be started on schedule.
    pub dropped: u64,
    /// It was told to pause.
    pub paused: bool,
    /// It was told to go this much faster; 1 is as the scenario says.
    pub pace: f64,
}
