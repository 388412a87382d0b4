//! Draws the Drills screen: the list with the last verdict of each drill, and beside it the plan, the clock or the
//! report of the chosen drill.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::tui::drill_runner::DrillInfo;
use crate::tui::format::{one_line, unix_ms};
use crate::tui::model::Model;
use crate::tui::screens::drills::lines::wrap;
use crate::tui::screens::drills::outcome::severity;
use crate::tui::screens::drills::{DrillState, clock, outcome, plan, started_by};
use crate::tui::screens::layout::{first_row, row_of_list};
use crate::tui::theme;
use crate::tui::theme::Severity;
use crate::tui::widgets::{Freshness, centred, frame, more};

/// From this width on the list is wider.
const WIDE: u16 = 110;

/// The areas of the list and of the text beside it.
fn areas(area: Rect) -> [Rect; 2] {
    let list = if area.width >= WIDE { 34 } else { 24 };
    Layout::horizontal([Constraint::Length(list), Constraint::Min(0)]).areas(area)
}

/// The row of the list at a position on the screen.
pub(crate) fn row_at(model: &Model, area: Rect, at: Position) -> Option<usize> {
    let [list, _] = areas(area);
    row_of_list(list, model.drills.chosen, model.drills.list.len(), at)
}

pub(crate) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    let [left, right] = areas(area);
    list(model, buffer, left);
    chosen(model, buffer, right);
}

fn list(model: &Model, buffer: &mut Buffer, area: Rect) {
    let inside = frame(
        buffer,
        area,
        "Drills",
        "",
        Severity::Plain,
        &Freshness::Fresh,
    );
    let drills = &model.drills;
    if drills.list.is_empty() {
        let text = if drills.known {
            "none here"
        } else {
            "reading …"
        };
        centred(buffer, inside, &[Line::styled(text, theme::quiet())]);
        return;
    }
    let width = usize::from(inside.width);
    let skip = first_row(model.drills.chosen, inside.height);
    let shown = drills.list.iter().enumerate().skip(skip);
    for (y, (index, drill)) in (inside.y..inside.bottom()).zip(shown) {
        let (sign, style) = sign(model, drill);
        let name = match drill.file {
            None => one_line(&drill.name),
            Some(_) => format!("{} (file)", one_line(&drill.name)),
        };
        let line = Line::from(vec![
            Span::styled(format!(" {sign} "), style),
            Span::styled(cells::cut(&name, width.saturating_sub(4)), theme::strong()),
        ]);
        buffer.set_line(inside.x, y, &line, inside.width);
        if drills.chosen == index && !model.settings.once {
            let row = Rect {
                y,
                height: 1,
                ..inside
            };
            buffer.set_style(row, theme::selected());
        }
    }
}

/// The sign before a drill in the list: under way, not valid, its last verdict, or never run.
fn sign(model: &Model, drill: &DrillInfo) -> (&'static str, Style) {
    let run = model.drills.run.as_ref();
    let run = run.filter(|run| run.started_by == started_by(drill));
    if run.is_some_and(|run| run.is_under_way()) {
        return ("▶", theme::accent());
    }
    if drill.problem.is_some() {
        return ("✖", theme::bad());
    }
    let of_run = run.and_then(|run| match &run.state {
        DrillState::Ended(report) => Some(&report.verdict),
        _ => None,
    });
    let last = drill.last.as_ref().map(|(_, report)| &report.verdict);
    match of_run.or(last) {
        Some(verdict) => {
            let severity = severity(verdict);
            (severity.sign(), severity.style())
        }
        None => ("○", theme::quiet()),
    }
}

/// The text beside the list, and the title and the note of its frame.
struct Beside {
    title: String,
    note: String,
    severity: Severity,
    lines: Vec<Line<'static>>,
}

fn chosen(model: &Model, buffer: &mut Buffer, area: Rect) {
    let width = usize::from(area.width.saturating_sub(4));
    let Some(drill) = model.drills.drill() else {
        frame(
            buffer,
            area,
            "Drill",
            "",
            Severity::Plain,
            &Freshness::Fresh,
        );
        return;
    };
    let beside = beside(model, drill, width);
    let inside = frame(
        buffer,
        area,
        &cells::cut(&beside.title, width / 2),
        &beside.note,
        beside.severity,
        &Freshness::Fresh,
    );
    let rows = usize::from(inside.height);
    let skip = model.drills.scroll;
    let skip = skip.min(beside.lines.len().saturating_sub(rows));
    for (y, line) in (inside.y..inside.bottom()).zip(&beside.lines[skip..]) {
        buffer.set_line(inside.x + 1, y, line, inside.width.saturating_sub(2));
    }
    if !model.settings.once {
        more(
            buffer,
            area,
            skip,
            beside.lines.len().saturating_sub(skip + rows),
        );
    }
}

fn beside(model: &Model, drill: &DrillInfo, width: usize) -> Beside {
    let title = one_line(&drill.name);
    let plain = |note: &str, lines| Beside {
        title: title.clone(),
        note: note.to_owned(),
        severity: Severity::Plain,
        lines,
    };
    if model.drills.plan {
        return plain("plan", plan::lines(drill, width));
    }
    let Some(run) = model.drills.run_of_chosen() else {
        return plain("", about(model, drill, width));
    };
    match &run.state {
        DrillState::Running => plain(
            run.progress.step.description(),
            clock::lines(run, model.now, width),
        ),
        DrillState::Stopping => Beside {
            severity: Severity::Warn,
            ..plain("stopping", clock::lines(run, model.now, width))
        },
        DrillState::Ended(report) => {
            let kept = drill.last.as_ref().map(|(path, _)| path.as_path());
            Beside {
                severity: severity(&report.verdict),
                ..plain(report.verdict.word(), outcome::lines(report, kept, width))
            }
        }
        DrillState::Failed(reason) => {
            let reason = cells::wrap(&one_line(reason), width).into_iter();
            let lines = reason.map(|text| Line::styled(text, theme::bad()));
            Beside {
                severity: Severity::Bad,
                ..plain("could not run", lines.collect())
            }
        }
    }
}

/// A drill that did not run in this console: its title, its facts, and its last result.
fn about(model: &Model, drill: &DrillInfo, width: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = wrap(&drill.title, width, theme::strong());
    lines.retain(|line| line.width() > 0);
    if let Some(file) = &drill.file {
        let text = format!("read from {}", file.display());
        lines.extend(wrap(&text, width, theme::quiet()));
    }
    if let Some(problem) = &drill.problem {
        lines.push(Line::raw(""));
        lines.extend(wrap(&format!("✖ {problem}"), width, theme::bad()));
        return lines;
    }
    lines.push(Line::raw(""));
    lines.extend(plan::facts(drill, width));
    lines.push(Line::raw(""));
    match &drill.last {
        None => lines.push(Line::styled("no result yet", theme::quiet())),
        Some((path, report)) => {
            let zone = &model.settings.zone;
            let at = unix_ms(&report.started_at);
            let at = at.map_or(String::new(), |at| {
                format!("{} {}", zone.date(at), zone.clock(at))
            });
            lines.push(Line::styled(
                format!("last result, of {at}"),
                theme::quiet(),
            ));
            lines.extend(outcome::lines(report, Some(path), width));
        }
    }
    lines
}
