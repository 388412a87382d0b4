//! The report as Markdown, for a ticket or a wiki.

use std::fmt::Write as _;

use super::baseline::Comparison;
use super::content::Report;
use super::document::Document;
use super::format::{
    NONE, Noticed, basis, budget, burnt, count, error_budget, expectation, figure, noticed,
    reasons, response,
};
use super::html::value;
use super::matrix::result;
use crate::load::report::format::instant;

/// Writes a line to a `String`, which cannot fail.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {
        let _ = writeln!($out, $($text)*);
    };
}

/// The whole report.
#[must_use]
pub fn markdown(document: &Document) -> String {
    let mut out = String::new();
    let several = document.drills.len() != 1 || !document.skipped.is_empty();
    if several {
        line!(out, "# {}\n", esc(&document.sentence));
        matrix(&mut out, document);
    }
    for report in &document.drills {
        drill(&mut out, report, if several { "##" } else { "#" });
    }
    if let Some(baseline) = &document.baseline {
        comparison(&mut out, baseline);
    }
    out
}

/// Escapes text, on one line, so that both Markdown and the HTML that is made of it show it as text.
fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\n' | '\t' | '\r' => out.push(' '),
            c if c.is_control() => out.push('\u{fffd}'),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '!' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

fn row(out: &mut String, cells: &[String]) {
    let cells: Vec<String> = cells.iter().map(|cell| esc(cell)).collect();
    line!(out, "| {} |", cells.join(" | "));
}

fn head(out: &mut String, names: &[&str]) {
    line!(out, "| {} |", names.join(" | "));
    line!(out, "|{}", " --- |".repeat(names.len()));
}

fn drill(out: &mut String, report: &Report, level: &str) {
    line!(
        out,
        "{level} {}: {}\n",
        esc(&report.drill),
        report.verdict.word()
    );
    line!(out, "{}. {}\n", esc(&report.title), esc(&report.sentence));
    line!(
        out,
        "{}, seed {}.\n",
        esc(&instant(&report.started_at)),
        report.seed
    );
    for reason in reasons(&report.verdict) {
        line!(out, "- {}", esc(reason));
    }
    line!(out, "\n{level}# Expectations\n");
    head(
        out,
        &[
            "expected",
            "outcome",
            "measured",
            "budget",
            "predicted worst case",
            "rule",
        ],
    );
    for it in &report.expectations {
        let above = if it.above_prediction {
            ", above the prediction"
        } else {
            ""
        };
        row(out, &expectation(it, above));
    }
    let response = response(report);
    if !response.is_empty() {
        line!(out, "\n{level}# The player's response\n");
    }
    for (name, value) in response {
        line!(out, "- {name}: {}", esc(&value));
    }
    harm(out, report, level);
    clock(out, report, level);
    alerts(out, report, level);
    line!(out, "\n{level}# What to improve\n");
    for it in &report.improvements {
        line!(out, "- {}", esc(&it.advice));
    }
    if report.improvements.is_empty() {
        line!(
            out,
            "Nothing: every expectation was met, and no alert was false."
        );
    }
    line!(out, "\n{level}# To repeat it\n");
    for (name, value) in basis(report) {
        line!(out, "- {}: {}", esc(&name), esc(&value));
    }
    out.push('\n');
}

fn harm(out: &mut String, report: &Report, level: &str) {
    let harm = &report.harm;
    line!(out, "\n{level}# Customer harm\n");
    let noticed = noticed(report).map_or_else(|| NONE.to_owned(), Noticed::words);
    line!(out, "- noticed: {noticed}");
    line!(
        out,
        "- {} s outside of the objective",
        count(harm.seconds_outside)
    );
    let (failed, requests) = (count(harm.failed), count(harm.requests));
    line!(out, "- {failed} failed requests of {requests}");
    line!(out, "- {} people affected", count(harm.people));
    line!(
        out,
        "- {} of the error budget burnt, {}",
        burnt(harm.budget_burnt),
        error_budget(report)
    );
    line!(out, "- false alarms: {}", report.false_alarms.len());
}

fn clock(out: &mut String, report: &Report, level: &str) {
    line!(out, "\n{level}# On one clock\n");
    head(out, &["when", "what"]);
    for mark in &report.marks {
        let what = format!("{} {}", mark.subject, mark.kind.words());
        row(out, &[figure(Some(mark.at)), what]);
    }
}

fn alerts(out: &mut String, report: &Report, level: &str) {
    line!(out, "\n{level}# Alerts\n");
    head(
        out,
        &[
            "alert",
            "result",
            "pending",
            "firing",
            "shown",
            "notified",
            "resolved",
            "end notified",
        ],
    );
    for (name, spells) in &report.alerts {
        for spell in spells {
            let mut cells = vec![name.clone(), result(report, name, spell).to_owned()];
            let times = [
                spell.pending,
                spell.firing,
                spell.shown,
                spell.notified,
                spell.resolved,
                spell.end_notified,
            ];
            cells.extend(times.map(figure));
            row(out, &cells);
        }
    }
}

fn matrix(out: &mut String, document: &Document) {
    let names = document.drills.iter().map(|it| &it.drill);
    let names = names.chain(document.skipped.iter().map(|it| &it.drill));
    let names: Vec<String> = names.map(|name| esc(name)).collect();
    let mut columns = vec!["alert", "recall", "precision"];
    columns.extend(names.iter().map(String::as_str));
    head(out, &columns);
    for it in &document.matrix.rows {
        let mut cells = vec![it.alert.clone(), it.score.recall(), it.score.precision()];
        cells.extend(it.cells.iter().map(|cell| cell.sign().to_owned()));
        row(out, &cells);
    }
    let all = document.matrix.all;
    row(
        out,
        &["all alerts".to_owned(), all.recall(), all.precision()],
    );
    out.push('\n');
    for it in &document.skipped {
        line!(
            out,
            "- not exercised: {}: {}",
            esc(&it.drill),
            esc(&it.reason)
        );
    }
    if !document.skipped.is_empty() {
        out.push('\n');
    }
}

fn comparison(out: &mut String, baseline: &Comparison) {
    line!(out, "# Beside the earlier run\n");
    let begun = esc(&instant(&baseline.started_at));
    line!(
        out,
        "The earlier run began {begun}, version {}.\n",
        esc(&baseline.version)
    );
    for what in &baseline.differs {
        line!(out, "- not the same in both: {}", esc(what));
    }
    for it in baseline.became_late() {
        line!(
            out,
            "- {}: {} kept its budget before and does not now",
            esc(&it.drill),
            esc(&it.what)
        );
    }
    out.push('\n');
    head(
        out,
        &["drill", "figure", "change", "before", "now", "budget"],
    );
    for it in &baseline.figures {
        row(
            out,
            &[
                it.drill.clone(),
                it.what.clone(),
                it.change.words().to_owned(),
                value(it, it.before),
                value(it, it.now),
                it.budget.map_or_else(|| NONE.to_owned(), budget),
            ],
        );
    }
}
