//! Overview: is the sale healthy? Big numbers, charts beneath, seats and admission at the bottom.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::chrome::to_f64;
use super::{dim_if_stale, freshness};
use crate::clients::alertmanager::AlertState;
use crate::tui::format;
use crate::tui::logs::one_line;
use crate::tui::model::{Model, Source};
use crate::tui::panels::{FREE, HELD, PanelId, SOLD, panel};
use crate::tui::theme::{self, Severity};
use crate::tui::update;
use crate::tui::widgets::{
    Chart, Freshness, Line as ChartLine, Share, big, centred, frame, shares,
};

pub(super) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    let bottom = if area.height >= 30 { 10 } else { 8 };
    let [tiles, middle, bottom] = Layout::vertical([
        Constraint::Length(5),
        Constraint::Min(0),
        Constraint::Length(bottom),
    ])
    .areas(area);
    draw_tiles(model, buffer, tiles);
    if model
        .status
        .as_ref()
        .is_some_and(|status| status.dataset.is_none())
    {
        welcome(model, buffer, middle);
    } else {
        charts(model, buffer, middle);
    }
    let [left, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(bottom);
    seats(model, buffer, left);
    sale(model, buffer, right);
}

fn draw_tiles(model: &Model, buffer: &mut Buffer, area: Rect) {
    let all = [
        PanelId::Tps,
        PanelId::Errors,
        PanelId::P95,
        PanelId::Waiting,
        PanelId::Active,
        PanelId::Admitted,
    ];
    let shown = if area.width >= 114 {
        &all[..]
    } else {
        &all[..4]
    };
    let places = Layout::horizontal(vec![Constraint::Fill(1); shown.len()]).split(area);
    for (id, place) in shown.iter().zip(places.iter()) {
        tile(model, buffer, *place, *id);
    }
}

fn tile(model: &Model, buffer: &mut Buffer, area: Rect, id: PanelId) {
    let (panel, data) = (panel(id), model.metrics.get(id));
    let fresh = freshness(model, Source::Prometheus);
    let severity = data
        .value()
        .map_or(Severity::Plain, |value| panel.judge(value));
    let note = if panel.window.is_empty() {
        String::new()
    } else {
        format!("over {}", panel.window)
    };
    let inside = frame(buffer, area, panel.title, &note, severity, &fresh);
    let inside = Rect {
        x: inside.x + 1,
        width: inside.width.saturating_sub(2),
        ..inside
    };
    match (data.value(), &data.refused) {
        (Some(value), _) => {
            let (number, unit) = panel.unit.show(value);
            let style = if severity == Severity::Plain {
                theme::strong()
            } else {
                severity.style()
            };
            big(buffer, inside, &number, unit, style, theme::quiet());
        }
        (None, Some(reason)) => wrapped(buffer, inside, reason, theme::warn()),
        (None, None) => wrapped(buffer, inside, &fresh.emptiness(), theme::quiet()),
    }
    dim_if_stale(buffer, inside, &fresh);
}

/// Text over a few lines, broken at spaces.
pub(super) fn wrapped(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    let text = one_line(text);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        if !line.is_empty()
            && line.chars().count() + 1 + word.chars().count() > usize::from(area.width)
        {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    let rows = usize::from(area.height);
    for (row, (y, line)) in (area.y..area.bottom()).zip(&lines).enumerate() {
        let cut = if row + 1 == rows && lines.len() > rows {
            format!("{line} …")
        } else {
            line.clone()
        };
        buffer.set_stringn(
            area.x,
            y,
            format::fit(&cut, usize::from(area.width)),
            usize::from(area.width),
            style,
        );
    }
}

fn welcome(model: &Model, buffer: &mut Buffer, area: Rect) {
    let inside = frame(
        buffer,
        area,
        "Welcome",
        "",
        Severity::Plain,
        &Freshness::Fresh,
    );
    let key = |key: &'static str| Span::styled(key, theme::key());
    let api = model
        .status
        .as_ref()
        .map_or(String::new(), |status| one_line(&status.api_addr));
    let mut lines = vec![
        Line::from(Span::styled(
            format!("The ticket service runs at {api} and is empty."),
            theme::strong(),
        )),
        Line::raw(""),
    ];
    if model.settings.read_only {
        lines.push(Line::raw(
            "This console is read-only: seed it from one that is not.",
        ));
    } else {
        lines.push(Line::from(vec![
            Span::raw("press "),
            key("s"),
            Span::raw(" to seed demo data, then "),
            key("l"),
            Span::raw(" to launch a rehearsal"),
        ]));
        lines.push(Line::from(vec![key("?"), Span::raw(" shows all keys")]));
    }
    centred(buffer, inside, &lines);
}

fn charts(model: &Model, buffer: &mut Buffer, area: Rect) {
    let grid = area.height >= 16;
    let wide = area.width >= 114;
    let rows: Vec<&[PanelId]> = match (grid, wide) {
        (true, _) => vec![
            &[PanelId::Tps, PanelId::P95],
            &[PanelId::Waiting, PanelId::Errors],
        ],
        (false, true) => vec![&[PanelId::Tps, PanelId::P95, PanelId::Waiting]],
        (false, false) => vec![&[PanelId::Tps, PanelId::P95]],
    };
    let places = Layout::vertical(vec![Constraint::Fill(1); rows.len()]).split(area);
    for (row, place) in rows.iter().zip(places.iter()) {
        let columns = Layout::horizontal(vec![Constraint::Fill(1); row.len()]).split(*place);
        for (id, column) in row.iter().zip(columns.iter()) {
            chart(model, buffer, *column, *id);
        }
    }
}

fn chart(model: &Model, buffer: &mut Buffer, area: Rect, id: PanelId) {
    let (panel, data) = (panel(id), model.metrics.get(id));
    let fresh = freshness(model, Source::Prometheus);
    let severity = data
        .value()
        .map_or(Severity::Plain, |value| panel.judge(value));
    let run = model
        .load
        .run
        .as_ref()
        .filter(|run| id == PanelId::Tps && !run.tps.is_empty());
    let note = match (run, data.value()) {
        (Some(run), Some(value)) => format!(
            "server {}  rehearsal {}",
            panel.unit.text(value),
            format::short(run.progress.tps)
        ),
        (_, Some(value)) => panel.unit.text(value),
        (_, None) => String::new(),
    };
    let inside = frame(buffer, area, panel.title, &note, Severity::Plain, &fresh);
    let mut lines = Vec::new();
    if let Some(run) = run {
        lines.push(ChartLine {
            track: &run.tps,
            style: theme::second(),
        });
    }
    let style = if severity >= Severity::Warn {
        severity.style()
    } else {
        theme::accent()
    };
    lines.extend(data.tracks.values().map(|track| ChartLine { track, style }));
    let chart = Chart {
        lines,
        end: model.now,
        span: model.zoom.span_ms(),
        gap: model.zoom.gap_ms(),
        unit: panel.unit,
        limit: panel.thresholds.map(|limits| limits.bad),
    };
    if !chart.draw(buffer, inside) {
        let text = data.refused.clone().unwrap_or_else(|| fresh.emptiness());
        let text = format::fit(&one_line(&text), usize::from(inside.width));
        centred(buffer, inside, &[Line::styled(text, theme::quiet())]);
    }
    dim_if_stale(buffer, inside, &fresh);
}

/// A name in a column of its own, then the rest.
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

fn seats(model: &Model, buffer: &mut Buffer, area: Rect) {
    let fresh = freshness(model, Source::Prometheus);
    let concert = model
        .status
        .as_ref()
        .and_then(|status| status.dataset.as_ref())
        .map(|dataset| dataset.on_sale_concert);
    let note = concert.map_or(String::new(), |id| format!("concert {id}"));
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
                format::fit(&one_line(&text), usize::from(inside.width)),
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

/// Outcomes of reservations, the most frequent first, as many as fit.
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
    let text = format!("reservations: {}", texts.collect::<Vec<_>>().join(", "));
    wrapped(buffer, area, &text, theme::text());
}

fn sale(model: &Model, buffer: &mut Buffer, area: Rect) {
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
        ("lets in", setting(model)),
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

/// The metrics say what holds; before the first scrape the server's own word is as good.
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
            vec![Span::raw(format!(
                "{} every {every}",
                format::count(format::whole(batch))
            ))]
        }
        _ => unknown(),
    }
}

fn mark(model: &Model) -> Vec<Span<'static>> {
    let queue = model.status.as_ref().map(|status| status.queue);
    let mark = model
        .metrics
        .get(PanelId::Admitted)
        .value()
        .map(format::whole)
        .or(queue.map(|queue| queue.admitted_mark));
    let registered = queue.map(|queue| queue.registered).or(model
        .metrics
        .get(PanelId::Registered)
        .value()
        .map(format::whole));
    match (mark, registered) {
        (Some(mark), Some(registered)) => {
            vec![
                Span::styled(format::count(mark), theme::strong()),
                Span::raw(format!(" of {} registered", format::count(registered))),
            ]
        }
        _ => unknown(),
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
            format::fit(
                &other.emptiness(),
                usize::from(area.width).saturating_sub(10),
            ),
            theme::quiet(),
        ),
        (count, _) => Span::styled(format!("✖ {count} firing"), theme::bad()),
    };
    row(buffer, area, area.y, "alerts", vec![head]);
    for (y, alert) in (area.y + 1..area.bottom()).zip(firing) {
        let (sign, style) = super::alerts::mark(alert);
        let age = super::alerts::age(alert, model.now);
        let width = usize::from(area.width).saturating_sub(12 + age.chars().count() + 2);
        let name = format::fit(&update::name(alert), width);
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
