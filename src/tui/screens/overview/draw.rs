//! Draws the Overview screen: big numbers, then charts, then seats and admission.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::text::{Line, Span};

use crate::cells;
use crate::tui::connection::Source;
use crate::tui::format::{one_line, share};
use crate::tui::model::{Model, RunView};
use crate::tui::screens::layout::{dim_if_stale, freshness};
use crate::tui::screens::overview::sale;
use crate::tui::sources::checks::Check;
use crate::tui::sources::crosscheck;
use crate::tui::sources::panels::{PanelId, panel};
use crate::tui::sources::series::Track;
use crate::tui::theme::Severity;
use crate::tui::widgets::{
    Chart, Freshness, Line as ChartLine, Overlay, big, centred, foot, frame, gauge, instant_on,
    wrapped,
};
use crate::tui::window::end_name;
use crate::tui::zoom::Window;
use crate::tui::{theme, timeline, window};

pub(crate) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    let [tiles, middle, bottom] = places(area);
    draw_tiles(model, buffer, tiles);
    if model
        .status
        .as_ref()
        .is_some_and(|status| status.dataset.is_none())
    {
        welcome(model, buffer, middle);
    } else if let Some(id) = model.enlarged {
        chart(model, buffer, enlarged(area, tiles, middle), id);
        return;
    } else {
        charts(model, buffer, middle);
    }
    let [left, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(bottom);
    sale::seats(model, buffer, left);
    sale::admission_and_alerts(model, buffer, right);
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

/// The current value of a panel. Without traffic, rates of the last half minute have no meaning and are left out.
fn value(model: &Model, id: PanelId) -> Option<f64> {
    let value = model.metrics.get(id).value()?;
    let idle = model.metrics.get(PanelId::Tps).value() == Some(0.0);
    let of_traffic = matches!(id, PanelId::P95 | PanelId::Errors);
    (!idle || !of_traffic).then_some(value)
}

/// The text for a panel without a value.
fn emptiness(model: &Model, id: PanelId, fresh: &Freshness) -> String {
    let answered = *fresh == Freshness::Fresh && model.metrics.get(id).asked;
    if answered && !panel(id).window.is_empty() {
        "no traffic".into()
    } else {
        fresh.emptiness()
    }
}

/// The rehearsal's own figure for a panel while it runs, as its clients measure it.
fn own(run: &RunView, id: PanelId) -> Option<(&Track, f64)> {
    let track = match id {
        PanelId::Tps => &run.tps,
        PanelId::P95 => &run.p95,
        _ => return None,
    };
    track.back().map(|(_, value)| (track, *value))
}

fn tile(model: &Model, buffer: &mut Buffer, area: Rect, id: PanelId) {
    let (panel, data) = (panel(id), model.metrics.get(id));
    let fresh = freshness(model, Source::Prometheus);
    let value = value(model, id);
    let severity = value.map_or(Severity::Plain, |value| panel.judge(value));
    let used = cells::width(panel.title) + 4;
    let note = match panel.window {
        "" => String::new(),
        window if used + 16 <= usize::from(area.width) => format!("over {window}"),
        window => window.to_owned(),
    };
    let inside = frame(buffer, area, panel.title, &note, severity, &fresh);
    let inside = Rect {
        x: inside.x + 1,
        width: inside.width.saturating_sub(2),
        ..inside
    };
    match (value, &data.refused) {
        (Some(value), _) if model.settings.once => {
            // Screen readers and scripts need digits, not digits drawn with lines.
            wrapped(buffer, inside, &panel.unit.text(value), theme::strong());
        }
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
        (None, None) => {
            let text = emptiness(model, id, &fresh);
            wrapped(buffer, inside, &text, theme::quiet());
        }
    }
    dim_if_stale(buffer, inside, &fresh);
    let run = model.load.run.as_ref().filter(|run| run.is_under_way());
    if let Some(other) = disagreement(model, id) {
        foot(buffer, area, &format!("▲ {other}"), theme::warn());
    } else if let (Some((_, own)), Freshness::Fresh) = (run.and_then(|run| own(run, id)), &fresh) {
        let text = format!("run {}", panel.unit.text(own));
        foot(buffer, area, &text, theme::second_colour());
    }
}

/// The figure of the other source, if the two disagree.
fn disagreement(model: &Model, id: PanelId) -> Option<String> {
    let check = match id {
        PanelId::Tps => Check::Tps,
        PanelId::Waiting => Check::Waiting,
        PanelId::Admitted => Check::Mark,
        _ => return None,
    };
    crosscheck::about(model, check).map(|one| one.short)
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
    if model.is_seeding() {
        let done = share(model.seed.rows_done, model.seed.rows_total);
        let text = format!(
            "seeding {}, {:.0} %",
            one_line(&model.seed.profile),
            (done * 100.0).floor()
        );
        let width = inside.width.saturating_sub(20).max(1);
        let y = inside.y + inside.height / 2;
        centred(
            buffer,
            Rect {
                y: y.saturating_sub(1),
                height: 1,
                ..inside
            },
            &[Line::styled(text, theme::strong())],
        );
        let bar = Rect {
            x: inside.x + (inside.width - width) / 2,
            y,
            width,
            height: 1,
        };
        gauge(buffer, bar, done, theme::accent());
        return;
    }
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

/// The areas of the tiles, of the charts, and of the part below them.
fn places(area: Rect) -> [Rect; 3] {
    let bottom = if area.height >= 30 { 10 } else { 8 };
    Layout::vertical([
        Constraint::Length(5),
        Constraint::Min(0),
        Constraint::Length(bottom),
    ])
    .areas(area)
}

/// The instant at a position on one of the charts.
pub(crate) fn instant_at(model: &Model, area: Rect, at: Position) -> Option<i64> {
    let [tiles, middle, _] = places(area);
    let all = match model.enlarged {
        Some(id) => vec![(id, enlarged(area, tiles, middle))],
        None => chart_places(middle),
    };
    let (_, place) = all.into_iter().find(|(_, place)| place.contains(at))?;
    let Window { end, span } = window::live(model);
    instant_on(place, end, span, at.x)
}

fn enlarged(area: Rect, tiles: Rect, middle: Rect) -> Rect {
    Rect {
        height: area.height - tiles.height,
        ..middle
    }
}

fn chart_places(area: Rect) -> Vec<(PanelId, Rect)> {
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
    let heights = Layout::vertical(vec![Constraint::Fill(1); rows.len()]).split(area);
    let mut all = Vec::new();
    for (row, place) in rows.iter().zip(heights.iter()) {
        let columns = Layout::horizontal(vec![Constraint::Fill(1); row.len()]).split(*place);
        all.extend(row.iter().copied().zip(columns.iter().copied()));
    }
    all
}

fn charts(model: &Model, buffer: &mut Buffer, area: Rect) {
    for (id, place) in chart_places(area) {
        chart(model, buffer, place, id);
    }
}

fn chart(model: &Model, buffer: &mut Buffer, area: Rect, id: PanelId) {
    let (panel, data) = (panel(id), model.metrics.get(id));
    let fresh = freshness(model, Source::Prometheus);
    let value = value(model, id);
    let severity = value.map_or(Severity::Plain, |value| panel.judge(value));
    let run = model.load.run.as_ref();
    let own = run.and_then(|run| own(run, id).map(|own| (run.is_under_way(), own)));
    let note = match (own, value) {
        (Some((true, (_, own))), Some(value)) => format!(
            "server {}, run {}",
            panel.unit.text(value),
            panel.unit.text(own)
        ),
        (_, Some(value)) => panel.unit.text(value),
        (_, None) if data.tracks.is_empty() => String::new(),
        (_, None) => emptiness(model, id, &fresh),
    };
    let inside = frame(buffer, area, panel.title, &note, Severity::Plain, &fresh);
    let mut lines = Vec::new();
    if let Some((_, (track, _))) = own {
        lines.push(ChartLine {
            track,
            style: theme::second_colour(),
        });
    }
    let style = if severity >= Severity::Warn {
        severity.style()
    } else {
        theme::accent()
    };
    lines.extend(data.tracks.values().map(|track| ChartLine { track, style }));
    let window = window::live(model);
    let chart = Chart {
        lines,
        end: window.end,
        span: window.span,
        end_name: &end_name(model),
        gap: model.zoom.gap_ms(),
        unit: panel.unit,
        limit: panel.thresholds.map(|limits| limits.bad),
        overlay: Overlay {
            cursor: model.time.cursor,
            marks: &timeline::marks(model),
        },
    };
    if !chart.draw(buffer, inside) {
        let text = data.refused.clone();
        let text = text.unwrap_or_else(|| emptiness(model, id, &fresh));
        let text = cells::cut(&one_line(&text), usize::from(inside.width));
        centred(buffer, inside, &[Line::styled(text, theme::quiet())]);
    }
    dim_if_stale(buffer, inside, &fresh);
}
