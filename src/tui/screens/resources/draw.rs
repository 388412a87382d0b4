//! Draws the Resources screen: a row for each instance, charts of the chosen one.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row, Table};

use crate::cells;
use crate::tui::connection::Source;
use crate::tui::model::Model;
use crate::tui::screens::layout::{dim_if_stale, freshness};
use crate::tui::screens::panel;
use crate::tui::screens::panel::known::{Wanted, sign};
use crate::tui::screens::resources::{CHARTS, COLUMNS, Column, Resources, figures};
use crate::tui::theme;
use crate::tui::theme::Severity;
use crate::tui::widgets::{Freshness, centred, foot, frame, table};

/// The least width and height of a chart, frame included.
const CHART: (u16, u16) = (26, 7);
/// From this width of a chart on, further width makes charts wider instead of more.
const WIDE: u16 = 50;

pub(crate) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    let instances = Resources::instances(&model.answers);
    let scope = model.resources.scope(&model.answers);
    let wanted = |index: usize, enlarged: bool| Wanted {
        model,
        panel: &CHARTS[index.min(CHARTS.len() - 1)],
        scope: &scope,
        chosen: index == model.resources.chart,
        enlarged,
    };
    let rows = u16::try_from(instances.len()).unwrap_or(u16::MAX).max(1);
    let most = (area.height / 3).saturating_sub(3).max(2);
    let [above, charts] =
        Layout::vertical([Constraint::Length(rows.min(most) + 3), Constraint::Min(0)]).areas(area);
    list(model, &instances, buffer, above);
    if instances.is_empty() {
        return;
    }
    if model.resources.enlarged {
        panel::draw(&wanted(model.resources.chart, true), buffer, charts);
        return;
    }
    let columns = (charts.width / WIDE)
        .max(3)
        .min(charts.width / CHART.0)
        .max(1);
    let all = u16::try_from(CHARTS.len())
        .unwrap_or(u16::MAX)
        .div_ceil(columns);
    let lines = (charts.height / CHART.1).clamp(1, all);
    let shown = usize::from(columns) * usize::from(lines);
    // Show the page of charts that contains the chosen one.
    let first = (model.resources.chart / shown) * shown;
    let places = Layout::vertical(vec![Constraint::Fill(1); usize::from(lines)]).split(charts);
    for (line, place) in places.iter().enumerate() {
        let cells = Layout::horizontal(vec![Constraint::Fill(1); usize::from(columns)]);
        for (column, cell) in cells.split(*place).iter().enumerate() {
            let index = first + line * usize::from(columns) + column;
            if index < CHARTS.len() {
                panel::draw(&wanted(index, false), buffer, *cell);
            }
        }
    }
}

fn list(model: &Model, instances: &[String], buffer: &mut Buffer, area: Rect) {
    let fresh = freshness(model, Source::Prometheus);
    let (note, title) = match instances.len() {
        0 => ("", "Instances".to_owned()),
        1 => ("rates over 30s", "Instances".to_owned()),
        count => ("rates over 30s", format!("Instances: {count}")),
    };
    let inside = frame(buffer, area, &title, note, Severity::Plain, &fresh);
    if instances.is_empty() {
        let text = cells::cut(&why_empty(model, &fresh), usize::from(inside.width));
        centred(buffer, inside, &[Line::styled(text, theme::quiet())]);
        return;
    }
    let (name_width, widths) = widths(inside.width);
    let figures: Vec<_> = COLUMNS
        .iter()
        .map(|column| figures(&model.answers, column))
        .collect();
    let rows = instances.iter().map(|name| {
        let name_cell = cells::cut_middle(name, usize::from(name_width).saturating_sub(1));
        let columns = COLUMNS.iter().zip(&figures);
        let values =
            columns.map(|(column, figures)| value_cell(column, figures.get(name).copied()));
        Row::new(std::iter::once(Cell::from(name_cell)).chain(values))
    });
    let heads = COLUMNS
        .iter()
        .map(|column| Cell::from(Line::raw(column.head).right_aligned()));
    let head = Row::new(std::iter::once(Cell::from("INSTANCE")).chain(heads));
    let listed = Table::new(rows, std::iter::once(name_width).chain(widths))
        .header(head.style(theme::quiet()))
        .column_spacing(0);
    let marked = instances.len() > 1 && !model.settings.once;
    let chosen = model.resources.chosen(instances);
    let at = instances
        .iter()
        .position(|name| Some(name) == chosen.as_ref());
    table(listed, at.unwrap_or(0), marked, buffer, inside);
    let hidden = instances
        .len()
        .saturating_sub(usize::from(inside.height.saturating_sub(1)));
    if hidden > 0 {
        foot(buffer, area, &format!("{hidden} more"), theme::quiet());
    }
    dim_if_stale(buffer, inside, &fresh);
}

/// The reason why there is no instance to show.
fn why_empty(model: &Model, fresh: &Freshness) -> String {
    let mut answers = COLUMNS
        .iter()
        .filter_map(|column| model.answers.get(&column.query))
        .peekable();
    let answered = answers.peek().is_some();
    if let Some(reason) = answers.find_map(|answer| answer.refused.clone()) {
        return reason;
    }
    match fresh {
        Freshness::Fresh if answered => {
            "no instance reports resources: are the servers' /metrics scraped?".to_owned()
        }
        Freshness::Fresh => "asking …".to_owned(),
        other => other.emptiness(),
    }
}

/// Divides `width` into the column of names and the others.
fn widths(width: u16) -> (u16, impl Iterator<Item = u16>) {
    let count = u16::try_from(COLUMNS.len()).unwrap_or(u16::MAX).max(1);
    let taken: u16 = COLUMNS.iter().map(|column| column.width).sum();
    // The names get enough first; the rest is divided evenly.
    let spare = (width.saturating_sub(taken + 30) / count).min(6);
    let names = width.saturating_sub(taken + spare * count);
    (
        names,
        COLUMNS.iter().map(move |column| column.width + spare),
    )
}

/// A figure of an instance with the sign and colour of its severity; a dash if there is none.
fn value_cell(column: &Column, value: Option<f64>) -> Cell<'static> {
    let severity = value.map_or(Severity::Plain, |value| column.panel.judge(value));
    let text = value.map_or("–".to_owned(), |value| {
        column.panel.text(value).replace(' ', "")
    });
    let text = format!("{text}{}", sign(severity).trim_start());
    Cell::from(Line::styled(text, severity.style()).right_aligned())
}
