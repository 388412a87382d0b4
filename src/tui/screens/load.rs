//! Load: scenarios to launch; beside them the rehearsal under way, or what the chosen one is.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::text::{Line, Span};

use super::run;
use crate::tui::format;
use crate::tui::logs::one_line;
use crate::tui::model::{Load, Model};
use crate::tui::theme::{self, Severity};
use crate::tui::widgets::{Freshness, centred, frame, wrapped};

/// Where the list and what is beside it stand.
fn places(area: Rect) -> [Rect; 2] {
    let list = if area.width >= 110 { 34 } else { 26 };
    Layout::horizontal([Constraint::Length(list), Constraint::Min(0)]).areas(area)
}

/// The row of the list at a place.
pub(super) fn row_at(model: &Model, area: Rect, at: Position) -> Option<usize> {
    let [list, _] = places(area);
    let rows = Rect {
        y: list.y + 1,
        height: list.height.saturating_sub(2),
        ..list
    };
    let first = (model.load.chosen + 1).saturating_sub(usize::from(rows.height));
    let row = usize::from(at.y.saturating_sub(rows.y)) + first;
    (rows.contains(at) && row < model.load.rows().len()).then_some(row)
}

pub(super) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    let [left, right] = places(area);
    scenarios(model, buffer, left);
    match &model.load.run {
        Some(run) => run::draw(model, run, buffer, right),
        None => about(model, buffer, right),
    }
}

fn scenarios(model: &Model, buffer: &mut Buffer, area: Rect) {
    let inside = frame(
        buffer,
        area,
        "Scenarios",
        "",
        Severity::Plain,
        &Freshness::Fresh,
    );
    if model.load.scenarios.is_empty() {
        centred(buffer, inside, &[Line::styled("none here", theme::quiet())]);
        return;
    }
    let chosen = (!model.settings.once).then_some(model.load.chosen);
    rows(&model.load, buffer, inside, chosen);
}

/// The list of scenarios and phases, scrolled to the chosen row.
pub(super) fn rows(load: &Load, buffer: &mut Buffer, area: Rect, chosen: Option<usize>) {
    let height = usize::from(area.height);
    let first = chosen.map_or(0, |chosen| (chosen + 1).saturating_sub(height));
    let width = usize::from(area.width).saturating_sub(1);
    for (y, row) in (area.y..area.bottom()).zip(first..) {
        let Some((scenario, phase)) = load.row(row) else {
            break;
        };
        let (text, style) = match phase {
            None => (format!(" {}", scenario.name), theme::strong()),
            Some(phase) => (format!("   › {phase} alone"), theme::text()),
        };
        buffer.set_stringn(
            area.x,
            y,
            format::fit(&one_line(&text), width),
            width,
            style,
        );
        if chosen == Some(row) {
            buffer.set_style(
                Rect {
                    y,
                    height: 1,
                    ..area
                },
                theme::selected(),
            );
        }
    }
}

fn about(model: &Model, buffer: &mut Buffer, area: Rect) {
    let inside = frame(
        buffer,
        area,
        "Rehearsal",
        "",
        Severity::Plain,
        &Freshness::Fresh,
    );
    let inside = Rect {
        x: inside.x + 1,
        width: inside.width.saturating_sub(2),
        ..inside
    };
    let Some((scenario, phase)) = model.load.row(model.load.chosen) else {
        return;
    };
    buffer.set_stringn(
        inside.x,
        inside.y,
        one_line(&scenario.name),
        usize::from(inside.width),
        theme::strong(),
    );
    wrapped(
        buffer,
        Rect {
            y: inside.y + 1,
            height: 3.min(inside.height),
            ..inside
        },
        &scenario.title,
        theme::text(),
    );
    let facts = format!(
        "{} virtual users on the {} dataset",
        format::count(scenario.users),
        one_line(&scenario.dataset)
    );
    buffer.set_stringn(
        inside.x,
        inside.y + 5,
        facts,
        usize::from(inside.width),
        theme::quiet(),
    );
    let what = phase.map_or("all phases, one after the other".to_owned(), |phase| {
        format!("only the phase {phase}")
    });
    buffer.set_stringn(
        inside.x,
        inside.y + 6,
        what,
        usize::from(inside.width),
        theme::quiet(),
    );
    if !model.settings.read_only && !model.settings.once {
        let line = Line::from(vec![
            Span::styled("Enter", theme::key()),
            Span::raw(" launches it, "),
            Span::styled("l", theme::key()),
            Span::raw(" does so from any screen"),
        ]);
        buffer.set_line(inside.x, inside.y + 8, &line, inside.width);
    }
}
