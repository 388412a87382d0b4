//! The thresholds of a rehearsal under way: each with its value so far and whether it holds now.

use ratatui::text::Line;

use crate::cells;
use crate::load::{Judged, Outcome, Progress};
use crate::tui::screens::load::verdict::threshold;
use crate::tui::theme;

/// The missed thresholds, for the top of the screen; and those that hold or are not measured yet, for below the table.
pub(crate) fn lines(progress: &Progress, width: usize) -> (Vec<Line<'static>>, Vec<Line<'static>>) {
    let all = &progress.thresholds;
    if all.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let is = |outcome| move |one: &&Judged| one.outcome == outcome;
    let mut first: Vec<Line<'static>> = all
        .iter()
        .filter(is(Outcome::Missed))
        .flat_map(|one| threshold(one, "✖", theme::bad(), width))
        .collect();
    let held = all.iter().filter(is(Outcome::Passed)).count();
    let open = all.iter().filter(is(Outcome::NoData)).count();
    let open = if open > 0 {
        format!(", {open} without data")
    } else {
        String::new()
    };
    let head = if first.is_empty() {
        let text = format!("● thresholds so far: {held} of {} hold{open}", all.len());
        Line::styled(cells::cut(&text, width), theme::good())
    } else {
        let text = format!(
            "✖ thresholds so far: {} of {} missed{open}",
            all.iter().filter(is(Outcome::Missed)).count(),
            all.len()
        );
        Line::styled(cells::cut(&text, width), theme::bad())
    };
    first.insert(0, head);
    let mut rest = vec![Line::raw("")];
    for one in all.iter().filter(is(Outcome::Passed)) {
        rest.extend(threshold(one, "✔", theme::good(), width));
    }
    for one in all.iter().filter(is(Outcome::NoData)) {
        rest.extend(threshold(one, "○", theme::quiet(), width));
    }
    if rest.len() == 1 {
        rest.clear();
    }
    (first, rest)
}
