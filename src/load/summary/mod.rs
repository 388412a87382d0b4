//! The summary of a run, for people and for programs.

mod exemplars;
mod file;
mod operations;
mod timeline;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::exemplars::{ExemplarRow, ExemplarSummary};
pub use self::file::json_schema;
pub use self::operations::OperationSummary;
pub(super) use self::operations::operations;
pub use self::timeline::{Mark, MarkKind, Second, Timeline};
pub(super) use self::timeline::{Snapshot, TimelineRecorder};
use super::health::ThreadShare;
use super::judge::{Ending, Judged, Verdict};
use super::model::{PhaseName, UserState};
use super::recorder::{Frame, Statuses};
use super::scenario::Scenario;
use super::unacknowledged::Unacknowledged;
use crate::api::ops::{Audit, Dataset, LookupAnswer};

/// The version of the summary's JSON. It increases when readers must change.
pub const SCHEMA: u32 = 2;

/// The summary of a run. Times are milliseconds unless the name says otherwise.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// [`SCHEMA`]
    pub schema: u32,
    /// The generator's version.
    pub version: String,
    /// The scenario's name.
    pub scenario: String,
    /// The settings of the scenario, with overrides.
    pub settings: Scenario,
    /// The only measured phase; absent if all were measured.
    pub phase: Option<PhaseName>,
    /// The parts of the run, such as `1/3`; empty for a whole run.
    pub shards: Vec<String>,
    /// The ticketing API.
    pub target: String,
    /// The server's version.
    pub server_version: String,
    /// The dataset.
    pub dataset: Dataset,
    /// The start of the run, ISO 8601, UTC.
    pub started_at: String,
    /// The time from the first registration to the last answer.
    pub elapsed_seconds: f64,
    /// An operator paused the run, made it slower or ended a phase early, so it asked less of the server than the
    /// scenario says.
    #[serde(rename = "eased")]
    pub load_reduced: bool,
    /// The reason why the run ended.
    pub ending: Ending,
    /// The verdict.
    pub verdict: Verdict,
    /// The reasons against "passed".
    pub reasons: Vec<String>,
    /// The judged thresholds.
    pub thresholds: Vec<Judged>,
    /// The number of users by their final state.
    pub users: BTreeMap<String, u64>,
    /// Requests by operation.
    pub operations: Vec<OperationSummary>,
    /// Requests by class of status.
    pub statuses: Statuses,
    /// Arrivals that could not start on schedule, by traffic group.
    pub dropped: BTreeMap<String, u64>,
    /// The capacity estimate beside the measurements.
    pub estimate: Vec<Expected>,
    /// The audit after the run; absent when it failed.
    pub audit: Option<Audit>,
    /// Which of the successes that clients saw are in the database; absent when the look-up failed.
    pub lookup: Option<LookupAnswer>,
    /// Writes that were done although their answer reported a failure, or no answer arrived.
    #[serde(default)]
    pub unacknowledged: Unacknowledged,
    /// The reason why audit or look-up failed.
    pub audit_problem: Option<String>,
    /// The audits during the run.
    pub audits: AuditsDuring,
    /// The largest resident memory of the server during the run, in bytes; absent if it never reported it.
    #[serde(default)]
    pub server_memory: Option<u64>,
    /// The fairness of the queue.
    pub fairness: Fairness,
    /// The connections of the users.
    #[serde(default)]
    pub connections: ConnectionSummary,
    /// The health of the generator.
    pub generator: GeneratorSummary,
    /// The run over time.
    pub timeline: Timeline,
    /// Events of the run, in order.
    pub marks: Vec<Mark>,
    /// Single requests to look up in the server's traces.
    #[serde(default, rename = "noted")]
    pub exemplars: ExemplarSummary,
    /// The comparison with an earlier run, if one was requested.
    pub baseline: Option<super::baseline::Baseline>,
    /// All histograms, so that the parts of a run merge exactly.
    pub histograms: super::histograms::Histograms,
}

/// The audits during the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditsDuring {
    /// The number of audits.
    pub count: u64,
    /// The largest number of violations in one of them.
    pub worst: u64,
}

/// A line of the capacity estimate beside its measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Expected {
    /// The estimated quantity.
    pub quantity: String,
    /// The estimate.
    pub expected: String,
    /// The measurement; absent without one.
    pub measured: Option<String>,
}

/// The latencies of one kind of request, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Mean.
    pub avg: f64,
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Latency {
    pub(super) fn of(histogram: &hdrhistogram::Histogram<u64>) -> Latency {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Latency {
            avg: histogram.mean() / 1e3,
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: at(1.0),
        }
    }

    /// The latencies of `histogram`. `None` without values.
    pub(super) fn if_any(histogram: &hdrhistogram::Histogram<u64>) -> Option<Latency> {
        (!histogram.is_empty()).then(|| Latency::of(histogram))
    }
}

/// The fairness of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fairness {
    /// Answers that were checked for inversions.
    pub checks: u64,
    /// Inversions: answers by which a user waited while a later place was already admitted.
    pub inversions: u64,
    /// The difference between promised and real admissions; absent without a promise.
    pub eta_error: Option<Latency>,
}

impl Fairness {
    pub(super) fn of(frame: &Frame) -> Fairness {
        Fairness {
            checks: frame.order_checks,
            inversions: frame.inversions,
            eta_error: Latency::if_any(&frame.eta_error),
        }
    }
}

/// The connections of the users. Latencies contain no handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionSummary {
    /// The number of connections that were opened.
    pub opened: u64,
    /// The time of TLS handshakes; absent without TLS.
    pub handshake: Option<Latency>,
    /// The number of handshakes that resumed an earlier session of the same user.
    pub resumed: u64,
}

impl ConnectionSummary {
    pub(super) fn of(frame: &Frame) -> ConnectionSummary {
        ConnectionSummary {
            opened: frame.opened,
            handshake: Latency::if_any(&frame.handshakes),
            resumed: frame.resumed,
        }
    }
}

/// The health of the generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GeneratorSummary {
    /// Worker threads.
    pub workers: usize,
    /// Cores of the machine.
    pub cores: usize,
    /// Operating system and processor.
    pub machine: String,
    /// Connections that the run could hold.
    pub connections: usize,
    /// Connections with which no user waits: one per user.
    pub wanted: usize,
    /// The peak memory of the process in bytes, the embedded server included; absent where the system does not report
    /// it.
    pub memory: Option<u64>,
    /// The limit of open files; absent without a limit, or when it is not known.
    pub file_limit: Option<u64>,
    /// The busiest worker's shares of its time; absent where the system does not report them.
    pub busiest: Option<ThreadShare>,
    /// The delay with which timed requests started; absent when none was timed.
    pub lag: Option<Latency>,
    /// The wait of requests for a shared connection; absent when each user had one.
    pub connection_wait: Option<Latency>,
    /// The ways in which the generator was the limit; empty if there are none.
    pub limited: Vec<String>,
}

impl GeneratorSummary {
    /// Adds the lateness of requests and their waits for a connection.
    pub(super) fn measure(&mut self, frame: &Frame) {
        self.lag = Latency::if_any(&frame.lag);
        self.connection_wait = Latency::if_any(&frame.connection_wait);
    }

    /// Adds the measurements, and decides whether the generator was the limit.
    pub(super) fn measured(mut self, frame: &Frame, scenario: &Scenario) -> GeneratorSummary {
        self.measure(frame);
        let limit = scenario.generator.lag_p99.0;
        let lag = Duration::from_micros(frame.lag.value_at_quantile(0.99));
        if !frame.lag.is_empty() && lag > limit {
            let lag = lag.as_secs_f64() * 1e3;
            self.limited.push(format!(
                "the generator was late: 1 % of its requests started {lag:.1} ms or more after their due time (limit {})",
                scenario.generator.lag_p99
            ));
        }
        if let Some(busiest) = self.busiest
            && busiest.running > scenario.generator.cpu
        {
            self.limited.push(format!(
                "the generator's busiest thread used {:.0} % of a core (limit {:.0} %)",
                busiest.running * 100.0,
                scenario.generator.cpu * 100.0
            ));
        }
        self
    }
}

/// The number of dropped arrivals of each traffic group with any.
pub(super) fn dropped(frame: &Frame, traffic_groups: &[String]) -> BTreeMap<String, u64> {
    let counts = frame.dropped.iter().enumerate();
    let some = counts.filter(|(_, count)| **count > 0);
    some.map(|(traffic, count)| {
        let name = traffic_groups
            .get(traffic.wrapping_sub(1))
            .map_or("buyers", String::as_str);
        (name.to_owned(), *count)
    })
    .collect()
}

pub(super) fn by_name(users: &[(UserState, u64)]) -> BTreeMap<String, u64> {
    users
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(state, count)| (state.to_string(), *count))
        .collect()
}
