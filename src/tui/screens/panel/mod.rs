//! Draws a panel of a dashboard, of any kind, from the answers in the model.

pub(crate) mod charts;
pub(crate) mod known;
pub(crate) mod lists;
pub(crate) mod shares;
pub(crate) mod states;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use crate::cells;
use crate::tui::dashboard::panel::{Kind, Panel};
use crate::tui::screens::layout::dim_if_stale;
use crate::tui::screens::panel::known::{Known, MAX_LINES, Wanted, known, reduced, sign, worst};
use crate::tui::screens::panel::{
    charts as panel_charts, lists as panel_lists, shares as panel_shares, states as panel_states,
};
use crate::tui::theme;
use crate::tui::theme::Severity;
use crate::tui::widgets::{Freshness, big, centred, foot, frame, gauge, wrapped};

/// Draws the panel with its frame.
pub(crate) fn draw(of: &Wanted<'_>, buffer: &mut Buffer, area: Rect) {
    if area.width < 8 || area.height < 2 {
        return;
    }
    match of.panel.kind {
        Kind::Row => {}
        Kind::NotDrawn => not_drawn(of, buffer, area),
        Kind::Logs => panel_lists::logs(of, buffer, area),
        Kind::Text => text(of, buffer, area),
        _ => numbers(of, buffer, area),
    }
    if of.chosen && !of.enlarged && !of.model.settings.once {
        choose(buffer, area);
    }
}

/// Reverses the title of the chosen panel, which is visible without colour too.
fn choose(buffer: &mut Buffer, area: Rect) {
    let title = (area.x + 1..area.right()).skip(1);
    for x in title.take_while(|x| *x + 1 < area.right()) {
        let cell = &mut buffer[(x, area.y)];
        if cell.symbol() == "─" {
            break;
        }
        cell.set_style(theme::selected());
    }
}

/// Draws a text panel.
fn text(of: &Wanted<'_>, buffer: &mut Buffer, area: Rect) {
    let fresh = Freshness::Fresh;
    let inside = frame(buffer, area, &of.title(), "", Severity::Plain, &fresh);
    let width = usize::from(inside.width);
    let lines: Vec<String> = of
        .panel
        .words
        .iter()
        .flat_map(|line| cells::wrap(&of.scope.words(line, &of.panel.fixed), width))
        .collect();
    for (line, y) in lines.iter().zip(inside.y..inside.bottom()) {
        buffer.set_stringn(inside.x, y, line, width, theme::text());
    }
    let beyond = lines.len().saturating_sub(usize::from(inside.height));
    panel_lists::more(buffer, inside, beyond);
}

fn not_drawn(of: &Wanted<'_>, buffer: &mut Buffer, area: Rect) {
    let fresh = Freshness::Fresh;
    let inside = frame(buffer, area, &of.title(), "", Severity::Plain, &fresh);
    let kind = match of.panel.type_name.as_str() {
        "" => "not drawn".to_owned(),
        name => format!("{name}, not drawn"),
    };
    let text = format!("{kind}: {}", of.panel.why_not);
    wrapped(buffer, inside, &text, theme::quiet());
}

fn numbers(of: &Wanted<'_>, buffer: &mut Buffer, area: Rect) {
    let (panel, known) = (of.panel, known(of));
    let severity = worst(panel, &known.series);
    let single = matches!(panel.kind, Kind::Stat | Kind::Gauge);
    let note = note(of, &known);
    // The frame of a table or a chart has no severity: rows and lines show their own.
    let framed = if single { severity } else { Severity::Plain };
    let inside = frame(buffer, area, &of.title(), &note, framed, &known.fresh);
    let drawn = match panel.kind {
        Kind::Stat | Kind::Gauge => stat(of, &known, buffer, inside),
        Kind::Pie => panel_shares::pie(of, &known, buffer, inside),
        Kind::Histogram => panel_shares::histogram(of, &known, buffer, inside),
        Kind::StateTimeline | Kind::StatusHistory => panel_states::draw(of, &known, buffer, inside),
        Kind::BarGauge => panel_lists::bars(of, &known, buffer, inside),
        Kind::Table => panel_lists::table(of, &known, buffer, inside),
        Kind::Heatmap => panel_charts::heatmap(of, &known, buffer, inside),
        _ => panel_charts::chart(of, &known, buffer, inside),
    };
    if !drawn {
        let style = if known.refused.is_some() {
            theme::warn()
        } else {
            theme::quiet()
        };
        let text = known.emptiness(panel);
        if cells::width(&text) <= usize::from(inside.width) {
            centred(buffer, inside, &[Line::styled(text, style)]);
        } else {
            wrapped(buffer, inside, &text, style);
        }
    }
    dim_if_stale(buffer, inside, &known.fresh);
    if !panel.why_not.is_empty() && known.fresh == Freshness::Fresh {
        let room = usize::from(area.width).saturating_sub(6);
        foot(
            buffer,
            area,
            &cells::cut(&panel.why_not, room),
            theme::quiet(),
        );
    }
}

/// The note on the right of the title: the value of the only series, or the number of series.
fn note(of: &Wanted<'_>, known: &Known<'_>) -> String {
    let left_out = match known.left_out {
        0 => String::new(),
        count => format!(", {count} left out"),
    };
    match (of.panel.kind, known.series.as_slice()) {
        (Kind::TimeSeries, [only]) => only
            .one
            .now
            .map_or(String::new(), |value| of.panel.text(value)),
        (Kind::TimeSeries, all) if all.len() > MAX_LINES && !of.enlarged => {
            format!("{MAX_LINES} of {} series{left_out}", all.len())
        }
        (Kind::Table | Kind::BarGauge, all) if !all.is_empty() => {
            let now = all.iter().filter(|named| named.one.now.is_some()).count();
            format!("{now}{left_out}")
        }
        _ => left_out.trim_start_matches(", ").to_owned(),
    }
}

fn stat(of: &Wanted<'_>, known: &Known<'_>, buffer: &mut Buffer, area: Rect) -> bool {
    let panel = of.panel;
    let values: Vec<(&str, f64)> = known
        .series
        .iter()
        .filter_map(|named| Some((named.name.as_str(), reduced(panel, named.one)?)))
        .collect();
    let inside = Rect {
        x: area.x + 1,
        width: area.width.saturating_sub(2),
        ..area
    };
    let style = |value: f64| match panel.judge(value) {
        Severity::Plain => theme::strong(),
        judged => judged.style(),
    };
    match values.as_slice() {
        [] => false,
        [(_, value)] => {
            let (number, unit) = panel.show(*value);
            let style = style(*value);
            if panel.kind == Kind::Gauge && inside.height >= 3 {
                level(panel, *value, buffer, inside, style);
            } else if of.model.settings.once || inside.height < 3 {
                // Screen readers and scripts need digits, not digits drawn with lines.
                let y = inside.y + inside.height / 2;
                let row = Rect {
                    y,
                    height: 1,
                    ..inside
                };
                wrapped(buffer, row, &panel.text(*value), style);
            } else {
                big(buffer, inside, &number, &unit, style, theme::quiet());
            }
            true
        }
        several => {
            let lines = several.iter().zip(inside.y..inside.bottom());
            for ((name, value), y) in lines {
                let text = format!("{}{}", panel.text(*value), sign(panel.judge(*value)));
                let room = usize::from(inside.width).saturating_sub(cells::width(&text) + 1);
                buffer.set_stringn(inside.x, y, cells::cut(name, room), room, theme::quiet());
                let width = u16::try_from(cells::width(&text)).unwrap_or(0);
                let x = inside.right().saturating_sub(width);
                buffer.set_stringn(x, y, &text, usize::from(width), style(*value));
            }
            true
        }
    }
}

/// Draws a gauge: the value, a bar, and the scale.
fn level(panel: &Panel, value: f64, buffer: &mut Buffer, area: Rect, style: Style) {
    let (low, high) = (panel.low.unwrap_or(0.0), panel.high.unwrap_or(100.0));
    let line = |text: String, style: Style| Line::styled(text, style);
    let value_text = format!("{}{}", panel.text(value), sign(panel.judge(value)));
    let top = area.y + (area.height - 3) / 2;
    buffer.set_line(area.x, top, &line(value_text, style), area.width);
    let bar = Rect {
        y: top + 1,
        height: 1,
        ..area
    };
    gauge(buffer, bar, (value - low) / (high - low), style);
    let (from, to) = (panel.unit.tick(low), panel.unit.tick(high));
    let room = usize::from(area.width).saturating_sub(cells::width(&from));
    let scale = line(from + &cells::right(&to, room), theme::quiet());
    buffer.set_line(area.x, top + 2, &scale, area.width);
}
