//! The content of the report about one drill.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::drill::blind::grading::Response;
use crate::drill::record::{AlertTimes, Basis, Harm, Mark, StopChecks};
use crate::drill::verdict::{Expectation, FalseAlarm, Verdict};

/// Everything there is to say about one drill. Times are seconds from the first fault's beginning, or
/// from the beginning of the watch.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The drill's name.
    pub drill: String,
    /// One line for people.
    pub title: String,
    /// Where the draws began.
    pub seed: u64,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Each expectation with budget, worst case and measurement.
    pub expectations: Vec<Expectation>,
    /// Alerts that nothing in the drill allows.
    pub false_alarms: Vec<FalseAlarm>,
    /// Alerts that fired, by name: when.
    pub fired: BTreeMap<String, Vec<f64>>,
    /// Alerts that the drill allows but does not expect.
    pub allowed: Vec<String>,
    /// The beginning and the end of each fault.
    pub faults: Vec<(f64, f64)>,
    /// Buying requests second by second: time, requests, errors, p95 in ms.
    pub seconds: Vec<(f64, u64, u64, Option<f64>)>,
    /// The verdict in one sentence.
    pub sentence: String,
    /// Everything that happened, on one clock.
    pub marks: Vec<Mark>,
    /// The spells of each alert that was pending or fired, by its name.
    pub alerts: BTreeMap<String, Vec<AlertTimes>>,
    /// What customers had to bear.
    pub harm: Harm,
    /// What to look at next, for each expectation that was not met and each false alarm.
    pub improvements: Vec<Improvement>,
    /// What is needed to run it again.
    pub basis: Basis,
    /// A stop condition ended the drill.
    #[serde(default)]
    pub stopped: bool,
    /// How the stop conditions were checked meanwhile; absent if the traffic never ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_checks: Option<StopChecks>,
    /// The player's response, in a blind drill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind: Option<Response>,
}

/// Something to improve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Improvement {
    /// The alert that it is about.
    pub alert: Option<String>,
    /// The file and the line of its rule.
    pub rule: Option<String>,
    /// What happened, and what to do.
    pub advice: String,
}
