//! The verdict of a rehearsal: the word, each threshold, and the path of the summary.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::load::{Judged, Outcome, RunResult, Verdict};
use crate::tui::theme;
use crate::tui::theme::Severity;

/// The verdict in words, and its severity.
pub(crate) fn words(verdict: Verdict) -> (String, Severity) {
    match verdict {
        Verdict::Passed => ("passed".into(), Severity::Good),
        Verdict::Failed => ("thresholds missed".into(), Severity::Bad),
        Verdict::Inconclusive => ("inconclusive".into(), Severity::Warn),
    }
}

/// One threshold with its sign, wrapped.
pub(crate) fn threshold(
    threshold: &Judged,
    sign: &str,
    style: Style,
    width: usize,
) -> Vec<Line<'static>> {
    let text = format!("{}: {}", threshold.condition(), threshold.measured_text());
    let parts = cells::wrap(&text, width.saturating_sub(2)).into_iter();
    let line = |(index, part)| {
        let sign = if index == 0 { sign } else { " " };
        Line::from(vec![
            Span::styled(format!("{sign} "), style),
            Span::raw(part),
        ])
    };
    parts.enumerate().map(line).collect()
}

/// The verdict in lines of at most `width`. Missed thresholds come first, so that they are visible without scrolling.
pub(crate) fn lines(result: &RunResult, width: usize) -> Vec<Line<'static>> {
    let all = result.thresholds.len();
    let held = |one: &Judged| one.outcome == Outcome::Passed;
    let kept = result.thresholds.iter().filter(|one| held(one)).count();
    let (word, severity) = words(result.verdict);
    let head = format!(
        "{} {word}: {kept} of {all} thresholds held",
        severity.sign()
    );
    let head = cells::wrap(&head, width).into_iter();
    let mut lines: Vec<Line<'static>> = head
        .map(|part| Line::styled(part, severity.style()))
        .collect();
    if !result.reason.is_empty() {
        let reason = cells::wrap(&result.reason, width);
        lines.extend(reason.into_iter().map(Line::raw));
    }
    let mut thresholds: Vec<_> = result.thresholds.iter().collect();
    thresholds.sort_by_key(|threshold| held(threshold));
    for one in thresholds {
        let (sign, style) = if held(one) {
            ("✔", theme::good())
        } else {
            ("✖", theme::bad())
        };
        lines.extend(threshold(one, sign, style, width));
    }
    if let Some(files) = &result.files {
        let text = format!("summary: {} and .html", files.summary.display());
        let path = cells::wrap(&text, width);
        let path = path.into_iter();
        lines.extend(path.map(|line| Line::styled(line, theme::quiet())));
    }
    lines
}
