//! Draws panels with rows: bars, tables, log lines, and the legend of an enlarged chart.

use std::collections::BTreeSet;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Row, Table, Widget};

use crate::cells;
use crate::tui::connection::Source;
use crate::tui::format::one_line;
use crate::tui::screens::layout::{dim_if_stale, freshness};
use crate::tui::screens::logs::Record;
use crate::tui::screens::logs::draw as logs;
use crate::tui::screens::panel::known::{Known, Named, Wanted, reduced, sign};
use crate::tui::sources::series::value_at;
use crate::tui::theme;
use crate::tui::theme::Severity;
use crate::tui::widgets::{Freshness, centred, frame, gauge, wrapped};

/// The widest column of a table, in cells.
const MAX_COLUMN: usize = 40;

/// Draws on the last row how many rows did not fit.
pub(crate) fn more(buffer: &mut Buffer, area: Rect, left: usize) {
    if left > 0 && area.height > 0 {
        let text = format!(" {left} more ");
        let width = u16::try_from(cells::width(&text)).unwrap_or(0);
        let x = area.right().saturating_sub(width).max(area.x);
        buffer.set_stringn(
            x,
            area.bottom() - 1,
            text,
            usize::from(area.width),
            theme::warn(),
        );
    }
}

/// Draws a bar for each series, the longest first.
pub(crate) fn bars(of: &Wanted<'_>, known: &Known<'_>, buffer: &mut Buffer, area: Rect) -> bool {
    let panel = of.panel;
    let mut values: Vec<(&str, f64)> = known
        .series
        .iter()
        .filter_map(|named| Some((named.name.as_str(), reduced(panel, named.one)?)))
        .collect();
    values.sort_by(|a, b| b.1.total_cmp(&a.1));
    let Some((_, most)) = values.first().copied() else {
        return false;
    };
    let low = panel.low.unwrap_or(0.0);
    let high = panel.high.unwrap_or(most).max(low + f64::MIN_POSITIVE);
    let texts = values
        .iter()
        .map(|(_, value)| format!("{}{}", panel.text(*value), sign(panel.judge(*value))));
    let texts: Vec<String> = texts.collect();
    let widest =
        |texts: &mut dyn Iterator<Item = usize>, most: usize| texts.max().unwrap_or(0).min(most);
    let name_width = widest(
        &mut values.iter().map(|(name, _)| cells::width(name)),
        usize::from(area.width) / 2,
    );
    let text_width = widest(&mut texts.iter().map(|text| cells::width(text)), 16);
    let rows = values.iter().zip(&texts).zip(area.y..area.bottom());
    for (((name, value), text), y) in rows {
        buffer.set_stringn(
            area.x,
            y,
            cells::cut(name, name_width),
            name_width,
            theme::text(),
        );
        let column = |width: usize| u16::try_from(width).unwrap_or(u16::MAX);
        let x = area.x.saturating_add(column(name_width + 1));
        let end = area.right().saturating_sub(column(text_width + 1));
        let style = match panel.judge(*value) {
            Severity::Plain => theme::accent(),
            judged => judged.style(),
        };
        if end > x {
            let bar = Rect {
                x,
                y,
                width: end - x,
                height: 1,
            };
            gauge(buffer, bar, (value - low) / (high - low), style);
        }
        let text = format!("{text:>text_width$}");
        buffer.set_stringn(end + 1, y, text, text_width, style);
    }
    more(
        buffer,
        area,
        values.len().saturating_sub(usize::from(area.height)),
    );
    true
}

/// Draws labels and value of each series. With several series, labels that are equal in all are left out.
pub(crate) fn table(of: &Wanted<'_>, known: &Known<'_>, buffer: &mut Buffer, area: Rect) -> bool {
    let rows: Vec<(&Named<'_>, f64)> = known
        .series
        .iter()
        .filter_map(|named| Some((named, reduced(of.panel, named.one)?)))
        .collect();
    if rows.is_empty() {
        return false;
    }
    let names: BTreeSet<&str> = rows
        .iter()
        .flat_map(|(named, _)| named.one.labels.keys())
        .map(String::as_str)
        .collect();
    let text = |named: &Named<'_>, label: &str| {
        named
            .one
            .labels
            .get(label)
            .map(|value| one_line(value))
            .unwrap_or_default()
    };
    let differs = |label: &&str| {
        let mut values = rows.iter().map(|(named, _)| text(named, label));
        let first = values.next();
        rows.len() == 1 || values.any(|value| Some(value) != first)
    };
    let shown: Vec<&str> = names
        .into_iter()
        .filter(|name| *name != "__name__")
        .filter(differs)
        .collect();
    let width = |label: &&str| {
        let of_rows = rows
            .iter()
            .map(|(named, _)| cells::width(&text(named, label)));
        let widest = of_rows
            .chain([cells::width(label)])
            .max()
            .unwrap_or(0)
            .min(MAX_COLUMN);
        u16::try_from(widest).unwrap_or(u16::MAX)
    };
    let value_width = Constraint::Length(12);
    let widths = shown.iter().map(|label| Constraint::Length(width(label)));
    let head = std::iter::once(Line::raw("value").right_aligned())
        .chain(shown.iter().map(|label| Line::raw(*label)));
    let lines = rows.iter().map(|(named, value)| {
        let severity = of.panel.judge(*value);
        let value = format!("{}{}", of.panel.text(*value), sign(severity));
        let value = Line::styled(value, severity.style()).right_aligned();
        let labels = shown
            .iter()
            .map(|label| Line::raw(cells::cut(&text(named, label), MAX_COLUMN)));
        Row::new(std::iter::once(value).chain(labels))
    });
    let table = Table::new(lines, std::iter::once(value_width).chain(widths))
        .header(Row::new(head).style(theme::quiet()))
        .column_spacing(2);
    Widget::render(table, area, buffer);
    more(
        buffer,
        area,
        rows.len()
            .saturating_sub(usize::from(area.height.saturating_sub(1))),
    );
    true
}

/// Draws the newest lines of the panel's log queries, the newest last.
pub(crate) fn logs(of: &Wanted<'_>, buffer: &mut Buffer, area: Rect) {
    let fresh = freshness(of.model, Source::Loki);
    let asked: Vec<_> = of
        .panel
        .targets
        .iter()
        .map(|target| of.model.answers.logs(&of.panel.query(target, of.scope)))
        .collect();
    let mut lines: Vec<_> = asked
        .iter()
        .flatten()
        .filter_map(|answer| answer.as_ref().ok())
        .flatten()
        .collect();
    lines.sort_by_key(|line| line.at_ns);
    let rows = usize::from(area.height.saturating_sub(2));
    let note = match lines.len() {
        0 => String::new(),
        count => format!("newest {} of the last hour", count.min(rows)),
    };
    let inside = frame(buffer, area, &of.title(), &note, Severity::Plain, &fresh);
    let newest = lines.iter().skip(lines.len().saturating_sub(rows));
    for (line, y) in newest.zip(inside.y..inside.bottom()) {
        let record = Record::new((*line).clone());
        logs::line(
            &of.model.settings.zone,
            buffer,
            Rect {
                y,
                height: 1,
                ..inside
            },
            &record,
        );
    }
    let refused = asked
        .iter()
        .flatten()
        .find_map(|answer| answer.as_ref().err());
    match (refused, lines.is_empty()) {
        (Some(reason), true) => wrapped(buffer, inside, reason, theme::warn()),
        (None, true) => {
            let answered = asked.iter().any(Option::is_some);
            let text = match (&fresh, answered) {
                (Freshness::Fresh, true) => "no lines in the last hour".to_owned(),
                (Freshness::Fresh, false) => "asking …".to_owned(),
                (other, _) => other.emptiness(),
            };
            let text = cells::cut(&text, usize::from(inside.width));
            centred(buffer, inside, &[Line::styled(text, theme::quiet())]);
        }
        _ => {}
    }
    dim_if_stale(buffer, inside, &fresh);
}

/// Draws last, least and greatest value of each line of an enlarged chart, and the thresholds.
pub(crate) fn legend(
    of: &Wanted<'_>,
    series: &[&Named<'_>],
    style: fn(usize) -> Style,
    buffer: &mut Buffer,
    area: Rect,
) {
    let panel = of.panel;
    let limits: Vec<String> = panel
        .limits()
        .filter(|limit| limit.severity >= Severity::Warn)
        .map(|limit| {
            let side = if limit.below { "below" } else { "from" };
            format!("{} {side} {}", limit.severity.sign(), panel.text(limit.at))
        })
        .collect();
    let cursor = of.model.time.cursor;
    let at = cursor.map_or("last".to_owned(), |at| {
        let clock = of.model.settings.zone.clock(at);
        format!("at {clock}")
    });
    let room = usize::from(area.width).saturating_sub(3 * 12 + 4).max(8);
    let limits = cells::left(&limits.join("  "), room);
    let at = cells::right(&at, 12);
    let head = format!("  {limits}{at}{:>12}{:>12}", "min", "max");
    buffer.set_stringn(
        area.x,
        area.y,
        head,
        usize::from(area.width),
        theme::quiet(),
    );
    for ((index, named), y) in series.iter().enumerate().zip(area.y + 1..area.bottom()) {
        let values = || named.one.track.iter().map(|(_, value)| *value);
        let text = |value: Option<f64>| value.map_or("–".to_owned(), |value| panel.text(value));
        let gap = of.model.zoom.gap_ms();
        let last = match cursor {
            Some(at) => value_at(&named.one.track, at, gap),
            None => named.one.now,
        };
        let judged = last.map_or(Severity::Plain, |value| panel.judge(value));
        let last = format!("{}{}", text(last), sign(judged));
        let line = Line::from(vec![
            Span::styled("━ ", style(index)),
            Span::raw(cells::left(&cells::cut_middle(&named.name, room), room)),
            Span::styled(cells::right(&last, 12), judged.style()),
            Span::raw(cells::right(&text(values().reduce(f64::min)), 12)),
            Span::raw(cells::right(&text(values().reduce(f64::max)), 12)),
        ]);
        buffer.set_line(area.x, y, &line, area.width);
    }
    more(
        buffer,
        area,
        series
            .len()
            .saturating_sub(usize::from(area.height.saturating_sub(1))),
    );
}
