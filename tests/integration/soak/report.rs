//! The line for each step, and the table at the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::fault::Kind;
use super::invariants::Findings;
use super::traffic::Shared;

/// The figures of a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub steps: u32,
    pub requests: u64,
    pub acknowledged: usize,
    no_answer: u64,
    server_errors: u64,
    /// For each kind: how many faults were injected, and how many the service survived.
    faults: BTreeMap<Kind, (u32, u32)>,
    findings: Findings,
}

impl Tally {
    pub(super) fn add(&mut self, kinds: &[Kind], survived: bool) {
        self.steps += 1;
        for kind in kinds {
            let (met, over) = self.faults.entry(*kind).or_default();
            *met += 1;
            *over += u32::from(survived);
        }
    }

    pub(super) fn read(&mut self, shared: &Shared, findings: &Findings) {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &shared.client.counts;
        self.requests = of(&counts.requests);
        self.no_answer = of(&counts.no_answer);
        self.server_errors = of(&counts.server_errors);
        self.acknowledged = shared.facts.lock().acknowledged();
        self.findings = findings.clone();
    }

    pub(super) fn line(&self, faults: &str, recovered: Duration, violations: usize) -> String {
        let verdict = match violations {
            0 => "ok".to_owned(),
            count => format!("{count} VIOLATIONS"),
        };
        format!(
            "step {:>4}  {faults:<52} recovered {:>5.1} s  requests {:>8}  acknowledged {:>7}  {verdict}",
            self.steps,
            recovered.as_secs_f64(),
            self.requests,
            self.acknowledged,
        )
    }

    pub(super) fn table(&self, violations: usize) -> String {
        let found = &self.findings;
        let mut table = String::new();
        let mut row = |name: &str, value: String| {
            writeln!(table, "  {name:<34} {value:>12}").expect("a string takes any text");
        };
        row("steps", self.steps.to_string());
        row("requests", self.requests.to_string());
        row("  answered with 5xx", self.server_errors.to_string());
        row("  not answered", self.no_answer.to_string());
        for (kind, (met, survived)) in &self.faults {
            row(
                &format!("survived: {}", kind.name()),
                format!("{survived} of {met}"),
            );
        }
        row("acknowledged writes", self.acknowledged.to_string());
        row("lost", found.lost.len().to_string());
        row("oversold", found.oversold.len().to_string());
        row("duplicates", found.duplicates.len().to_string());
        row(
            "other violations",
            (violations - found.violations().count().min(violations) + found.wrong.len())
                .to_string(),
        );
        row("writes with an unknown outcome", found.unknown.to_string());
        row(
            "unacknowledged: done, no answer",
            found.unacknowledged.no_answer.to_string(),
        );
        row(
            "unacknowledged: done, 5xx",
            found.unacknowledged.server_error.to_string(),
        );
        table
    }

    /// The number of kinds of faults that were injected.
    pub fn kinds(&self) -> usize {
        self.faults.len()
    }
}
