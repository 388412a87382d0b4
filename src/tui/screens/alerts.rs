//! Alerts: what fires, since when, how bad; the chosen one in full.

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{dim_if_stale, freshness};
use crate::clients::alertmanager::{Alert, AlertState};
use crate::tui::format;
use crate::tui::logs::one_line;
use crate::tui::model::{Model, Source};
use crate::tui::theme::{self, Severity};
use crate::tui::update;
use crate::tui::widgets::{Freshness, centred, frame, wrapped};

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

pub(super) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    let fresh = freshness(model, Source::Alertmanager);
    let [list, detail] = Layout::vertical([Constraint::Fill(3), Constraint::Fill(2)]).areas(area);
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
    let inside = frame(buffer, list, "Alerts", &note, severity, &fresh);
    if alerts.is_empty() {
        empty(model, buffer, inside, &fresh);
    } else {
        rows(model, buffer, inside);
    }
    dim_if_stale(buffer, inside, &fresh);
    let inside = frame(
        buffer,
        detail,
        "Chosen",
        "",
        Severity::Plain,
        &Freshness::Fresh,
    );
    if let Some(alert) = alerts.get(model.alerts.chosen) {
        chosen(
            alert,
            buffer,
            Rect {
                x: inside.x + 1,
                width: inside.width.saturating_sub(2),
                ..inside
            },
        );
    }
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
    let first = (model.alerts.chosen + 1).saturating_sub(rows);
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

fn chosen(alert: &Alert, buffer: &mut Buffer, area: Rect) {
    let (sign, style) = mark(alert);
    let head = Line::from(vec![
        Span::styled(format!("{sign} {}", update::name(alert)), style),
        Span::styled(
            format!("  since {}", one_line(&alert.starts_at)),
            theme::quiet(),
        ),
    ]);
    buffer.set_line(area.x, area.y, &head, area.width);
    let labels = alert.labels.iter().filter(|(name, _)| *name != "alertname");
    let labels = labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join("  ");
    let mut texts = vec![(labels, theme::quiet())];
    texts.extend(
        alert
            .annotations
            .iter()
            .map(|(name, value)| (format!("{name}: {value}"), theme::text())),
    );
    let mut y = area.y + 1;
    for (text, style) in texts {
        if y >= area.bottom() {
            break;
        }
        let lines =
            u16::try_from(text.chars().count() / usize::from(area.width.max(1)) + 1).unwrap_or(1);
        let height = lines.min(area.bottom() - y);
        wrapped(buffer, Rect { y, height, ..area }, &text, style);
        y += height;
    }
}
