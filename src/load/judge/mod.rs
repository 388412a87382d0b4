//! Judges thresholds by the measurements and derives the verdict. No I/O.

mod groups;
mod windows;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::groups::Resolved;
pub(super) use self::windows::LiveThresholds;
use super::model::{Class, Operation, PhaseName};
use super::recorder::{BUYERS, Frame, span_seconds};
use super::scenario::Scenario;
use super::unacknowledged::Unacknowledged;
use crate::api::ops::{Audit, LookupAnswer};

/// The outcome of a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The limit was kept.
    Passed,
    /// The limit was not kept.
    Missed,
    /// There were no measurements. This counts as missed, unless an operator stopped the run.
    NoData,
}

/// The unit of a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// A share from 0 to 1.
    Share,
    /// A rate per second.
    PerSecond,
    /// A count.
    Count,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// Formats a value in few characters.
    fn format(self, value: f64) -> String {
        match self {
            Unit::Milliseconds if value < 10.0 => format!("{value:.1} ms"),
            Unit::Milliseconds => format!("{value:.0} ms"),
            Unit::Share => format!("{:.2} %", value * 100.0),
            Unit::PerSecond => format!("{value:.1}/s"),
            Unit::Count => format!("{value:.0}"),
            Unit::Bytes => format!("{:.0} MB", value / 1e6),
        }
    }
}

/// The relation that the measured value must have to the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// The value must not be above the limit.
    AtMost,
    /// The value must not be below the limit.
    AtLeast,
    /// The value must equal the limit.
    Exactly,
}

impl Relation {
    /// The sign of the relation.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Relation::AtMost => "≤",
            Relation::AtLeast => "≥",
            Relation::Exactly => "=",
        }
    }
}

/// One threshold, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// The path under `thresholds`, such as `buying.p95`.
    pub name: String,
    /// The unit of `limit` and `measured`.
    pub unit: Unit,
    /// The relation that the measured value must have to the limit.
    pub relation: Relation,
    /// The limit.
    pub limit: f64,
    /// The measured value; with a window that of the worst window; absent without data.
    pub measured: Option<f64>,
    /// The outcome.
    pub outcome: Outcome,
    /// The length of the window in seconds. The limit holds in every window of this length.
    pub window: Option<u64>,
    /// The end of the worst window, in seconds since the beginning.
    pub worst_at: Option<f64>,
}

impl Judged {
    fn new(
        name: String,
        unit: Unit,
        relation: Relation,
        limit: f64,
        measured: Option<f64>,
    ) -> Judged {
        let kept = |measured: f64| match relation {
            Relation::AtMost => measured <= limit,
            Relation::AtLeast => measured >= limit,
            Relation::Exactly => measured == limit,
        };
        let outcome = match measured.map(kept) {
            None => Outcome::NoData,
            Some(true) => Outcome::Passed,
            Some(false) => Outcome::Missed,
        };
        Judged {
            name,
            unit,
            relation,
            limit,
            measured,
            outcome,
            window: None,
            worst_at: None,
        }
    }

    /// The condition as text: `buying.p95 ≤ 500 ms`.
    #[must_use]
    pub fn condition(&self) -> String {
        let (sign, limit) = (self.relation.sign(), self.unit.format(self.limit));
        format!("{} {sign} {limit}", self.name)
    }

    /// The measured value with its unit, or `no data`.
    #[must_use]
    pub fn measured_text(&self) -> String {
        self.measured
            .map_or_else(|| "no data".to_owned(), |value| self.unit.format(value))
    }

    /// Returns whether a slow generator alone could explain a miss.
    fn is_about_speed(&self) -> bool {
        self.outcome == Outcome::Missed && matches!(self.unit, Unit::Milliseconds | Unit::PerSecond)
    }
}

/// The reason why the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Every user reached the end of the journey.
    Complete,
    /// An operator stopped the run.
    Stopped,
    /// The scenario's longest duration was over.
    TimeOver,
    /// Requests failed, and none was answered for the scenario's longest silence.
    ServerLost,
    /// A threshold with `abort` was missed for too long.
    Aborted,
}

/// The verdict on the whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every threshold was kept.
    Passed,
    /// At least one threshold was missed or had no data.
    Failed,
    /// The run proves neither: the generator was the limit, an operator stopped the run or reduced its load, or the
    /// scenario's longest duration was over.
    Inconclusive,
}

impl Verdict {
    /// The exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Verdict::Passed => 0,
            Verdict::Failed => 99,
            Verdict::Inconclusive => 3,
        }
    }

    /// The word for the verdict.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Inconclusive => "inconclusive",
        }
    }
}

/// The measurements and findings by which thresholds are judged.
pub(super) struct Evidence<'a> {
    /// All measurements of the run.
    pub frame: &'a Frame,
    /// The phase that was run alone; absent for a whole run.
    pub only_phase: Option<PhaseName>,
    /// The audit at the end; absent if the server gave none.
    pub audit: Option<&'a Audit>,
    /// The largest number of violations that an audit during the run found.
    pub worst_audit: u64,
    /// The acknowledged writes that the database does not hold.
    pub lookup: Option<&'a LookupAnswer>,
    /// The writes that were done although they ended in an error for the client.
    pub unacknowledged: Option<&'a Unacknowledged>,
    /// The number of users who did not reach an intended end.
    pub unfinished: u64,
    /// The peak memory of the generator, in bytes; absent where the system does not report it.
    pub generator_memory: Option<u64>,
    /// The largest memory of the server that was seen, in bytes; absent if the server never reported it.
    pub server_memory: Option<u64>,
    pub ending: Ending,
}

/// Judges every threshold of the scenario by the evidence.
fn judge_thresholds(
    scenario: &Scenario,
    evidence: &Evidence<'_>,
    windowed: impl IntoIterator<Item = Judged>,
) -> Vec<Judged> {
    let mut judged = judge_requests(scenario, evidence);
    judged.extend(windowed);
    judge_business(scenario, evidence, &mut judged);
    judged
}

/// Judges the limits on requests over the whole run. Limits with a window are judged during the run
/// ([`LiveThresholds`]).
pub(super) fn judge_requests(scenario: &Scenario, evidence: &Evidence<'_>) -> Vec<Judged> {
    let mut judged = Vec::new();
    for group in Resolved::all(scenario, evidence.only_phase) {
        if group.group.window.is_none() {
            let requests = group.requests(evidence.frame);
            for (metric, limit) in group.limits() {
                judged.push(group.judged(metric, limit, requests.measure(metric)));
            }
        }
    }
    judged
}

/// Judges the limits on the sale as a whole: what the audit and the look-up found, and how the users fared.
fn judge_business(scenario: &Scenario, evidence: &Evidence<'_>, judged: &mut Vec<Judged>) {
    let business = &scenario.thresholds.business;
    let frame = evidence.frame;
    let mut count = |name: &str, relation, limit: Option<u64>, measured: Option<u64>| {
        if let Some(limit) = limit {
            let measured = measured.map(|measured| measured as f64);
            let (name, limit) = (name.to_owned(), limit as f64);
            judged.push(Judged::new(name, Unit::Count, relation, limit, measured));
        }
    };
    let most = Relation::AtMost;
    let audited = |of: fn(&Audit) -> u64| evidence.audit.map(of);
    count(
        "oversold",
        most,
        business.oversold,
        audited(|it| it.oversold_seats),
    );
    let sold = audited(|it| it.seats_sold + it.seats_pending);
    count("sold", Relation::Exactly, business.sold, sold);
    let double = audited(|it| it.wrong_balances + it.ledger_without_paid);
    count("double_charges", most, business.double_charges, double);
    let violations = audited(Audit::violations).map(|it| it.max(evidence.worst_audit));
    count(
        "audit_violations",
        most,
        business.audit_violations,
        violations,
    );
    let lost = evidence.lookup.map(|lookup| lookup.missing);
    count("lost", most, business.lost, lost);
    if let Some(limit) = business.unacknowledged {
        let measured = evidence.unacknowledged.and_then(|it| it.measured(limit));
        count("unacknowledged", most, Some(limit), measured);
    }
    let includes_open_phase = evidence
        .only_phase
        .is_none_or(|only_phase| only_phase == PhaseName::Open);
    if includes_open_phase {
        let checked = (frame.order_checks > 0).then_some(frame.inversions);
        count("inversions", most, business.inversions, checked);
    }
    // An operator who stops a run expects unfinished users.
    if evidence.ending != Ending::Stopped {
        count(
            "unfinished",
            most,
            business.unfinished,
            Some(evidence.unfinished),
        );
    }
    // A dropped arrival fails the run even without a threshold, because the run sent fewer requests than its scenario
    // says.
    let dropped: u64 = frame.dropped.iter().sum();
    let limit = business.dropped.or((dropped > 0).then_some(0));
    count("dropped", most, limit, Some(dropped));
    if let (Some(limit), true) = (business.eta_error, includes_open_phase) {
        let measured = (!frame.eta_error.is_empty())
            .then(|| frame.eta_error.value_at_quantile(0.95) as f64 / 1e3);
        let (name, limit) = ("eta_error".to_owned(), limit.0.as_secs_f64() * 1e3);
        judged.push(Judged::new(name, Unit::Milliseconds, most, limit, measured));
    }
    judge_size(scenario, evidence, judged);
}

/// Judges what the run cost: the time of the registrations, and the memory of both sides.
fn judge_size(scenario: &Scenario, evidence: &Evidence<'_>, judged: &mut Vec<Judged>) {
    let business = &scenario.thresholds.business;
    let most = Relation::AtMost;
    let registers = evidence
        .only_phase
        .is_none_or(|only| only == PhaseName::Register);
    if let (Some(limit), true) = (business.register_time, registers) {
        let registered = evidence.frame.cell(BUYERS, Operation::Register, Class::Ok);
        let span = registered.and_then(|cell| cell.span);
        let measured = span.map(|span| span_seconds(span) * 1e3);
        let limit = limit.0.as_secs_f64() * 1e3;
        let name = "register_time".to_owned();
        judged.push(Judged::new(name, Unit::Milliseconds, most, limit, measured));
    }
    for (name, limit, measured) in [
        (
            "generator_memory",
            business.generator_memory,
            evidence.generator_memory,
        ),
        (
            "server_memory",
            business.server_memory,
            evidence.server_memory,
        ),
    ] {
        if let Some(limit) = limit {
            let measured = measured.map(|measured| measured as f64);
            let limit = limit.0 as f64;
            judged.push(Judged::new(
                name.to_owned(),
                Unit::Bytes,
                most,
                limit,
                measured,
            ));
        }
    }
}

/// Facts that limit the conclusions from a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MeasurementQuality<'a> {
    /// The ways in which the generator was the limit. The list is empty if there are none.
    pub limited: &'a [String],
    /// Whether an operator paused the run, slowed it down or cut a phase short.
    pub load_reduced: bool,
}

/// The judged thresholds, the verdict, and its reasons.
pub(super) struct Judgement {
    pub thresholds: Vec<Judged>,
    pub verdict: Verdict,
    pub reasons: Vec<String>,
}

/// Judges a run by its evidence. `windowed` are the limits that were judged during the run.
pub(super) fn judge(
    scenario: &Scenario,
    evidence: &Evidence<'_>,
    windowed: impl IntoIterator<Item = Judged>,
    quality: MeasurementQuality<'_>,
) -> Judgement {
    let thresholds = judge_thresholds(scenario, evidence, windowed);
    let (verdict, reasons) = verdict(&thresholds, evidence.ending, evidence.unfinished, quality);
    Judgement {
        thresholds,
        verdict,
        reasons,
    }
}

/// The verdict and its reasons.
fn verdict(
    judged: &[Judged],
    ending: Ending,
    unfinished: u64,
    quality: MeasurementQuality<'_>,
) -> (Verdict, Vec<String>) {
    let MeasurementQuality {
        limited,
        load_reduced,
    } = quality;
    let mut reasons: Vec<String> = Vec::new();
    if ending == Ending::ServerLost {
        reasons
            .push("the server was lost: requests failed and none was answered any more".to_owned());
    }
    if ending == Ending::Aborted {
        reasons
            .push("ended at once, as the scenario asks when that threshold is missed".to_owned());
    }
    let failing = |threshold: &&Judged| threshold.outcome != Outcome::Passed;
    for threshold in judged.iter().filter(failing) {
        reasons.push(match threshold.outcome {
            Outcome::NoData => format!("{}: no data", threshold.name),
            _ => format!("{} missed", threshold.name),
        });
    }
    // A slow generator explains slowness. A stop explains missing data.
    let is_excused = |threshold: &Judged| match threshold.outcome {
        Outcome::NoData => ending == Ending::Stopped,
        _ => threshold.is_about_speed() && !limited.is_empty(),
    };
    let excused = judged.iter().filter(failing).all(is_excused);
    let verdict = match (ending, excused) {
        (Ending::ServerLost | Ending::Aborted, _) | (_, false) => Verdict::Failed,
        (Ending::Stopped, true) => {
            reasons.push("stopped by hand before the end".to_owned());
            Verdict::Inconclusive
        }
        (Ending::TimeOver, true) => {
            reasons.push(format!(
                "the scenario's longest duration (limits.duration) was over before {unfinished} users had finished"
            ));
            Verdict::Inconclusive
        }
        (Ending::Complete, true) if load_reduced || !limited.is_empty() => Verdict::Inconclusive,
        (Ending::Complete, true) => Verdict::Passed,
    };
    reasons.extend(limited.iter().cloned());
    if load_reduced {
        let reason = "the load was reduced by hand: the run sent less than the scenario says";
        reasons.push(reason.to_owned());
    }
    (verdict, reasons)
}

#[cfg(test)]
mod tests;
