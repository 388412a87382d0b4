//! Draws the Traces screen: a list of the slowest, failed or newest traces, or the waterfall of the opened one.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Row, Table};

use crate::cells;
use crate::clients::tempo::FoundTrace;
use crate::tui::connection::Source;
use crate::tui::format;
use crate::tui::format::one_line;
use crate::tui::model::Model;
use crate::tui::screens::layout::{dim_if_stale, freshness};
use crate::tui::screens::traces::waterfall::draw as waterfall;
use crate::tui::screens::traces::{Coverage, Order, SPAN_S, Traces};
use crate::tui::theme;
use crate::tui::theme::Severity;
use crate::tui::widgets::{Freshness, centred, frame, table};

/// The columns of a short and of a full trace id.
const IDS: [u16; 2] = [8, 32];
/// From this width on, the full id fits.
const WIDE: u16 = 116;
/// The columns of a service's name.
const SERVICE: u16 = 10;

pub(crate) fn draw(model: &Model, buffer: &mut Buffer, area: Rect) {
    let fresh = freshness(model, Source::Tempo);
    if let Some(open) = &model.traces.open {
        waterfall::draw(model, open, buffer, area, &fresh);
        return;
    }
    let traces = &model.traces;
    let mut title = format!(
        "Traces: {} of the last {}",
        traces.order.text(),
        format::span(SPAN_S * 1000)
    );
    let least = traces.asked().min_ms;
    if least > 0 {
        title.push_str(&format!(", ≥ {}", milliseconds(least)));
    }
    if !traces.text.is_empty() {
        title.push_str(&format!(", with “{}”", cells::cut(&traces.text, 20)));
    }
    let shown = traces.shown();
    let mut note = match (traces.answered, shown.len()) {
        (false, _) => "asking …".to_owned(),
        (true, 1) => "1 trace".to_owned(),
        (true, count) => format!("{count} traces"),
    };
    note.push_str(&coverage(traces));
    let inside = frame(buffer, area, &title, &note, Severity::Plain, &fresh);
    if shown.is_empty() {
        empty(model, buffer, inside, &fresh);
        dim_if_stale(buffer, inside, &fresh);
        return;
    }
    rows(model, &shown, buffer, inside);
    dim_if_stale(buffer, inside, &fresh);
}

/// The note on traces that the list may lack.
fn coverage(traces: &Traces) -> String {
    match (traces.coverage, traces.order) {
        (Coverage::All, _) => String::new(),
        (Coverage::From(ms), _) => format!(", all from {} on", milliseconds(ms)),
        (Coverage::Part, Order::Slowest) => ", slower ones may be missing".to_owned(),
        (Coverage::Part, Order::Failed | Order::Newest) => " of more".to_owned(),
    }
}

/// A duration of the search, which has whole milliseconds.
fn milliseconds(ms: u64) -> String {
    match u32::try_from(ms) {
        Ok(0) => "<1 ms".into(),
        Ok(ms @ 1..10) => format!("{ms} ms"),
        Ok(ms) => {
            let (number, unit) = format::latency(f64::from(ms) / 1000.0);
            format!("{number} {unit}")
        }
        Err(_) => format!("{} s", format::count(ms / 1000)),
    }
}

fn rows(model: &Model, shown: &[&FoundTrace], buffer: &mut Buffer, area: Rect) {
    let id = IDS[usize::from(area.width >= WIDE)];
    let widths = [2, 6, 8, 4].map(Constraint::Length).into_iter().chain([
        Constraint::Fill(1),
        Constraint::Length(SERVICE),
        Constraint::Length(id + 1),
    ]);
    // The request gets the width that the other columns and the gaps leave.
    let request = area
        .width
        .saturating_sub(2 + 6 + 8 + 4 + SERVICE + id + 1 + 6);
    let right = |text: &'static str| Cell::from(Line::raw(text).right_aligned());
    let head = Row::new([
        Cell::from(""),
        right("AGE"),
        right("TOOK"),
        right("ERR"),
        Cell::from(" REQUEST"),
        Cell::from("SERVICE"),
        Cell::from("TRACE"),
    ]);
    let rows = shown
        .iter()
        .map(|trace| line(model, trace, usize::from(request), usize::from(id)));
    let listed = Table::new(rows, widths).header(head.style(theme::quiet()));
    table(
        listed,
        model.traces.chosen,
        !model.settings.once,
        buffer,
        area,
    );
}

/// The row of a trace; its request gets `request` columns, its id `id` columns.
fn line(model: &Model, trace: &FoundTrace, request: usize, id: usize) -> Row<'static> {
    let failed =
        trace.errors.is_some_and(|errors| errors > 0) || model.traces.order == Order::Failed;
    let (sign, style) = if failed {
        (" ✖", theme::bad())
    } else {
        ("", theme::text())
    };
    let start = i64::try_from(trace.start_ns / 1_000_000).unwrap_or(i64::MAX);
    let age = format::span(model.now.saturating_sub(start));
    let errors = match trace.errors {
        Some(0) => String::new(),
        Some(errors) => format::short(crate::tui::format::to_f64(errors)),
        None => "–".into(),
    };
    let name = if trace.name.is_empty() {
        "(its root is not here)".into()
    } else {
        one_line(&trace.name)
    };
    let service = cells::cut(&waterfall::short(&trace.service), usize::from(SERVICE));
    let right = |text: String| Line::raw(text).right_aligned();
    Row::new([
        Cell::from(sign).style(style),
        Cell::from(right(age)).style(theme::quiet()),
        Cell::from(right(milliseconds(trace.duration_ms))),
        Cell::from(right(errors)).style(style),
        Cell::from(format!(
            " {}",
            cells::cut_middle(&name, request.saturating_sub(1))
        )),
        Cell::from(service).style(theme::quiet()),
        Cell::from(cells::head(&trace.id, id).to_owned()).style(theme::quiet()),
    ])
}

fn empty(model: &Model, buffer: &mut Buffer, area: Rect, fresh: &Freshness) {
    let traces = &model.traces;
    let least = traces.asked().min_ms > 0;
    let head = match fresh {
        Freshness::Fresh if !traces.answered => Line::styled("asking …", theme::quiet()),
        Freshness::Fresh if !traces.text.is_empty() || least => {
            Line::styled("no trace matches the filter", theme::quiet())
        }
        Freshness::Fresh if traces.order == Order::Failed => {
            Line::styled("● no request failed", theme::good())
        }
        Freshness::Fresh => Line::styled("no traces yet", theme::quiet()),
        Freshness::Stale(..) if traces.answered => {
            Line::styled("○ no trace when it last answered", theme::quiet())
        }
        other => Line::styled(
            cells::cut(&other.emptiness(), usize::from(area.width)),
            theme::quiet(),
        ),
    };
    let mut lines = vec![head];
    if *fresh == Freshness::Fresh && traces.answered {
        lines.push(Line::styled(
            "kept are failed and slow requests, and a sample of the others",
            theme::quiet(),
        ));
    }
    if !model.settings.once {
        let mut keys = vec![
            Span::styled("v", theme::key()),
            Span::styled(" slowest, failed, newest", theme::quiet()),
        ];
        if least {
            keys.push(Span::styled("  d", theme::key()));
            keys.push(Span::styled(" another duration", theme::quiet()));
        }
        if !traces.text.is_empty() {
            keys.push(Span::styled("  Esc", theme::key()));
            keys.push(Span::styled(" clears the text", theme::quiet()));
        }
        lines.push(Line::raw(""));
        lines.push(Line::from(keys));
    }
    centred(buffer, area, &lines);
}
