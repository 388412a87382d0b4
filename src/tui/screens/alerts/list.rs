//! The list of alerts: how far each has come, since when, who sees to it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::cells;
use crate::tui::format::one_line;
use crate::tui::model::Model;
use crate::tui::screens::alerts::draw::mark;
use crate::tui::screens::alerts::{Row, Stage, name};
use crate::tui::{format, theme};

/// Sign and style of a line: by its severity while it fires, else by how far it has come.
pub(crate) fn sign(row: &Row) -> (&'static str, Style) {
    match row.stage {
        Stage::Firing => mark(&row.alert),
        Stage::Pending => ("◌", theme::warn()),
        Stage::Acknowledged => ("✔", theme::accent()),
        Stage::Silenced => ("○", theme::quiet()),
        Stage::Resolved => ("–", theme::quiet()),
    }
}

/// How long it has been at this stage; a question mark if its time cannot be read.
fn age(row: &Row, now: i64) -> String {
    row.since
        .map_or("?".into(), |since| format::span(now - since))
}

/// Who sees to it and for how long, before what is said of it.
fn said(row: &Row, now: i64) -> String {
    let text = |name: &str| row.alert.annotations.get(name);
    let summary = text("summary").or_else(|| text("description"));
    let summary = one_line(summary.map_or("", String::as_str));
    let (Some(silence), Some(until)) = (row.silences.first(), row.silenced_until()) else {
        return summary;
    };
    let who = cells::cut(&one_line(&silence.created_by), 16);
    let left = format::span(until - now);
    format!("by {who}, {left} left  {summary}")
}

pub(crate) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    let width = usize::from(area.width);
    let head = format!(
        "   {:<12} {:<8} {:<24} {:>10}  {}",
        "STATE", "SEVERITY", "ALERT", "FOR", "SUMMARY"
    );
    buffer.set_stringn(area.x, area.y, head, width, theme::quiet());
    let rows = usize::from(area.height.saturating_sub(1));
    let first = (model.alerts.row + 1).saturating_sub(rows);
    let lines = model.alerts.rows.iter().enumerate().skip(first);
    for (y, (index, row)) in (area.y + 1..area.bottom()).zip(lines) {
        let (sign, style) = sign(row);
        let severity = row
            .alert
            .labels
            .get("severity")
            .map_or("none", String::as_str);
        let rest = format!(
            "{:<12} {} {} {:>10}  {}",
            row.stage.word(),
            cells::column(&one_line(severity), 8),
            cells::column(&name(&row.alert), 24),
            age(row, model.now),
            said(row, model.now)
        );
        let text = if row.stage == Stage::Resolved {
            theme::quiet()
        } else {
            theme::text()
        };
        let room = width.saturating_sub(3);
        buffer.set_stringn(area.x + 1, y, sign, 1, style);
        buffer.set_stringn(area.x + 3, y, cells::cut(&rest, room), room, text);
        if index == model.alerts.row && !model.settings.once {
            let line = Rect {
                y,
                height: 1,
                ..area
            };
            buffer.set_style(line, theme::selected());
        }
    }
}
