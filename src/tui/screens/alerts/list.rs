//! Draws the list of alerts: the stage of each, its duration, and the user who acknowledged it.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{self, Cell, Table};

use crate::cells;
use crate::tui::format::one_line;
use crate::tui::model::Model;
use crate::tui::screens::alerts::draw::mark;
use crate::tui::screens::alerts::{Row, Stage, name};
use crate::tui::widgets::table;
use crate::tui::{format, theme};

/// The widths of the columns: sign, stage, severity, alert, age and summary.
const WIDTHS: [Constraint; 6] = [
    Constraint::Length(2),
    Constraint::Length(12),
    Constraint::Length(8),
    Constraint::Length(24),
    Constraint::Length(10),
    Constraint::Fill(1),
];

/// The sign and style of a row: by severity while the alert fires, else by stage.
pub(crate) fn sign(row: &Row) -> (&'static str, Style) {
    match row.stage {
        Stage::Firing => mark(&row.alert),
        Stage::Pending => ("◌", theme::warn()),
        Stage::Acknowledged => ("✔", theme::accent()),
        Stage::Silenced | Stage::Inhibited => ("○", theme::quiet()),
        Stage::Resolved => ("–", theme::quiet()),
    }
}

/// The time that the alert has been at this stage; a question mark if it cannot be parsed.
fn age(row: &Row, now: i64) -> String {
    row.since
        .map_or("?".into(), |since| format::span(now - since))
}

/// The user who acknowledged or silenced the alert and the remaining time, or the alerts that inhibit it, then its
/// summary.
fn summary_of(row: &Row, now: i64) -> String {
    let text = |name: &str| row.alert.annotations.get(name);
    let summary = text("summary").or_else(|| text("description"));
    let summary = one_line(summary.map_or("", String::as_str));
    let (Some(silence), Some(until)) = (row.silences.first(), row.silenced_until()) else {
        return match row.inhibitors.as_slice() {
            [] => summary,
            [first] => format!("by {}  {summary}", cells::cut(first, 24)),
            [first, rest @ ..] => {
                format!(
                    "by {} and {} more  {summary}",
                    cells::cut(first, 24),
                    rest.len()
                )
            }
        };
    };
    let who = cells::cut(&one_line(&silence.created_by), 16);
    let left = format::span(until - now);
    format!("by {who}, {left} left  {summary}")
}

pub(crate) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    let head = Line::raw("FOR").right_aligned();
    let head = ["", "STATE", "SEVERITY", "ALERT"]
        .map(Cell::from)
        .into_iter()
        .chain([Cell::from(head), Cell::from(" SUMMARY")]);
    // The summary gets the width that the other columns and the gaps leave.
    let summary = area.width.saturating_sub(2 + 12 + 8 + 24 + 10 + 5);
    let rows = model
        .alerts
        .rows
        .iter()
        .map(|row| line(row, model.now, usize::from(summary)));
    let listed = Table::new(rows, WIDTHS).header(widgets::Row::new(head).style(theme::quiet()));
    table(listed, model.alerts.row, !model.settings.once, buffer, area);
}

/// The row of an alert; its summary gets `summary` columns.
fn line(row: &Row, now: i64, summary: usize) -> widgets::Row<'static> {
    let (sign, style) = sign(row);
    let severity = row
        .alert
        .labels
        .get("severity")
        .map_or("none", String::as_str);
    let text = if row.stage == Stage::Resolved {
        theme::quiet()
    } else {
        theme::text()
    };
    widgets::Row::new([
        Cell::from(format!(" {sign}")).style(style),
        Cell::from(row.stage.word()),
        Cell::from(cells::cut(&one_line(severity), 8)),
        Cell::from(cells::cut(&name(&row.alert), 24)),
        Cell::from(Line::raw(age(row, now)).right_aligned()),
        Cell::from(cells::cut(&format!(" {}", summary_of(row, now)), summary)),
    ])
    .style(text)
}
