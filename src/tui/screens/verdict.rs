//! How a rehearsal was judged: the word, threshold by threshold, where the summary is.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::tui::format;
use crate::tui::load_port::{Outcome, Threshold, Verdict};
use crate::tui::logs::one_line;
use crate::tui::theme::{self, Severity};
use crate::tui::widgets::broken;

/// The verdict in words, and how bad it is.
pub(super) fn words(verdict: Verdict) -> (String, Severity) {
    match verdict {
        Verdict::Passed => ("passed".into(), Severity::Good),
        Verdict::Missed => ("thresholds missed".into(), Severity::Bad),
        Verdict::Inconclusive => ("inconclusive".into(), Severity::Warn),
    }
}

/// One threshold with its sign.
pub(super) fn line(threshold: &Threshold, sign: &str, style: Style, width: usize) -> Line<'static> {
    let text = format!(
        "{}: {}",
        one_line(&threshold.asked),
        one_line(&threshold.measured)
    );
    Line::from(vec![
        Span::styled(format!("{sign} "), style),
        Span::raw(format::fit(&text, width.saturating_sub(2))),
    ])
}

/// The verdict in lines of at most `width`: what was missed first, so that it is never out of sight.
pub(super) fn lines(outcome: &Outcome, width: usize) -> Vec<Line<'static>> {
    let all = outcome.thresholds.len();
    let held = outcome.thresholds.iter().filter(|one| one.held).count();
    let (word, severity) = words(outcome.verdict);
    let head = format!(
        "{} {word}: {held} of {all} thresholds held",
        severity.sign()
    );
    let mut lines = vec![Line::styled(format::fit(&head, width), severity.style())];
    if !outcome.reason.is_empty() {
        let reason = broken(&outcome.reason, width);
        lines.extend(reason.into_iter().take(3).map(Line::raw));
    }
    let mut thresholds: Vec<_> = outcome.thresholds.iter().collect();
    thresholds.sort_by_key(|threshold| threshold.held);
    for threshold in thresholds {
        let (sign, style) = if threshold.held {
            ("✔", theme::good())
        } else {
            ("✖", theme::bad())
        };
        lines.push(line(threshold, sign, style, width));
    }
    if let Some(path) = &outcome.summary {
        let page = if outcome.report.is_some() {
            " and .html"
        } else {
            ""
        };
        let path = broken(&format!("summary: {}{page}", path.display()), width);
        let path = path.into_iter();
        lines.extend(path.map(|line| Line::styled(line, theme::quiet())));
    }
    lines
}
