//! How a rehearsal was judged: the word, threshold by threshold, where the summary is.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::tui::format;
use crate::tui::load_port::{Outcome, Verdict};
use crate::tui::logs::one_line;
use crate::tui::theme::{self, Severity};

/// The verdict in words, and how bad it is.
pub(super) fn words(verdict: Verdict) -> (String, Severity) {
    match verdict {
        Verdict::Passed => ("passed".into(), Severity::Good),
        Verdict::Missed => ("thresholds missed".into(), Severity::Bad),
        Verdict::Inconclusive => ("inconclusive".into(), Severity::Warn),
    }
}

pub(super) fn draw(outcome: &Outcome, buffer: &mut Buffer, area: Rect) {
    let width = usize::from(area.width);
    let held = outcome
        .thresholds
        .iter()
        .filter(|threshold| threshold.held)
        .count();
    let (word, severity) = words(outcome.verdict);
    let mut head = format!(
        "{} {word}: {held} of {} thresholds held",
        severity.sign(),
        outcome.thresholds.len()
    );
    if !outcome.reason.is_empty() {
        head = format!("{head}; {}", one_line(&outcome.reason));
    }
    let mut lines = vec![Line::styled(format::fit(&head, width), severity.style())];
    let mut thresholds: Vec<_> = outcome.thresholds.iter().collect();
    // What was missed must not be the part that is cut off.
    thresholds.sort_by_key(|threshold| threshold.held);
    for threshold in thresholds {
        let (sign, style) = if threshold.held {
            ("✔", theme::good())
        } else {
            ("✖", theme::bad())
        };
        let text = format!(
            "{}: {}",
            one_line(&threshold.asked),
            one_line(&threshold.measured)
        );
        lines.push(Line::from(vec![
            Span::styled(format!("{sign} "), style),
            Span::raw(format::fit(&text, width.saturating_sub(2))),
        ]));
    }
    let path = outcome
        .summary
        .as_ref()
        .map(|path| format!("summary: {}", path.display()));
    let room = usize::from(area.height).saturating_sub(usize::from(path.is_some()));
    lines.truncate(room);
    if let Some(path) = path {
        lines.push(Line::styled(
            format::fit(&one_line(&path), width),
            theme::quiet(),
        ));
    }
    for (y, line) in (area.y..area.bottom()).zip(&lines) {
        buffer.set_line(area.x, y, line, area.width);
    }
}
