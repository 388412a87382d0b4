//! Draws one alert: its rule, the measured value with its limit, and the error records of that time.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use crate::cells;
use crate::tui::connection::Source;
use crate::tui::format::one_line;
use crate::tui::model::Model;
use crate::tui::screens::alerts::{Row, list as alert_list, name};
use crate::tui::screens::layout::freshness;
use crate::tui::sources::evidence::{Evidence, LimitLine};
use crate::tui::sources::panels::Unit;
use crate::tui::theme::Severity;
use crate::tui::widgets::{Chart, Freshness, Line as ChartLine, Overlay, centred, frame, more};
use crate::tui::{format, theme, timeline};

/// Draws the alert on the whole screen.
pub(crate) fn draw(model: &Model, row: &Row, buffer: &mut Buffer, area: Rect) {
    let inside = usize::from(area.width.saturating_sub(4));
    let words = u16::try_from(wrapped_texts(model, row, inside).len()).unwrap_or(u16::MAX);
    // The frame and the name take three rows more.
    let words = words.saturating_add(3).clamp(5, area.height / 3 + 1);
    let rest = area.height - words;
    let records = if rest >= 18 {
        rest / 3
    } else {
        6.min(rest / 2)
    };
    let [top, middle, bottom] = Layout::vertical([
        Constraint::Length(words),
        Constraint::Min(0),
        Constraint::Length(records),
    ])
    .areas(area);
    about(model, row, buffer, top);
    figure(model, buffer, middle);
    error_records(model, buffer, bottom);
}

/// Draws the alert below the list: text on the left, figure and records on the right.
pub(crate) fn beside(model: &Model, row: &Row, buffer: &mut Buffer, area: Rect) {
    let [left, right] = Layout::horizontal([Constraint::Fill(2), Constraint::Fill(3)]).areas(area);
    about(model, row, buffer, left);
    let [above, below] = Layout::vertical([Constraint::Fill(3), Constraint::Fill(2)]).areas(right);
    figure(model, buffer, above);
    error_records(model, buffer, below);
}

/// Draws the text about an alert.
pub(crate) fn about(model: &Model, row: &Row, buffer: &mut Buffer, area: Rect) {
    let alert = &row.alert;
    let (sign, style) = alert_list::sign(row);
    let inside = frame(
        buffer,
        area,
        "Alert",
        "",
        Severity::Plain,
        &Freshness::Fresh,
    );
    let inside = Rect {
        x: inside.x + 1,
        width: inside.width.saturating_sub(2),
        ..inside
    };
    let head = Line::from(vec![
        Span::styled(format!("{sign} {}", name(alert)), style),
        Span::styled(
            format!("  since {}", time(model, &alert.starts_at)),
            theme::quiet(),
        ),
    ]);
    buffer.set_line(inside.x, inside.y, &head, inside.width);
    let rows = usize::from(inside.height.saturating_sub(1));
    let lines = wrapped_texts(model, row, usize::from(inside.width));
    let skip = model.alerts.scroll.min(lines.len().saturating_sub(rows));
    for (y, line) in (inside.y + 1..inside.bottom()).zip(lines.iter().skip(skip)) {
        buffer.set_line(inside.x, y, line, inside.width);
    }
    let below = lines.len().saturating_sub(skip + rows);
    if !model.settings.once {
        more(buffer, area, skip, below);
    }
}

/// The text about an alert below its name, in lines of at most `width` columns.
fn wrapped_texts(model: &Model, row: &Row, width: usize) -> Vec<Line<'static>> {
    let texts = texts(model, row).into_iter();
    let lines = texts.flat_map(|(text, style)| {
        let parts = cells::wrap(&text, width).into_iter();
        parts.map(move |part| Line::styled(part, style))
    });
    lines.collect()
}

/// A time of Alertmanager in the user's time zone; unchanged if it cannot be parsed.
fn time(model: &Model, rfc3339: &str) -> String {
    let shown = model.settings.zone.of_text(rfc3339);
    shown.unwrap_or_else(|| one_line(rfc3339))
}

fn texts(model: &Model, row: &Row) -> Vec<(String, ratatui::style::Style)> {
    let alert = &row.alert;
    let mut texts = Vec::new();
    let first = ["summary", "description"];
    let annotation = |name: &&str| alert.annotations.get(*name);
    texts.extend(
        first
            .iter()
            .filter_map(annotation)
            .map(|text| (one_line(text), theme::text())),
    );
    let labels = alert.labels.iter().filter(|(name, _)| *name != "alertname");
    let labels: Vec<_> = labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    texts.push((one_line(&labels.join("  ")), theme::quiet()));
    texts.extend(row.silences.iter().map(|silence| {
        let text = format!(
            "{} by {} until {}",
            silence.comment,
            silence.created_by,
            time(model, &silence.ends_at)
        );
        (one_line(&text), theme::accent())
    }));
    if !row.inhibitors.is_empty() {
        let text = format!("inhibited by {}", row.inhibitors.join(", "));
        texts.push((text, theme::accent()));
    }
    if let Some(rule) = model.evidence().and_then(|found| found.rule.as_ref()) {
        let held = match rule.duration {
            0.0 => String::new(),
            seconds => format!(" for {}", format::span(ms(seconds))),
        };
        texts.push((
            format!("rule: {}{held}", one_line(&rule.query)),
            theme::quiet(),
        ));
        if !rule.last_error.is_empty() {
            texts.push((
                format!("▲ not evaluated: {}", one_line(&rule.last_error)),
                theme::warn(),
            ));
        }
    }
    let others = alert
        .annotations
        .iter()
        .filter(|(name, _)| !first.contains(&name.as_str()));
    texts.extend(
        others.map(|(name, value)| (format!("{name}: {}", one_line(value)), theme::quiet())),
    );
    texts
}

fn ms(seconds: f64) -> i64 {
    i64::try_from(format::whole(seconds * 1000.0)).unwrap_or(i64::MAX)
}

fn figure(model: &Model, buffer: &mut Buffer, area: Rect) {
    let fresh = freshness(model, Source::Prometheus);
    let found = model.evidence();
    let note = found.map_or(String::new(), note);
    let inside = frame(
        buffer,
        area,
        "Measured value",
        &note,
        Severity::Plain,
        &fresh,
    );
    let drawn = found.is_some_and(|found| chart(model, found, buffer, inside));
    if !drawn {
        let text = why_empty(found, &fresh);
        let text = cells::cut(&text, usize::from(inside.width));
        centred(buffer, inside, &[Line::styled(text, theme::quiet())]);
    }
    crate::tui::screens::layout::dim_if_stale(buffer, inside, &fresh);
}

fn why_empty(found: Option<&Evidence>, fresh: &Freshness) -> String {
    match found {
        None if *fresh == Freshness::Fresh => "looking it up …".into(),
        None => fresh.emptiness(),
        Some(Evidence {
            no_figure: Some(reason),
            ..
        }) => one_line(reason),
        Some(Evidence { rule: None, .. }) => {
            "no rule has this name: raised by hand, or by another system".into()
        }
        Some(_) => "no data then".into(),
    }
}

/// The limit as text: `fires above 0.01`.
fn note(found: &Evidence) -> String {
    match (&found.limit, found.side) {
        (Some(LimitLine::Number(limit)), Some(side)) => format!("fires {side} {limit}"),
        (Some(LimitLine::Number(limit)), None) => format!("fires at {limit}"),
        (Some(LimitLine::Track(_)), Some(side)) => format!("fires {side} the dimmed line"),
        _ => String::new(),
    }
}

fn chart(model: &Model, found: &Evidence, buffer: &mut Buffer, area: Rect) -> bool {
    let mut lines = Vec::new();
    if let Some(LimitLine::Track(track)) = &found.limit {
        lines.push(ChartLine {
            track,
            style: theme::quiet(),
        });
    }
    let style = theme::accent();
    lines.extend(found.figure.iter().map(|track| ChartLine { track, style }));
    let live = model.now - found.to < 10_000;
    let end = model.settings.zone.clock(found.to);
    let step = (found.to - found.from) / 50;
    let chart = Chart {
        lines,
        end: found.to,
        span: found.to - found.from,
        end_name: if live { "now" } else { &end },
        gap: step.max(5_000),
        unit: Unit::Count,
        limit: match found.limit {
            Some(LimitLine::Number(limit)) => Some(limit),
            _ => None,
        },
        overlay: Overlay {
            cursor: model.time.cursor,
            marks: &timeline::marks(model),
        },
    };
    chart.draw(buffer, area)
}

fn error_records(model: &Model, buffer: &mut Buffer, area: Rect) {
    let fresh = freshness(model, Source::Loki);
    let found = model.evidence();
    let records = found.map_or(&[][..], |found| &found.records);
    let note = match records.len() {
        0 => String::new(),
        number => format!("{number} since shortly before"),
    };
    let inside = frame(
        buffer,
        area,
        "Error records",
        &note,
        Severity::Plain,
        &fresh,
    );
    if records.is_empty() {
        let text = match found {
            None => "looking them up …".to_owned(),
            Some(Evidence {
                no_records: Some(reason),
                ..
            }) => one_line(reason),
            Some(_) => "none".to_owned(),
        };
        let text = cells::cut(&text, usize::from(inside.width));
        centred(buffer, inside, &[Line::styled(text, theme::quiet())]);
    }
    // Show the records nearest to the cursor, or else to the beginning of the alert.
    let at = model
        .time
        .cursor
        .or(found.map(|found| found.of.began))
        .unwrap_or(0);
    let first = records
        .iter()
        .position(|record| record.at_ns / 1_000_000 >= at - 1_000);
    let rows = usize::from(inside.height);
    let first = first
        .unwrap_or(usize::MAX)
        .min(records.len().saturating_sub(rows));
    for (y, record) in (inside.y..inside.bottom()).zip(records.iter().skip(first)) {
        let text = format!(
            " {} {}  {}",
            model.settings.zone.clock_ns(record.at_ns),
            record.message,
            record.details
        );
        let width = usize::from(inside.width);
        buffer.set_stringn(inside.x, y, cells::cut(&text, width), width, theme::text());
    }
    crate::tui::screens::layout::dim_if_stale(buffer, inside, &fresh);
}
