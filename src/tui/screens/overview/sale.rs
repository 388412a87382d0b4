//! Draws the bottom of the Overview: seats, admission, firing alerts.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::api::ops::{AdmissionState, Follow};
use crate::cells;
use crate::clients::alertmanager::AlertState;
use crate::tui::connection::Source;
use crate::tui::format::{one_line, to_f64};
use crate::tui::model::Model;
use crate::tui::screens::alerts::name;
use crate::tui::screens::layout::{dim_if_stale, freshness};
use crate::tui::sources::panels::{FREE, HELD, PanelId, SOLD};
use crate::tui::theme::Severity;
use crate::tui::widgets::{Freshness, Share, centred, frame, shares, wrapped};
use crate::tui::{format, theme};

/// Draws a name in its column, then the rest.
fn row(buffer: &mut Buffer, area: Rect, y: u16, name: &str, rest: Vec<Span<'_>>) {
    if y < area.bottom() {
        buffer.set_stringn(area.x, y, name, 10, theme::quiet());
        buffer.set_line(
            area.x + 10,
            y,
            &Line::from(rest),
            area.width.saturating_sub(10),
        );
    }
}

/// Draws the seats of the concert on sale, and the outcomes of reservations.
pub(crate) fn seats(model: &Model, buffer: &mut Buffer, area: Rect) {
    let fresh = freshness(model, Source::Prometheus);
    let dataset = model.status.as_ref();
    let dataset = dataset.and_then(|status| status.dataset.as_ref());
    let note = dataset.map_or(String::new(), |dataset| {
        let profile = cells::cut(&one_line(&dataset.profile), 16);
        format!("concert {} of {profile}", dataset.on_sale_concert)
    });
    let inside = frame(buffer, area, "Seats", &note, Severity::Plain, &fresh);
    let inside = Rect {
        x: inside.x + 1,
        width: inside.width.saturating_sub(2),
        ..inside
    };
    let now = &model.metrics.get(PanelId::Seats).now;
    let value = |status: &str| now.get(status).copied().unwrap_or_default();
    let total: f64 = now.values().sum();
    if total <= 0.0 {
        let text = model
            .metrics
            .get(PanelId::Seats)
            .refused
            .clone()
            .unwrap_or_else(|| fresh.emptiness());
        centred(
            buffer,
            inside,
            &[Line::styled(
                cells::cut(&one_line(&text), usize::from(inside.width)),
                theme::quiet(),
            )],
        );
        return;
    }
    let parts = [
        ("sold", SOLD, '█', theme::good()),
        ("held", HELD, '▓', theme::warn()),
        ("free", FREE, '░', theme::quiet()),
    ];
    let bar = parts.map(|(_, status, fill, style)| Share {
        value: value(status),
        fill,
        style,
    });
    let tall = if inside.height >= 7 { 2 } else { 1 };
    shares(
        buffer,
        Rect {
            height: tall,
            ..inside
        },
        &bar,
    );
    let mut y = inside.y + tall;
    for (name, status, fill, style) in parts {
        let count = value(status);
        let text = format!(
            "{:>10} {:>6} %",
            format::count(format::whole(count)),
            format::percent(100.0 * count / total)
        );
        row(buffer, inside, y, "", vec![Span::raw(text)]);
        buffer.set_stringn(inside.x, y, format!("{fill} {name}"), 10, style);
        y += 1;
    }
    reservations(
        model,
        buffer,
        Rect {
            y: y + (tall - 1),
            height: inside.bottom().saturating_sub(y + tall - 1),
            ..inside
        },
    );
    dim_if_stale(buffer, inside, &fresh);
}

/// Draws as many outcomes of reservations as fit, the most frequent first.
fn reservations(model: &Model, buffer: &mut Buffer, area: Rect) {
    let mut outcomes: Vec<_> = model
        .metrics
        .get(PanelId::Reservations)
        .now
        .iter()
        .filter(|(_, count)| **count > 0.0)
        .collect();
    outcomes.sort_by(|a, b| b.1.total_cmp(a.1).then_with(|| a.0.cmp(b.0)));
    if outcomes.is_empty() {
        return;
    }
    let texts = outcomes
        .iter()
        .map(|(name, count)| format!("{} {}", one_line(name), format::short(**count)));
    // These counters belong to processes, not to a dataset: they start with the server.
    let texts = texts.collect::<Vec<_>>().join(", ");
    let text = format!("reservations since server start: {texts}");
    wrapped(buffer, area, &text, theme::text());
}

/// Draws admission and the firing alerts.
pub(crate) fn admission_and_alerts(model: &Model, buffer: &mut Buffer, area: Rect) {
    let fresh = freshness(model, Source::Ops).or(freshness(model, Source::Prometheus));
    let inside = frame(
        buffer,
        area,
        "Admission and alerts",
        "",
        Severity::Plain,
        &fresh,
    );
    let inside = Rect {
        x: inside.x + 1,
        width: inside.width.saturating_sub(2),
        ..inside
    };
    let mut y = inside.y;
    for (name, spans) in [
        ("sale", state(model)),
        ("admits", setting(model)),
        ("mark", mark(model)),
        ("inside", active(model)),
    ] {
        row(buffer, inside, y, name, spans);
        y += 1;
    }
    dim_if_stale(
        buffer,
        Rect {
            height: 4,
            ..inside
        },
        &fresh,
    );
    firing(
        model,
        buffer,
        Rect {
            y,
            height: inside.bottom().saturating_sub(y),
            ..inside
        },
    );
}

fn unknown() -> Vec<Span<'static>> {
    vec![Span::styled("no data yet", theme::quiet())]
}

fn state(model: &Model) -> Vec<Span<'static>> {
    let Some(status) = &model.status else {
        return unknown();
    };
    let admission = &status.admission;
    if status.dataset.is_none() {
        return vec![Span::styled("○ no dataset", theme::quiet())];
    }
    vec![match (admission.open, admission.paused) {
        (true, false) => Span::styled("● open", theme::good()),
        (true, true) => Span::styled("▲ open, admission paused", theme::warn()),
        (false, _) => match admission.opens_at_ms {
            Some(at) if at > model.now => {
                Span::raw(format!("○ opens in {}", format::span(at - model.now)))
            }
            _ => Span::raw("○ closed"),
        },
    }]
}

/// The settings of admission: from the metrics, or before the first scrape from the server's status.
fn setting(model: &Model) -> Vec<Span<'static>> {
    let admission = model.status.as_ref().map(|status| &status.admission);
    let batch = model
        .metrics
        .get(PanelId::Batch)
        .value()
        .or(admission.map(|of| to_f64(of.batch)));
    let every = model
        .metrics
        .get(PanelId::Interval)
        .value()
        .or(admission.map(|of| to_f64(of.every_ms) / 1000.0));
    match (batch, every) {
        (Some(batch), Some(every)) => {
            let every = if every.fract() == 0.0 {
                format!("{every:.0} s")
            } else {
                format!("{every:.1} s")
            };
            let setting = format!("{} every {every}", format::count(format::whole(batch)));
            let mut spans = vec![Span::raw(setting)];
            spans.extend(admission.and_then(slowed));
            spans
        }
        _ => unknown(),
    }
}

/// The present rate of admission, if admission follows the objective and the rate is below batch and interval.
fn slowed(admission: &AdmissionState) -> Option<Span<'static>> {
    let cap = to_f64(admission.batch) / (to_f64(admission.every_ms) / 1000.0);
    let is_slowed = admission.follow == Follow::Objective && admission.rate < cap;
    let text = format!(", now {}/s", format::short(admission.rate));
    is_slowed.then(|| Span::styled(text, theme::warn()))
}

/// The admitted-up-to watermark, and the number of registered users.
fn mark(model: &Model) -> Vec<Span<'static>> {
    // Both numbers are from one answer, because a scrape may still be about the previous dataset.
    if let Some(queue) = model.status.as_ref().map(|status| status.queue) {
        return vec![
            Span::styled(format::count(queue.admitted_mark), theme::strong()),
            Span::raw(format!(
                " of {} registered",
                format::count(queue.registered)
            )),
        ];
    }
    let mark = model.metrics.get(PanelId::Admitted).value();
    match mark.map(format::whole) {
        Some(mark) => vec![Span::styled(format::count(mark), theme::strong())],
        None => unknown(),
    }
}

fn active(model: &Model) -> Vec<Span<'static>> {
    let value = model
        .metrics
        .get(PanelId::Active)
        .value()
        .map(format::whole);
    match value.or(model.status.as_ref().map(|status| status.queue.active)) {
        Some(active) => vec![Span::raw(format!("{} admitted now", format::count(active)))],
        None => unknown(),
    }
}

fn firing(model: &Model, buffer: &mut Buffer, area: Rect) {
    let fresh = freshness(model, Source::Alertmanager);
    let firing: Vec<_> = model
        .alerts
        .list
        .iter()
        .filter(|alert| alert.status.state != AlertState::Suppressed)
        .collect();
    let head = match (firing.len(), &fresh) {
        (0, Freshness::Fresh) => Span::styled("● none firing", theme::good()),
        (0, other) => Span::styled(
            cells::cut(
                &other.emptiness(),
                usize::from(area.width).saturating_sub(10),
            ),
            theme::quiet(),
        ),
        (count, _) => Span::styled(format!("✖ {count} firing"), theme::bad()),
    };
    row(buffer, area, area.y, "alerts", vec![head]);
    for (y, alert) in (area.y + 1..area.bottom()).zip(firing) {
        let (sign, style) = crate::tui::screens::alerts::draw::mark(alert);
        let age = crate::tui::screens::alerts::draw::age(alert, model.now);
        let width = usize::from(area.width).saturating_sub(12 + cells::width(&age) + 2);
        let name = cells::cut(&name(alert), width);
        row(
            buffer,
            area,
            y,
            "",
            vec![
                Span::styled(format!("{sign} "), style),
                Span::raw(name),
                Span::styled(format!("  {age}"), theme::quiet()),
            ],
        );
    }
    dim_if_stale(buffer, area, &fresh);
}
