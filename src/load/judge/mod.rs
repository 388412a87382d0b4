//! Thresholds against what was measured, and the verdict that follows. No I/O.

use serde::Serialize;

use super::model::{Class, Operation, PhaseName};
use super::recorder::{Cell, Frame};
use super::scenario::{Group, Scenario, Time};
use crate::api::ops::{Audit, LookupAnswer};

/// How a threshold came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Kept.
    Passed,
    /// Not kept.
    Missed,
    /// Nothing was measured that it could be held against: as good as missed.
    NoData,
}

/// What a threshold is about, which decides its unit and its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Milliseconds, at most.
    Milliseconds,
    /// A share from 0 to 1, at most.
    Share,
    /// Per second, at least.
    PerSecond,
    /// A number of things, at most.
    Count,
}

/// One threshold, judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// Its path under `thresholds`, such as `buying.p95`.
    pub name: String,
    /// What the numbers count.
    pub unit: Unit,
    /// The limit.
    pub limit: f64,
    /// What was measured; absent without data.
    pub measured: Option<f64>,
    /// How it came out.
    pub outcome: Outcome,
}

impl Judged {
    fn new(name: String, unit: Unit, limit: f64, measured: Option<f64>) -> Judged {
        let kept = |measured: f64| match unit {
            Unit::PerSecond => measured >= limit,
            _ => measured <= limit,
        };
        let outcome = match measured.map(kept) {
            None => Outcome::NoData,
            Some(true) => Outcome::Passed,
            Some(false) => Outcome::Missed,
        };
        Judged {
            name,
            unit,
            limit,
            measured,
            outcome,
        }
    }

    /// Whether a slow generator alone could explain it.
    fn is_about_speed(&self) -> bool {
        self.outcome == Outcome::Missed && matches!(self.unit, Unit::Milliseconds | Unit::PerSecond)
    }
}

/// How the run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Everyone came to the end of the journey.
    Complete,
    /// Stopped by hand.
    Stopped,
    /// The scenario's longest duration was over.
    TimeOver,
    /// Requests failed and none was answered for the scenario's longest silence.
    ServerLost,
}

/// The whole run in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every threshold was kept.
    Passed,
    /// At least one was not, or had nothing to be held against.
    Failed,
    /// The run cannot say: the generator was the limit, or it was cut short.
    Inconclusive,
}

impl Verdict {
    /// What the process exits with.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Verdict::Passed => 0,
            Verdict::Failed => 99,
            Verdict::Inconclusive => 3,
        }
    }

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Inconclusive => "inconclusive",
        }
    }
}

/// What there is to judge by.
pub(super) struct Evidence<'a> {
    pub frame: &'a Frame,
    pub only: Option<PhaseName>,
    pub audit: Option<&'a Audit>,
    pub lookup: Option<&'a LookupAnswer>,
    pub unfinished: u64,
    pub ending: Ending,
}

/// Holds every threshold of the scenario against the evidence.
pub(super) fn thresholds(scenario: &Scenario, evidence: &Evidence<'_>) -> Vec<Judged> {
    let mut judged = Vec::new();
    for (name, group) in &scenario.thresholds.groups {
        let ran =
            |operation: &Operation| evidence.only.is_none_or(|only| operation.phase() == only);
        let operations: Vec<Operation> = group.resolve(name).unwrap_or_default();
        let operations: Vec<Operation> = operations.into_iter().filter(ran).collect();
        // Of a phase that was not asked for there is nothing to say.
        if !operations.is_empty() {
            judge_group(name, group, &operations, evidence.frame, &mut judged);
        }
    }
    judge_business(scenario, evidence, &mut judged);
    judged
}

fn judge_group(
    name: &str,
    group: &Group,
    operations: &[Operation],
    frame: &Frame,
    judged: &mut Vec<Judged>,
) {
    let ok = frame.total(operations, group.phase, Class::Ok);
    let mut time = |metric: &str, limit: Option<Time>, measure: &dyn Fn(&Cell) -> f64| {
        if let Some(limit) = limit {
            let measured = ok
                .as_ref()
                .filter(|cell| !cell.latency.is_empty())
                .map(|cell| measure(cell) / 1e3);
            let limit = limit.0.as_secs_f64() * 1e3;
            judged.push(Judged::new(
                format!("{name}.{metric}"),
                Unit::Milliseconds,
                limit,
                measured,
            ));
        }
    };
    let at = |quantile: f64| move |cell: &Cell| cell.latency.value_at_quantile(quantile) as f64;
    time("avg", group.avg, &|cell| cell.latency.mean());
    time("p50", group.p50, &at(0.5));
    time("p95", group.p95, &at(0.95));
    time("p99", group.p99, &at(0.99));
    time("max", group.max, &at(1.0));
    if let Some(limit) = group.error_rate {
        let count = |class| frame.count(operations, group.phase, class) as f64;
        let (errors, all) = (
            count(Class::Error),
            count(Class::Ok) + count(Class::Refused) + count(Class::Error),
        );
        let measured = (all > 0.0).then(|| errors / all);
        judged.push(Judged::new(
            format!("{name}.error_rate"),
            Unit::Share,
            limit,
            measured,
        ));
    }
    if let Some(limit) = group.rate {
        judged.push(Judged::new(
            format!("{name}.rate"),
            Unit::PerSecond,
            limit,
            ok.as_ref().and_then(rate),
        ));
    }
}

/// Requests per second from the first to the last; over less than a second, per second all the same.
pub(super) fn rate(cell: &Cell) -> Option<f64> {
    let (first, last) = cell.span?;
    Some(cell.latency.len() as f64 / last.duration_since(first).as_secs_f64().max(1.0))
}

fn judge_business(scenario: &Scenario, evidence: &Evidence<'_>, judged: &mut Vec<Judged>) {
    let business = &scenario.thresholds.business;
    let frame = evidence.frame;
    let mut count = |name: &str, limit: Option<u64>, measured: Option<u64>| {
        if let Some(limit) = limit {
            let measured = measured.map(|measured| measured as f64);
            judged.push(Judged::new(
                name.to_owned(),
                Unit::Count,
                limit as f64,
                measured,
            ));
        }
    };
    count(
        "oversold",
        business.oversold,
        evidence.audit.map(|audit| audit.oversold_seats),
    );
    count(
        "audit_violations",
        business.audit_violations,
        evidence.audit.map(Audit::violations),
    );
    count(
        "lost",
        business.lost,
        evidence.lookup.map(|lookup| lookup.missing),
    );
    let polled = evidence.only.is_none_or(|only| only == PhaseName::Open);
    if polled {
        count(
            "inversions",
            business.inversions,
            (frame.order_checks > 0).then_some(frame.inversions),
        );
    }
    // Who stops a run by hand knows that users are under way.
    if evidence.ending != Ending::Stopped {
        count("unfinished", business.unfinished, Some(evidence.unfinished));
    }
    if let (Some(limit), true) = (business.eta_error, polled) {
        let measured = (!frame.eta_error.is_empty())
            .then(|| frame.eta_error.value_at_quantile(0.95) as f64 / 1e3);
        let limit = limit.0.as_secs_f64() * 1e3;
        judged.push(Judged::new(
            "eta_error".to_owned(),
            Unit::Milliseconds,
            limit,
            measured,
        ));
    }
}

/// The verdict and why. `limited` says in what the generator was the limit, if it was.
pub(super) fn verdict(
    judged: &[Judged],
    ending: Ending,
    unfinished: u64,
    limited: &[String],
) -> (Verdict, Vec<String>) {
    let mut reasons: Vec<String> = Vec::new();
    if ending == Ending::ServerLost {
        reasons
            .push("the server was lost: requests failed and none was answered any more".to_owned());
    }
    let failing = |threshold: &&Judged| threshold.outcome != Outcome::Passed;
    for threshold in judged.iter().filter(failing) {
        reasons.push(match threshold.outcome {
            Outcome::NoData => format!("{}: no data", threshold.name),
            _ => format!("{} missed", threshold.name),
        });
    }
    // A slow generator explains slowness; who stops a run takes the data away.
    let is_excused = |threshold: &Judged| match threshold.outcome {
        Outcome::NoData => ending == Ending::Stopped,
        _ => threshold.is_about_speed() && !limited.is_empty(),
    };
    let excused = judged.iter().filter(failing).all(is_excused);
    let verdict = match (ending, excused) {
        (Ending::ServerLost, _) | (_, false) => Verdict::Failed,
        (Ending::Stopped, true) => {
            reasons.push("stopped by hand before the end".to_owned());
            Verdict::Inconclusive
        }
        (Ending::TimeOver, true) => {
            reasons.push(format!(
                "the scenario's longest duration was over with {unfinished} users under way"
            ));
            Verdict::Inconclusive
        }
        (Ending::Complete, true) if !limited.is_empty() => Verdict::Inconclusive,
        (Ending::Complete, true) => Verdict::Passed,
    };
    reasons.extend(limited.iter().cloned());
    (verdict, reasons)
}

#[cfg(test)]
mod tests;
