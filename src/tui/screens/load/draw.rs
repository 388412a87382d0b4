//! Draws the Load screen: the scenarios, and beside them the rehearsal under way or the chosen scenario.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::text::{Line, Span};

use crate::cells;
use crate::load::{PhaseName, ScenarioInfo};
use crate::tui::format;
use crate::tui::format::one_line;
use crate::tui::model::{Load, Model};
use crate::tui::screens::layout::row_of_list;
use crate::tui::screens::load::run;
use crate::tui::theme;
use crate::tui::theme::Severity;
use crate::tui::widgets::{Freshness, centred, frame};

/// The areas of the list and of the part beside it.
fn places(area: Rect) -> [Rect; 2] {
    let list = if area.width >= 110 { 34 } else { 26 };
    Layout::horizontal([Constraint::Length(list), Constraint::Min(0)]).areas(area)
}

/// The row of the list at a position.
pub(crate) fn row_at(model: &Model, area: Rect, at: Position) -> Option<usize> {
    let [list, _] = places(area);
    row_of_list(list, model.load.chosen, model.load.scenarios.len(), at)
}

pub(crate) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
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

/// A scenario as a line of a list.
pub(crate) fn line(scenario: &ScenarioInfo) -> String {
    let name = one_line(&scenario.name);
    match scenario.file {
        None => name,
        Some(_) => format!("{name} (file)"),
    }
}

/// The list of scenarios, scrolled to the chosen one.
fn rows(load: &Load, buffer: &mut Buffer, area: Rect, chosen: Option<usize>) {
    let height = usize::from(area.height);
    let first = chosen.map_or(0, |chosen| (chosen + 1).saturating_sub(height));
    let width = usize::from(area.width).saturating_sub(1);
    let shown = load.scenarios.iter().enumerate().skip(first);
    for (y, (index, scenario)) in (area.y..area.bottom()).zip(shown) {
        let text = cells::cut(&format!(" {}", line(scenario)), width);
        let style = theme::strong();
        buffer.set_stringn(area.x, y, text, width, style);
        if chosen == Some(index) {
            let row = Rect {
                y,
                height: 1,
                ..area
            };
            buffer.set_style(row, theme::selected());
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
    let Some(scenario) = model.load.scenario() else {
        return;
    };
    let width = usize::from(inside.width);
    let quiet = |text: String| Line::styled(text, theme::quiet());
    let mut lines = vec![Line::styled(
        cells::cut(&one_line(&scenario.name), width),
        theme::strong(),
    )];
    lines.extend(
        cells::wrap(&scenario.title, width)
            .into_iter()
            .map(Line::raw),
    );
    if let Some(file) = &scenario.file {
        let text = format!("read from {}", file.display());
        lines.extend(cells::wrap(&text, width).into_iter().map(quiet));
    }
    lines.push(Line::raw(""));
    let facts = format!(
        "{} virtual users on the {} dataset",
        format::count(scenario.users),
        one_line(&scenario.dataset)
    );
    let phases = format!("phases: {}", PhaseName::names());
    for text in [facts, phases] {
        lines.extend(cells::wrap(&text, width).into_iter().map(quiet));
    }
    if !model.settings.read_only && !model.settings.once {
        lines.push(Line::raw(""));
        lines.push(Line::from(vec![
            Span::styled("Enter", theme::key()),
            Span::raw(" launches it, "),
            Span::styled("l", theme::key()),
            Span::raw(" does so from any screen, and"),
        ]));
        lines.push(Line::raw("takes a scenario file of your own"));
    }
    for (y, line) in (inside.y..inside.bottom()).zip(&lines) {
        buffer.set_line(inside.x, y, line, inside.width);
    }
}
