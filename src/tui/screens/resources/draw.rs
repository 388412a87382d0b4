//! Resources: a row for each instance, charts of the chosen one.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use crate::cells;
use crate::tui::connection::Source;
use crate::tui::model::Model;
use crate::tui::screens::layout::{dim_if_stale, freshness};
use crate::tui::screens::panel;
use crate::tui::screens::panel::known::{Wanted, sign};
use crate::tui::screens::resources::{CHARTS, COLUMNS, Resources, figures};
use crate::tui::theme;
use crate::tui::theme::Severity;
use crate::tui::widgets::{Freshness, centred, frame};

/// The least width and height of a chart, frame included.
const CHART: (u16, u16) = (26, 7);
/// From this width on charts are wider instead of more.
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
    let [above, beneath] =
        Layout::vertical([Constraint::Length(rows.min(most) + 3), Constraint::Min(0)]).areas(area);
    table(model, &instances, buffer, above);
    if instances.is_empty() {
        return;
    }
    if model.resources.enlarged {
        panel::draw(&wanted(model.resources.chart, true), buffer, beneath);
        return;
    }
    let columns = (beneath.width / WIDE)
        .max(3)
        .min(beneath.width / CHART.0)
        .max(1);
    let all = u16::try_from(CHARTS.len())
        .unwrap_or(u16::MAX)
        .div_ceil(columns);
    let lines = (beneath.height / CHART.1).clamp(1, all);
    let shown = usize::from(columns) * usize::from(lines);
    // The chosen chart is among those that are shown: full pages from the first one on.
    let first = (model.resources.chart / shown) * shown;
    let places = Layout::vertical(vec![Constraint::Fill(1); usize::from(lines)]).split(beneath);
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

fn table(model: &Model, instances: &[String], buffer: &mut Buffer, area: Rect) {
    let fresh = freshness(model, Source::Prometheus);
    let chosen = model.resources.chosen(instances);
    let note = match instances.len() {
        0 => String::new(),
        _ => "rates over 30s".to_owned(),
    };
    let title = match instances.len() {
        0 | 1 => "Instances".to_owned(),
        count => format!("Instances: {count}"),
    };
    let inside = frame(buffer, area, &title, &note, Severity::Plain, &fresh);
    if instances.is_empty() {
        let asked = COLUMNS
            .iter()
            .any(|column| model.answers.get(&column.query).is_some());
        let refused = COLUMNS
            .iter()
            .find_map(|column| model.answers.get(&column.query)?.refused.clone());
        let text = match (&fresh, asked, refused) {
            (_, _, Some(reason)) => reason,
            (Freshness::Fresh, true, _) => {
                "nobody tells of resources: are the servers' /metrics scraped?".to_owned()
            }
            (Freshness::Fresh, false, _) => "asking …".to_owned(),
            (other, ..) => other.emptiness(),
        };
        let text = cells::cut(&text, usize::from(inside.width));
        centred(buffer, inside, &[Line::styled(text, theme::quiet())]);
        return;
    }
    let figures: Vec<_> = COLUMNS
        .iter()
        .map(|column| figures(&model.answers, column))
        .collect();
    let taken: u16 = COLUMNS.iter().map(|column| column.width).sum();
    // What is left over goes to the columns evenly, after the names have enough.
    let spare = inside.width.saturating_sub(taken + 30) / u16::try_from(COLUMNS.len()).unwrap_or(1);
    let spare = spare.min(6);
    let names = inside
        .width
        .saturating_sub(taken + spare * u16::try_from(COLUMNS.len()).unwrap_or(0));
    let room = usize::from(names).saturating_sub(1);
    let mut head = vec![Span::raw(cells::column("INSTANCE", room) + " ")];
    for column in COLUMNS.iter() {
        let width = usize::from(column.width + spare);
        head.push(Span::raw(format!("{:>width$}", column.head)));
    }
    let head = Line::from(head).style(theme::quiet());
    buffer.set_line(inside.x, inside.y, &head, inside.width);
    let rows = usize::from(inside.height.saturating_sub(1));
    let at = instances
        .iter()
        .position(|name| Some(name) == chosen.as_ref())
        .unwrap_or(0);
    let skip = (at + 1).saturating_sub(rows);
    for (name, y) in instances
        .iter()
        .skip(skip)
        .zip(inside.y + 1..inside.bottom())
    {
        let name_cell = cells::left(&cells::cut_middle(name, room), room + 1);
        let mut spans = vec![Span::raw(name_cell)];
        for (column, figures) in COLUMNS.iter().zip(&figures) {
            let width = usize::from(column.width + spare);
            let value = figures.get(name).copied();
            let judged = value.map_or(Severity::Plain, |value| column.panel.judge(value));
            let text = value.map_or("–".to_owned(), |value| {
                column.panel.text(value).replace(' ', "")
            });
            let text = format!("{text}{}", sign(judged).trim_start());
            spans.push(Span::styled(cells::right(&text, width), judged.style()));
        }
        buffer.set_line(inside.x, y, &Line::from(spans), inside.width);
        if Some(name) == chosen.as_ref() && instances.len() > 1 && !model.settings.once {
            let row = Rect {
                y,
                height: 1,
                ..inside
            };
            buffer.set_style(row, theme::selected());
        }
    }
    let hidden = instances.len().saturating_sub(rows);
    if hidden > 0 {
        crate::tui::widgets::foot(buffer, area, &format!("{hidden} more"), theme::quiet());
    }
    dim_if_stale(buffer, inside, &fresh);
}
