//! Words and numbers that all forms of the report share.

use super::content::Report;
use crate::drill::record::MarkKind;
use crate::drill::verdict::{Expectation, Outcome, Verdict};
use crate::load::plan::number;
use crate::load::report::format::trimmed;

/// The text for a value that was not measured.
pub(super) const NONE: &str = "–";

/// Measured or predicted seconds, to a tenth.
pub(super) fn figure(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| NONE.to_owned(), |seconds| format!("{seconds:.1} s"))
}

/// Seconds of a budget, as the drill file writes them.
pub(super) fn budget(seconds: f64) -> String {
    format!("{} s", trimmed(seconds))
}

/// The cells of an expectation: its text, outcome with `note`, measured value, budget, worst case, rule.
pub(super) fn expectation(it: &Expectation, note: &str) -> [String; 6] {
    [
        it.what.clone(),
        format!("{} {}{note}", sign(it.outcome), outcome(it.outcome)),
        figure(it.measured),
        budget(it.budget),
        figure(it.predicted),
        it.rule.clone().unwrap_or_else(|| NONE.to_owned()),
    ]
}

/// A count with separators.
pub(super) fn count(of: u64) -> String {
    number(of as f64)
}

/// The share of the error budget that was used up.
pub(super) fn burnt(share: Option<f64>) -> String {
    share.map_or_else(
        || NONE.to_owned(),
        |share| format!("{} %", number((share * 100.0).round())),
    )
}

/// The error budget in words.
pub(super) fn error_budget(report: &Report) -> String {
    format!(
        "of {} failures that {} % of this run's buying requests allow",
        trimmed(report.harm.error_budget),
        trimmed(report.basis.error_rate * 100.0)
    )
}

/// A sign for the outcome, for colour-blind readers and for terminals.
pub(super) const fn sign(outcome: Outcome) -> char {
    match outcome {
        Outcome::Met => '✓',
        Outcome::Late | Outcome::Missed => '✗',
        Outcome::NotExercised => '·',
    }
}

/// The outcome in words.
pub(super) const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Met => "met",
        Outcome::Late => "late",
        Outcome::Missed => "missed",
        Outcome::NotExercised => "not exercised",
    }
}

/// The reasons why the verdict is not `passed`.
pub(super) fn reasons(verdict: &Verdict) -> &[String] {
    match verdict {
        Verdict::Passed => &[],
        Verdict::Failed(reasons) | Verdict::Inconclusive(reasons) => reasons,
    }
}

/// The detection: the times until the first expected alert fired.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Noticed {
    /// Seconds from the beginning of the fault.
    pub(super) since_fault: f64,
    /// Seconds from the first symptom of the fault, below 0 if the alert fired before it. `None`: there was no symptom.
    since_symptom: Option<f64>,
}

impl Noticed {
    /// The time from the first symptom in words.
    pub(super) fn beside_the_symptom(self) -> String {
        match self.since_symptom {
            None => "users noticed nothing".to_owned(),
            Some(since @ 0.0..) => format!("{} after the first symptom", figure(Some(since))),
            Some(since) => format!("{} before the first symptom", figure(Some(-since))),
        }
    }

    /// Both times in words.
    pub(super) fn words(self) -> String {
        let (fault, symptom) = (figure(Some(self.since_fault)), self.beside_the_symptom());
        format!("{fault} after the fault began, {symptom}")
    }
}

/// The first detection of a fault by an expected alert. `None`: none fired.
pub(super) fn noticed(report: &Report) -> Option<Noticed> {
    let fires = report.expectations.iter().filter(|it| it.is_firing());
    let fired = fires.filter_map(|it| Some((it.inject, it.measured?)));
    let (inject, since_fault) = fired.min_by(|one, other| one.1.total_cmp(&other.1))?;
    let fault = report.faults.get(inject);
    let symptom = fault.and_then(|fault| first_symptom(report, inject, fault.0));
    Some(Noticed {
        since_fault,
        since_symptom: fault
            .zip(symptom)
            .map(|(fault, symptom)| fault.0 + since_fault - symptom),
    })
}

/// The first symptom of a fault that began at `began`: it is before the next fault.
fn first_symptom(report: &Report, inject: usize, began: f64) -> Option<f64> {
    let until = report
        .faults
        .get(inject + 1)
        .map_or(f64::INFINITY, |next| next.0);
    let symptoms = report
        .marks
        .iter()
        .filter(|it| it.kind == MarkKind::Symptom);
    let mut of_fault = symptoms
        .map(|it| it.at)
        .filter(|at| (began..until).contains(at));
    of_fault.next()
}

/// Names and texts of the response of a blind drill's player; empty in other drills.
pub(super) fn response(report: &Report) -> Vec<(&'static str, String)> {
    let Some(response) = &report.blind else {
        return Vec::new();
    };
    let right = |is_right: bool, what: &str| match is_right {
        true => format!("right: {what}"),
        false => format!("not named: it was {what}"),
    };
    let cause = &response.cause;
    vec![
        ("Acknowledged after", figure(response.acknowledged)),
        ("Localised after", figure(response.localised)),
        ("Mitigated after", figure(response.mitigated)),
        (
            "Component",
            right(response.component_is_right, &cause.component),
        ),
        (
            "Mechanism",
            right(response.mechanism_is_right, &cause.mechanism),
        ),
        ("Wrong answers", count(response.wrong_answers)),
        ("Wrong mitigations", count(response.wrong_mitigations)),
        ("Plan", response.plan.clone()),
        ("Salt", response.salt.clone()),
        ("SHA-256 of salt and plan", response.sha256.clone()),
    ]
}

/// Names and texts of the facts that are needed to run the drill again.
pub(super) fn basis(report: &Report) -> Vec<(String, String)> {
    let basis = &report.basis;
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let mut facts = vec![
        fact("Drill", report.drill.clone()),
        fact("Seed", report.seed.to_string()),
        fact(
            "Program and server",
            format!("concertctl {}", basis.version),
        ),
        fact("Traffic", basis.load.clone()),
        fact(
            "Objective",
            format!(
                "95 % of the buying requests within {} ms, at most {} % of them fail",
                trimmed(basis.p95_ms),
                trimmed(basis.error_rate * 100.0)
            ),
        ),
    ];
    if let Some(checks) = &report.stop_checks {
        facts.push(fact("Stop conditions", checks.to_string()));
    }
    facts.extend(
        basis
            .faults
            .iter()
            .map(|fault| fact("Fault", fault.clone())),
    );
    let rules = basis.rules.iter();
    facts.extend(rules.map(|it| fact("Rules", format!("{}, SHA-256 {}", it.file, it.sha256))));
    facts
}
