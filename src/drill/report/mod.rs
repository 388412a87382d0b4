//! The after-action report: one document, as text, HTML, Markdown and JSON. The JSON holds everything that the other
//! forms show.

pub mod baseline;
mod content;
mod document;
mod format;
mod html;
mod improve;
mod markdown;
pub mod matrix;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

pub use self::content::{Improvement, Report};
pub use self::document::{Document, SCHEMA};
use self::format::{budget, figure, noticed, response, sign};
pub use self::html::html;
pub use self::markdown::markdown;
use super::record::StopChecks;
use super::verdict::{Outcome, Verdict};

/// The JSON Schema (draft 2020-12) of a document.
#[must_use]
pub fn json_schema() -> String {
    let mut schema = schemars::schema_for!(Document);
    let title = "The after-action report of concertctl drill";
    schema.insert("title".to_owned(), title.into());
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

impl Report {
    /// Adds the parts that follow from the other fields: the sentence, and the improvements.
    #[must_use]
    pub(super) fn concluded(mut self) -> Report {
        self.sentence = sentence(&self);
        self.improvements = improve::improvements(&self);
        self
    }
}

/// The verdict of a drill in one sentence.
fn sentence(report: &Report) -> String {
    let all = report.expectations.len();
    let of = |outcome| {
        let found = report.expectations.iter();
        found.filter(|it| it.outcome == outcome).count()
    };
    match &report.verdict {
        Verdict::Passed if all == 0 => "Passed: nothing was broken, and no alert fired.".to_owned(),
        Verdict::Passed => format!(
            "Passed: {} within the budget, and no alert was false.",
            counted(all, "expectation was met", "expectations were met")
        ),
        Verdict::Inconclusive(reasons) => {
            let reason = reasons.first().map_or("", String::as_str);
            format!("Inconclusive, it says nothing about the response: {reason}.")
        }
        Verdict::Failed(reasons) => {
            let above = report.expectations.iter();
            let above = above.filter(|it| it.above_prediction).count();
            let counts = [
                (of(Outcome::Missed), "did not happen"),
                (of(Outcome::Late), "came late"),
                (of(Outcome::NotExercised), "could not be exercised"),
                (above, "came after the worst case"),
            ];
            let counts = counts.into_iter().filter(|(count, _)| *count > 0);
            let mut parts: Vec<String> = counts
                .map(|(count, what)| format!("{count} {what}"))
                .collect();
            if let Some(first) = parts.first_mut() {
                let expectations = counted(all, "expectation", "expectations");
                first.insert_str(0, &format!("of {expectations}, "));
            }
            if !report.false_alarms.is_empty() {
                let count = report.false_alarms.len();
                parts.push(counted(count, "alert was false", "alerts were false"));
            }
            match (parts.is_empty(), reasons.first()) {
                (true, Some(reason)) => format!("Failed: {reason}."),
                _ => format!("Failed: {}.", parts.join(", ")),
            }
        }
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The report of one drill, for a terminal.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    for expectation in &report.expectations {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {} {:<36} {:>8}   budget {:>8}   worst case {:>8}",
            sign(expectation.outcome),
            expectation.what,
            figure(expectation.measured),
            budget(expectation.budget),
            figure(expectation.predicted),
        );
    }
    if let Some(noticed) = noticed(report) {
        let _ = writeln!(text, "  noticed  {}", noticed.words());
    }
    for (name, value) in response(report) {
        let _ = writeln!(text, "  {name:<24} {value}");
    }
    if let Some(checks) = report.stop_checks.filter(StopChecks::have_gaps) {
        let _ = writeln!(text, "  stop conditions: {checks}");
    }
    let _ = writeln!(text, "  verdict  {}", report.verdict.word());
    if let Verdict::Failed(reasons) | Verdict::Inconclusive(reasons) = &report.verdict {
        for reason in reasons {
            let _ = writeln!(text, "           {reason}");
        }
    }
    text
}
