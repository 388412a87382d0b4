//! What a run leaves behind: the summary, for people and for programs.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::health::ThreadShare;
use super::judge::{Ending, Judged, Verdict, rate};
use super::model::{Class, Operation, PhaseName, UserState};
use super::recorder::{Cell, Frame, Statuses};
use super::scenario::Scenario;
use crate::api::ops::{Audit, Dataset, LookupAnswer};

/// The version of the summary's JSON; it grows when a reader would have to change.
pub const SCHEMA: u32 = 1;

/// Everything there is to say about a run. Times are milliseconds unless the name says otherwise.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// [`SCHEMA`]
    pub schema: u32,
    /// The generator's version.
    pub version: &'static str,
    /// The scenario's name.
    pub scenario: String,
    /// Its settings, overrides included.
    pub settings: Scenario,
    /// The only phase that was measured, if not all.
    pub phase: Option<PhaseName>,
    /// The API that was called.
    pub target: String,
    /// The server's version.
    pub server_version: String,
    /// The dataset it ran on.
    pub dataset: Dataset,
    /// ISO 8601, UTC.
    pub started_at: String,
    /// From the first registration to the last answer.
    pub elapsed_seconds: f64,
    /// How it ended.
    pub ending: Ending,
    /// The verdict.
    pub verdict: Verdict,
    /// What stands against "passed".
    pub reasons: Vec<String>,
    /// Thresholds, judged.
    pub thresholds: Vec<Judged>,
    /// Users by the state in which the run left them.
    pub users: BTreeMap<&'static str, u64>,
    /// Requests by operation and phase.
    pub operations: Vec<OperationSummary>,
    /// Requests by class of status.
    pub statuses: Statuses,
    /// The business truth after the run; absent when it could not be had.
    pub audit: Option<Audit>,
    /// Which of the successes that clients saw are in the database; absent when it could not be had.
    pub lookup: Option<LookupAnswer>,
    /// Why audit or look-up could not be had.
    pub audit_problem: Option<String>,
    /// The queue's fairness.
    pub fairness: Fairness,
    /// The generator's health.
    pub generator: GeneratorSummary,
    /// Second by second, the first two hours at most.
    pub timeline: Vec<Second>,
}

/// Latencies of one kind of request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Mean.
    pub avg: f64,
    /// Median.
    pub p50: f64,
    /// 95 % within this.
    pub p95: f64,
    /// 99 % within this.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Latency {
    fn of(histogram: &hdrhistogram::Histogram<u64>) -> Latency {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Latency {
            avg: histogram.mean() / 1e3,
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

/// Requests of one operation in one phase.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationSummary {
    /// Which operation.
    pub operation: Operation,
    /// In which phase.
    pub phase: PhaseName,
    /// Requests that ended.
    pub count: u64,
    /// Of those, per second from the first to the last.
    pub rate: f64,
    /// Successes.
    pub ok: u64,
    /// Intended refusals.
    pub refused: u64,
    /// Errors.
    pub errors: u64,
    /// Errors by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Successes, from the planned instant; absent without one.
    pub latency: Option<Latency>,
    /// Successes, from sending.
    pub service: Option<Latency>,
    /// Intended refusals, from the planned instant.
    pub refusal_latency: Option<Latency>,
    /// Errors, from the planned instant.
    pub error_latency: Option<Latency>,
}

/// Everything measured, row by row, for the operations that ran.
pub(super) fn operations(frame: &Frame) -> Vec<OperationSummary> {
    let phases = PhaseName::ALL.iter().copied();
    let rows = phases.flat_map(|phase| {
        Operation::ALL
            .iter()
            .map(move |operation| (*operation, phase))
    });
    rows.filter_map(|(operation, phase)| row(frame, operation, phase))
        .collect()
}

fn row(frame: &Frame, operation: Operation, phase: PhaseName) -> Option<OperationSummary> {
    let cell = |class| {
        frame
            .cell(operation, phase, class)
            .filter(|cell| !cell.latency.is_empty())
    };
    let count = |class| cell(class).map_or(0, |cell| cell.latency.len());
    let (ok, refused, errors) = (count(Class::Ok), count(Class::Refused), count(Class::Error));
    if ok + refused + errors == 0 {
        return None;
    }
    let rates = Class::ALL
        .iter()
        .filter_map(|class| cell(*class).and_then(rate));
    let latency = |class| cell(class).map(|cell: &Cell| Latency::of(&cell.latency));
    Some(OperationSummary {
        operation,
        phase,
        count: ok + refused + errors,
        rate: rates.sum(),
        ok,
        refused,
        errors,
        faults: frame
            .faults(operation)
            .map(|(fault, count)| (fault.as_str(), count))
            .collect(),
        latency: latency(Class::Ok),
        service: cell(Class::Ok).map(|cell| Latency::of(&cell.service)),
        refusal_latency: latency(Class::Refused),
        error_latency: latency(Class::Error),
    })
}

/// The queue's fairness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fairness {
    /// Answers from which an inversion could have been told.
    pub checks: u64,
    /// Times that somebody waited while somebody behind was known to be let in.
    pub inversions: u64,
    /// How far promised admissions were from the real ones; absent when none was promised.
    pub eta_error: Option<Latency>,
}

impl Fairness {
    pub(super) fn of(frame: &Frame) -> Fairness {
        let promised = !frame.eta_error.is_empty();
        Fairness {
            checks: frame.order_checks,
            inversions: frame.inversions,
            eta_error: promised.then(|| Latency::of(&frame.eta_error)),
        }
    }
}

/// The generator's health.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GeneratorSummary {
    /// Worker threads.
    pub workers: usize,
    /// Cores of the machine.
    pub cores: usize,
    /// Operating system and processor.
    pub machine: String,
    /// Connections it allowed itself.
    pub connections: usize,
    /// Files it may open; absent: without limit, or not known.
    pub file_limit: Option<u64>,
    /// The busiest worker's shares of its time; absent where the system does not tell.
    pub busiest: Option<ThreadShare>,
    /// How much later than planned timed requests started; absent when none was timed.
    pub lag: Option<Latency>,
    /// How long requests waited for a shared connection; absent when each user had one.
    pub connection_wait: Option<Latency>,
    /// In what the generator was the limit; empty: in nothing.
    pub limited: Vec<String>,
}

impl GeneratorSummary {
    pub(super) fn measured(mut self, frame: &Frame, scenario: &Scenario) -> GeneratorSummary {
        let of = |histogram: &hdrhistogram::Histogram<u64>| {
            (!histogram.is_empty()).then(|| Latency::of(histogram))
        };
        self.lag = of(&frame.lag);
        self.connection_wait = of(&frame.connection_wait);
        let limit = scenario.generator.lag_p99.0;
        let lag = Duration::from_micros(frame.lag.value_at_quantile(0.99));
        if !frame.lag.is_empty() && lag > limit {
            let lag = lag.as_secs_f64() * 1e3;
            self.limited.push(format!(
                "the generator was late: 1 % of its requests started {lag:.1} ms or more after their instant (limit {})",
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

/// One second of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Second {
    /// Since the first registration.
    pub second: f64,
    /// Requests that ended in it, per second.
    pub tps: f64,
    /// Statuses so far.
    pub statuses: Statuses,
    /// Users by state, those that anyone is in.
    pub users: BTreeMap<&'static str, u64>,
    /// The server's admitted mark, as it said last.
    pub admitted_mark: Option<u64>,
}

pub(super) fn by_name(users: &[(UserState, u64)]) -> BTreeMap<&'static str, u64> {
    users
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(state, count)| (state.as_str(), *count))
        .collect()
}

impl Summary {
    /// The summary as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self)
            .expect("the summary has only text keys and finite numbers")
    }

    /// Writes the summary as JSON, whole or not at all: beside the file first, then renamed.
    ///
    /// # Errors
    /// When the directory is not there or not writable.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let name = path
            .file_name()
            .ok_or_else(|| std::io::Error::other("the path names no file"))?;
        let mut beside = std::ffi::OsString::from(".");
        beside.push(name);
        beside.push(format!(".{}.part", std::process::id()));
        let beside = path.with_file_name(beside);
        let written = std::fs::File::create(&beside).and_then(|mut file| {
            file.write_all(self.to_json().as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        });
        let renamed = written.and_then(|()| std::fs::rename(&beside, path));
        if renamed.is_err() {
            // The error that is returned matters more than a left-over.
            let _ = std::fs::remove_file(&beside);
        }
        renamed
    }
}
