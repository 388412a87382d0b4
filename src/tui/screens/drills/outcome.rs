//! The outcome of a drill: the verdict with its reasons, each expectation beside its budget, and the path of the
//! report.

use std::path::Path;

use ratatui::text::{Line, Span};

use crate::cells;
use crate::drill::blind::grading::Response;
use crate::drill::report::Report;
use crate::drill::verdict::{Expectation, Outcome, Verdict};
use crate::tui::format::one_line;
use crate::tui::screens::drills::lines::{bar, wrap};
use crate::tui::theme;
use crate::tui::theme::Severity;

/// The columns for the measured time and its budget.
const FIGURES: usize = 16;

pub(crate) fn lines(report: &Report, kept: Option<&Path>, width: usize) -> Vec<Line<'static>> {
    let verdict = severity(&report.verdict);
    let met = |it: &&Expectation| it.outcome == Outcome::Met;
    let all = &report.expectations;
    let counted = match all.len() {
        0 => String::new(),
        all_of => format!(": {} of {all_of} in time", all.iter().filter(met).count()),
    };
    let head = format!("{} {}{counted}", verdict.sign(), report.verdict.word());
    let mut lines = vec![Line::styled(head, verdict.style())];
    if let Verdict::Failed(reasons) | Verdict::Inconclusive(reasons) = &report.verdict {
        let reasons = reasons.iter();
        lines.extend(reasons.flat_map(|reason| wrap(reason, width, theme::text())));
    }
    if let Some(response) = &report.blind {
        lines.extend(played(response, width));
    }
    lines.extend(report.expectations.iter().map(|it| expectation(it, width)));
    if !report.allowed.is_empty() {
        let others = report.fired.keys().filter(|name| {
            let expected = all.iter().any(|it| it.alert.as_ref() == Some(name));
            report.allowed.contains(name) && !expected
        });
        let others: Vec<&str> = others.map(String::as_str).collect();
        if !others.is_empty() {
            let text = format!("also fired, as it may: {}", others.join(", "));
            lines.extend(wrap(&text, width, theme::quiet()));
        }
    }
    if let Some(path) = kept {
        let text = format!("report: {}", path.display());
        lines.extend(wrap(&text, width, theme::quiet()));
    }
    lines
}

/// The response of a blind drill's player. The hash of salt and plan was printed before the drill, and the report file
/// holds both.
fn played(response: &Response, width: usize) -> Vec<Line<'static>> {
    let after =
        |moment: Option<f64>| moment.map_or("–".to_owned(), |seconds| format!("{seconds:.1} s"));
    let (acknowledged, localised) = (after(response.acknowledged), after(response.localised));
    let mitigated = after(response.mitigated);
    let (component, mechanism) = (&response.cause.component, &response.cause.mechanism);
    let (answers, mitigations) = (response.wrong_answers, response.wrong_mitigations);
    let texts = [
        format!("the cause: {component}, {mechanism}"),
        format!(
            "acknowledged after {acknowledged}, localised after {localised}, mitigated after {mitigated}"
        ),
        format!("wrong answers: {answers}, wrong mitigations: {mitigations}"),
        format!("SHA-256 of salt and plan: {}", response.sha256),
    ];
    let texts = texts.iter();
    texts
        .flat_map(|text| wrap(text, width, theme::text()))
        .collect()
}

fn expectation(it: &Expectation, width: usize) -> Line<'static> {
    let (sign, style) = match it.outcome {
        Outcome::Met => ("✔", theme::good()),
        Outcome::Late | Outcome::Missed => ("✖", theme::bad()),
        Outcome::NotExercised => ("·", theme::quiet()),
    };
    let name = 26.min(width / 2);
    let room = width.saturating_sub(2 + name + 1 + FIGURES).min(30);
    let measured = it
        .measured
        .map_or("–".to_owned(), |measured| format!("{measured:.1}"));
    let mut spans = vec![
        Span::styled(format!("{sign} "), style),
        Span::raw(format!("{} ", cells::column(&one_line(&it.what), name))),
    ];
    let share = it.measured.unwrap_or_default() / it.budget.max(0.001);
    spans.extend(bar(share, room, style));
    spans.push(Span::raw(format!(" {measured:>6} of {:>3.0} s", it.budget)));
    Line::from(spans)
}

pub(crate) const fn severity(verdict: &Verdict) -> Severity {
    match verdict {
        Verdict::Passed => Severity::Good,
        Verdict::Failed(_) => Severity::Bad,
        Verdict::Inconclusive(_) => Severity::Warn,
    }
}
