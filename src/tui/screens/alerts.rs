//! Alerts: what fires, since when, how bad; the chosen one in full.

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{alert_list, dim_if_stale, freshness};
use crate::clients::alertmanager::{Alert, AlertState};
use crate::tui::alerts::{Row, Stage};
use crate::tui::format;
use crate::tui::logs::one_line;
use crate::tui::model::{Model, Source};
use crate::tui::theme::{self, Severity};
use crate::tui::update;
use crate::tui::widgets::{Freshness, centred, foot, frame, wrapped};

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

pub(super) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    let fresh = freshness(model, Source::Alertmanager);
    let [list, detail] = Layout::vertical([Constraint::Fill(3), Constraint::Fill(2)]).areas(area);
    let rows = &model.alerts.rows;
    let firing = rows.iter().filter(|row| row.stage == Stage::Firing);
    let worst = firing.map(|row| update::rank(&row.alert)).min();
    let severity = match worst {
        Some(0) => Severity::Bad,
        Some(1) => Severity::Warn,
        _ => Severity::Plain,
    };
    let inside = frame(buffer, list, "Alerts", &counts(model), severity, &fresh);
    if rows.is_empty() {
        empty(model, buffer, inside, &fresh);
    } else {
        alert_list::draw(model, buffer, inside);
    }
    if let (Some(Err(reason)), Freshness::Fresh) = (&model.alerts.rules, &fresh) {
        let room = usize::from(list.width).saturating_sub(6);
        let text = format!("pending ones not known: {}", one_line(reason));
        foot(buffer, list, &format::fit(&text, room), theme::quiet());
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
    if let Some(row) = model.alerts.chosen() {
        chosen(
            row,
            buffer,
            Rect {
                x: inside.x + 1,
                width: inside.width.saturating_sub(2),
                ..inside
            },
        );
    }
}

/// How many there are, by stage.
fn counts(model: &Model) -> String {
    let stages = [
        Stage::Firing,
        Stage::Pending,
        Stage::Acknowledged,
        Stage::Silenced,
        Stage::Resolved,
    ];
    let told = stages.into_iter().filter_map(|stage| {
        let rows = model.alerts.rows.iter();
        let count = rows.filter(|row| row.stage == stage).count();
        (count > 0).then(|| format!("{count} {}", stage.word()))
    });
    told.collect::<Vec<_>>().join(", ")
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

fn chosen(row: &Row, buffer: &mut Buffer, area: Rect) {
    let alert = &row.alert;
    let (sign, style) = alert_list::sign(row);
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
    texts.extend(row.silences.iter().map(|silence| {
        let text = format!(
            "{} by {} until {}",
            silence.comment, silence.created_by, silence.ends_at
        );
        (one_line(&text), theme::accent())
    }));
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
