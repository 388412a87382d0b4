//! Alerts: what fires, since when, how bad; the chosen one in full.

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{dim_if_stale, freshness};
use crate::clients::alertmanager::{Alert, AlertState};
use crate::tui::format;
use crate::tui::logs::one_line;
use crate::tui::model::{Model, Source};
use crate::tui::theme::{self, Severity};
use crate::tui::update;
use crate::tui::widgets::{Freshness, centred, frame};

/// Sign and style of an alert: hushed, or by its severity.
pub(super) fn mark(alert: &Alert) -> (&'static str, Style) {
    if alert.status.state == AlertState::Suppressed {
        return ("○", theme::quiet());
    }
    match update::rank(alert) {
        0 => ("✖", theme::bad()),
        1 => ("▲", theme::warn()),
        _ => ("●", theme::accent()),
    }
}

/// Since when it fires; a question mark if its time cannot be read.
pub(super) fn age(alert: &Alert, now: i64) -> String {
    let since = alert.starts_at.parse::<Timestamp>().ok();
    since.map_or("?".into(), |since| {
        format::span(now - since.as_millisecond())
    })
}

const fn state(alert: &Alert) -> &'static str {
    match alert.status.state {
        AlertState::Active => "firing",
        AlertState::Suppressed => "silenced",
        AlertState::Unprocessed => "new",
    }
}

/// Where the list and what is said of the chosen one stand.
fn places(area: Rect) -> [Rect; 2] {
    let detail = if roomy(area) { 4 } else { 2 };
    Layout::vertical([Constraint::Fill(3), Constraint::Fill(detail)]).areas(area)
}

/// Whether there is room for the chart beside the list.
const fn roomy(area: Rect) -> bool {
    area.width >= 114 && area.height >= 30
}

/// The first row shown, so that the chosen one is.
fn first(model: &Model, rows: usize) -> usize {
    (model.alerts.chosen + 1).saturating_sub(rows)
}

/// The row of the list at a place.
pub(super) fn row_at(model: &Model, area: Rect, at: Position) -> Option<usize> {
    let [list, _] = places(area);
    // Frame and head stand above the rows, the frame below.
    let rows = Rect {
        y: list.y + 2,
        height: list.height.saturating_sub(3),
        ..list
    };
    let inside = rows.contains(at) && !model.alerts.open;
    let row = usize::from(at.y.saturating_sub(rows.y)) + first(model, usize::from(rows.height));
    (inside && row < model.alerts.list.len()).then_some(row)
}

pub(super) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    let chosen = model.alerts.list.get(model.alerts.chosen);
    if let Some(alert) = chosen.filter(|_| model.alerts.open) {
        super::alert::draw(model, alert, buffer, area);
        return;
    }
    let [above, detail] = places(area);
    list(model, buffer, above);
    match chosen {
        Some(alert) if roomy(area) => super::alert::beside(model, alert, buffer, detail),
        Some(alert) => super::alert::about(model, alert, buffer, detail),
        None => {
            frame(
                buffer,
                detail,
                "Alert",
                "",
                Severity::Plain,
                &Freshness::Fresh,
            );
        }
    }
}

fn list(model: &Model, buffer: &mut Buffer, area: Rect) {
    let fresh = freshness(model, Source::Alertmanager);
    let alerts = &model.alerts.list;
    let note = if alerts.is_empty() {
        String::new()
    } else {
        format!("{}", alerts.len())
    };
    let worst = alerts
        .iter()
        .filter(|alert| alert.status.state != AlertState::Suppressed)
        .map(update::rank)
        .min();
    let severity = match worst {
        Some(0) => Severity::Bad,
        Some(1) => Severity::Warn,
        _ => Severity::Plain,
    };
    let inside = frame(buffer, area, "Alerts", &note, severity, &fresh);
    if alerts.is_empty() {
        empty(model, buffer, inside, &fresh);
    } else {
        rows(model, buffer, inside);
    }
    dim_if_stale(buffer, inside, &fresh);
}

fn empty(model: &Model, buffer: &mut Buffer, area: Rect, fresh: &Freshness) {
    let head = match fresh {
        Freshness::Fresh => Line::styled("● no alert", theme::good()),
        other => Line::styled(
            format::fit(&other.emptiness(), usize::from(area.width)),
            theme::quiet(),
        ),
    };
    let mut lines = vec![head];
    if !model.settings.read_only && !model.settings.once {
        lines.push(Line::raw(""));
        lines.push(Line::from(vec![
            Span::styled("a", theme::key()),
            Span::styled(" raises one by hand", theme::quiet()),
        ]));
    }
    centred(buffer, area, &lines);
}

fn rows(model: &Model, buffer: &mut Buffer, area: Rect) {
    let width = usize::from(area.width);
    let head = format!(
        "   {:<9} {:<10} {:<24} {:>10}  {}",
        "STATE", "SEVERITY", "ALERT", "FOR", "SUMMARY"
    );
    buffer.set_stringn(area.x, area.y, head, width, theme::quiet());
    let rows = usize::from(area.height.saturating_sub(1));
    let first = first(model, rows);
    for (y, (index, alert)) in
        (area.y + 1..area.bottom()).zip(model.alerts.list.iter().enumerate().skip(first))
    {
        let (sign, style) = mark(alert);
        let severity = one_line(alert.labels.get("severity").map_or("none", String::as_str));
        let summary = one_line(alert.annotations.get("summary").map_or("", String::as_str));
        let rest = format!(
            "{:<9} {:<10} {:<24} {:>10}  {}",
            state(alert),
            format::fit(&severity, 10),
            format::fit(&update::name(alert), 24),
            age(alert, model.now),
            summary
        );
        buffer.set_stringn(area.x + 1, y, sign, 1, style);
        buffer.set_stringn(
            area.x + 3,
            y,
            format::fit(&rest, width.saturating_sub(3)),
            width.saturating_sub(3),
            theme::text(),
        );
        if index == model.alerts.chosen && !model.settings.once {
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
