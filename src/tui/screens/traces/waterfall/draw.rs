//! Draws a trace: its spans as a tree, their times as bars to scale, and the span with the most own time.

pub(crate) mod bar;
pub(crate) mod described;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span as Text};

use crate::cells;
use crate::clients::tempo::Span;
use crate::tui::format;
use crate::tui::format::one_line;
use crate::tui::model::Model;
use crate::tui::screens::layout::dim_if_stale;
use crate::tui::screens::traces::waterfall::draw::bar::{Bar, mark};
use crate::tui::screens::traces::waterfall::draw::described::described;
use crate::tui::screens::traces::waterfall::{Row, Waterfall, has_exception, is_failed};
use crate::tui::screens::traces::{Open, State};
use crate::tui::theme;
use crate::tui::theme::Severity;
use crate::tui::widgets::{Freshness, centred, foot, frame, popup};
use crate::tui::zone::Zone;

/// From this height on, the chosen span is always shown below the waterfall.
const TALL: u16 = 28;
/// The smallest and the largest height of the chosen span.
const LEAST_DETAILS: u16 = 9;
const MOST_DETAILS: u16 = 16;
/// From this width on, the start of the trace has milliseconds.
const WIDE: u16 = 100;
/// The columns of a time.
const TIME: usize = 8;
/// The columns of a service's name, if there are several services.
const SERVICE: usize = 6;

pub(crate) fn draw(model: &Model, open: &Open, buffer: &mut Buffer, area: Rect, fresh: &Freshness) {
    let id = cells::head(&open.id, 8).to_owned();
    let Some(waterfall) = open.waterfall() else {
        let title = format!("Trace {id}");
        let inside = frame(buffer, area, &title, "", Severity::Plain, fresh);
        missing(model, open, buffer, inside, fresh);
        return;
    };
    let (above, details) = match details_height(area.height, waterfall.rows.len()) {
        Some(height) => {
            let [above, details] =
                Layout::vertical([Constraint::Min(0), Constraint::Length(height)]).areas(area);
            (above, Some(details))
        }
        None => (area, None),
    };
    let failed = waterfall.failed();
    let severity = if failed > 0 {
        Severity::Bad
    } else {
        Severity::Plain
    };
    let zone = &model.settings.zone;
    let note = note(waterfall, failed, zone, area.width >= WIDE);
    let room = usize::from(area.width).saturating_sub(cells::width(&note) + id.len() + 18);
    let name = waterfall.span(0).map_or("", |span| &span.name);
    let title = format!("Trace {id}: {}", cells::cut_middle(&one_line(name), room));
    let inside = frame(buffer, above, &title, &note, severity, fresh);
    rows(model, open, waterfall, buffer, inside);
    dim_if_stale(buffer, inside, fresh);
    match (details, waterfall.span(open.row)) {
        (Some(area), Some(span)) => {
            let title = format!("Span: {}", one_line(&span.name));
            let inside = frame(buffer, area, &title, "", Severity::Plain, &Freshness::Fresh);
            let lines = described(waterfall, open.row, usize::from(inside.width) - 2);
            let more = lines.len() > usize::from(inside.height);
            for (y, line) in (inside.y..inside.bottom()).zip(&lines) {
                buffer.set_line(inside.x + 1, y, line, inside.width - 1);
            }
            if more && !model.settings.once {
                foot(buffer, area, "Enter: all of it", theme::key());
            }
        }
        _ if model.settings.once => {}
        _ => foot(buffer, area, "Enter: the span in full", theme::key()),
    }
}

/// The height for the chosen span below this number of rows, if it fits.
fn details_height(height: u16, rows: usize) -> Option<u16> {
    let left = usize::from(height).saturating_sub(rows + 3);
    let least = if height >= TALL {
        height / 3
    } else {
        LEAST_DETAILS
    };
    if height < TALL && left < usize::from(least) {
        return None;
    }
    let left = u16::try_from(left).unwrap_or(height);
    Some(left.clamp(least, least.max(MOST_DETAILS)))
}

fn note(waterfall: &Waterfall, failed: usize, zone: &Zone, wide: bool) -> String {
    let spans = match waterfall.rows.len() {
        1 => "1 span".to_owned(),
        count => format!("{count} spans"),
    };
    let failed = if failed > 0 {
        format!(", {failed} failed")
    } else {
        String::new()
    };
    let start = i64::try_from(waterfall.trace.start_ns).unwrap_or(i64::MAX);
    format!(
        "{}, {spans}{failed}, {}",
        took(waterfall.trace.duration_ns),
        if wide {
            zone.clock_ns(start)
        } else {
            zone.clock(start / 1_000_000)
        }
    )
}

/// Draws the reason why there is no trace to show.
fn missing(model: &Model, open: &Open, buffer: &mut Buffer, area: Rect, fresh: &Freshness) {
    let width = usize::from(area.width);
    let quiet = |text: &str| Line::styled(cells::cut(text, width), theme::quiet());
    let mut lines = match (&open.state, fresh) {
        (State::Missing, _) => vec![
            Line::raw("this trace was not kept"),
            quiet("kept are failed and slow requests, and a sample of the others;"),
            quiet("the newest may take a few seconds to arrive, the oldest are forgotten"),
        ],
        (State::Refused(reason), _) => vec![
            Line::styled("✖ this trace cannot be shown", theme::bad()),
            quiet(&one_line(reason)),
        ],
        (_, Freshness::Stale(_, reason) | Freshness::Never(reason)) => {
            vec![quiet(&format!("no answer yet: {reason}"))]
        }
        _ => vec![quiet("asking …")],
    };
    lines.insert(1, Line::raw(""));
    lines.push(quiet(&format!("trace {}", open.id)));
    if !model.settings.once {
        let back = if open.linked {
            " back"
        } else {
            " back to the list"
        };
        lines.push(Line::from(vec![
            Text::styled("Esc", theme::key()),
            Text::styled(back, theme::quiet()),
            Text::styled("  L", theme::key()),
            Text::styled(" its log records", theme::quiet()),
        ]));
    }
    centred(buffer, area, &lines);
}

/// A duration from nanoseconds.
fn took(ns: u64) -> String {
    let (number, unit) = format::latency(seconds(ns));
    format!("{number} {unit}")
}

fn seconds(ns: u64) -> f64 {
    crate::tui::format::to_f64(ns) / 1e9
}

/// A service's name without the prefix that this project's services share.
pub(crate) fn short(service: &str) -> String {
    one_line(service.strip_prefix("concertctl-").unwrap_or(service))
}

/// The widths of the columns.
struct Columns {
    name: usize,
    /// Zero if there is only one service.
    service: usize,
    bars: usize,
}

impl Columns {
    fn of(width: u16, waterfall: &Waterfall) -> Columns {
        let width = usize::from(width);
        let service = if waterfall.services.len() > 1 {
            SERVICE + 1
        } else {
            0
        };
        let name = (width / 3).clamp(26, 64) - service.min(4);
        let used = 2 + name + 1 + service + 2 * (TIME + 1);
        Columns {
            name,
            service,
            bars: width.saturating_sub(used),
        }
    }
}

fn rows(model: &Model, open: &Open, waterfall: &Waterfall, buffer: &mut Buffer, area: Rect) {
    let columns = Columns::of(area.width, waterfall);
    head(waterfall, &columns, buffer, area);
    let height = usize::from(area.height.saturating_sub(1));
    let first = (open.row + 1).saturating_sub(height);
    for (y, (index, row)) in
        (area.y + 1..area.bottom()).zip(waterfall.rows.iter().enumerate().skip(first))
    {
        let line = Rect {
            y,
            height: 1,
            ..area
        };
        let Some(span) = waterfall.span(index) else {
            continue;
        };
        text(waterfall, &columns, row, span, buffer, line);
        let bars = Rect {
            x: line.right() - u16::try_from(columns.bars).unwrap_or(0).min(line.width),
            width: u16::try_from(columns.bars).unwrap_or(0).min(line.width),
            ..line
        };
        if index == open.row && !model.settings.once {
            let left = Rect {
                width: line.width - bars.width,
                ..line
            };
            buffer.set_style(left, theme::selected());
        }
        let bar = Bar::of(waterfall, span, columns.bars);
        let style = style(waterfall, span);
        bar.draw(buffer, bars, style, is_other(waterfall, span));
        if waterfall.waited == Some(index) {
            mark(buffer, bars, &bar, row.own_ns);
        }
    }
}

/// Draws the names of the columns and the scale of the bars.
fn head(waterfall: &Waterfall, columns: &Columns, buffer: &mut Buffer, area: Rect) {
    let Columns {
        name,
        service,
        bars,
    } = *columns;
    let serves = if service > 0 { "FROM" } else { "" };
    let whole = took(waterfall.trace.duration_ns);
    let scale = bars.saturating_sub(1);
    let head = format!(
        "  {:<name$} {serves:<service$}{:>TIME$} {:>TIME$} 0{whole:>scale$}",
        "SPAN", "AT", "TOOK"
    );
    buffer.set_stringn(
        area.x,
        area.y,
        head,
        usize::from(area.width),
        theme::quiet(),
    );
}

fn text(
    waterfall: &Waterfall,
    columns: &Columns,
    row: &Row,
    span: &Span,
    buffer: &mut Buffer,
    area: Rect,
) {
    let (sign, colour) = if is_failed(span) {
        ("✖", theme::bad())
    } else if has_exception(span) {
        ("▲", theme::warn())
    } else {
        (" ", theme::text())
    };
    let room = columns.name.saturating_sub(cells::width(&row.stem));
    let name = cells::cut_middle(&one_line(&span.name), room);
    let mut spans = vec![
        Text::styled(format!("{sign} "), colour),
        Text::styled(row.stem.clone(), theme::border()),
        Text::styled(cells::left(&name, room + 1), colour),
    ];
    if columns.service > 0 {
        let service = cells::column(&short(&span.service), SERVICE) + " ";
        let style = if is_other(waterfall, span) {
            theme::second_colour()
        } else {
            theme::accent()
        };
        spans.push(Text::styled(service, style));
    }
    let at = format!("+{}", took(span.offset_ns));
    spans.push(Text::styled(format!("{at:>TIME$} "), theme::quiet()));
    spans.push(Text::raw(format!("{:>TIME$} ", took(span.duration_ns))));
    buffer.set_line(area.x, area.y, &Line::from(spans), area.width);
}

/// Returns whether the span belongs to another service than the first span. Such spans have another fill and colour.
fn is_other(waterfall: &Waterfall, span: &Span) -> bool {
    let first = waterfall.services.first();
    first.is_some_and(|first| *first != span.service)
}

fn style(waterfall: &Waterfall, span: &Span) -> Style {
    if is_failed(span) {
        theme::bad()
    } else if is_other(waterfall, span) {
        theme::second_colour()
    } else {
        theme::accent()
    }
}

/// Draws the dialog with the chosen span in full.
pub(crate) fn span(model: &Model, scroll: u16, buffer: &mut Buffer, area: Rect) {
    let open = model.traces.open.as_ref();
    let Some((open, waterfall)) = open.and_then(|open| Some((open, open.waterfall()?))) else {
        return;
    };
    let Some(span) = waterfall.span(open.row) else {
        return;
    };
    let title = format!("Span {}", cells::cut(&one_line(&span.name), 50));
    let inside = popup(
        buffer,
        area,
        &title,
        "↑ ↓ scroll, Esc closes",
        area.width.saturating_sub(4),
        area.height.saturating_sub(2),
    );
    let lines = described(waterfall, open.row, usize::from(inside.width));
    let last = lines.len().saturating_sub(usize::from(inside.height));
    let skipped = lines.iter().skip(usize::from(scroll).min(last));
    for (y, line) in (inside.y..inside.bottom()).zip(skipped) {
        buffer.set_line(inside.x, y, line, inside.width);
    }
}
