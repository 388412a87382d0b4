//! Single requests in the summary. Their traces show where the time went.

use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::load::recorder::{Exemplar, Frame};

/// The number of requests of each kind.
const EACH: usize = 10;

/// Requests to look up in the server's traces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExemplarSummary {
    /// The slowest requests with an answer, the slowest first.
    pub slowest: Vec<ExemplarRow>,
    /// The latest failed requests, the latest first.
    pub failed: Vec<ExemplarRow>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExemplarRow {
    /// The traffic group; absent for the buyers.
    pub traffic: Option<String>,
    /// The call.
    pub operation: String,
    /// The status; absent without an answer.
    pub status: Option<u16>,
    /// The kind of error; absent for other requests.
    #[serde(rename = "fault")]
    pub error_kind: Option<String>,
    /// The time at which the request ended, in seconds since the start of the run.
    pub at_seconds: f64,
    /// The latency from the due time, in milliseconds.
    pub latency_ms: f64,
    /// The W3C trace id of the request, 32 hexadecimal digits.
    pub trace_id: String,
}

impl ExemplarSummary {
    /// The exemplars of `frame`. Traffic groups are numbered from 1.
    pub(in crate::load) fn of(
        frame: &Frame,
        traffic_groups: &[String],
        begun: Instant,
    ) -> ExemplarSummary {
        let one = |it: &Exemplar| ExemplarRow {
            traffic: traffic_groups.get(it.traffic.wrapping_sub(1)).cloned(),
            operation: it.operation.as_str().to_owned(),
            status: (it.status != 0).then_some(it.status),
            error_kind: it
                .error_kind
                .map(|error_kind| error_kind.as_str().to_owned()),
            at_seconds: it.done.saturating_duration_since(begun).as_secs_f64(),
            latency_ms: it.latency_us as f64 / 1e3,
            trace_id: format!("{:032x}", it.trace_id),
        };
        ExemplarSummary {
            slowest: frame.exemplars.slowest.iter().map(one).collect(),
            failed: frame.exemplars.failed.iter().map(one).collect(),
        }
    }

    /// The exemplars of several parts. Each part has the time in seconds after which it began.
    pub(in crate::load) fn merged<'a>(
        parts: impl Iterator<Item = (&'a ExemplarSummary, f64)>,
    ) -> ExemplarSummary {
        let mut all = ExemplarSummary::default();
        for (part, start) in parts {
            let moved = |it: &ExemplarRow| ExemplarRow {
                at_seconds: it.at_seconds + start,
                ..it.clone()
            };
            all.slowest.extend(part.slowest.iter().map(moved));
            all.failed.extend(part.failed.iter().map(moved));
        }
        all.slowest
            .sort_by(|a, b| b.latency_ms.total_cmp(&a.latency_ms));
        all.failed
            .sort_by(|a, b| b.at_seconds.total_cmp(&a.at_seconds));
        all.slowest.truncate(EACH);
        all.failed.truncate(EACH);
        all
    }

    /// Returns whether there are no exemplars.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slowest.is_empty() && self.failed.is_empty()
    }
}

impl ExemplarRow {
    /// Describes the outcome of the request in a word or two.
    #[must_use]
    pub fn ending(&self) -> String {
        match (&self.error_kind, self.status) {
            (Some(error_kind), Some(status)) => format!("{error_kind} {status}"),
            (Some(error_kind), None) => error_kind.clone(),
            (None, Some(status)) => status.to_string(),
            (None, None) => "no answer".to_owned(),
        }
    }
}
