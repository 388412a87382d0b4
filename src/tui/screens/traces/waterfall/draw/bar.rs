//! Draws a span's time as a bar, and marks the span in which the trace waited.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::cells;
use crate::clients::tempo::Span;
use crate::tui::screens::traces::waterfall::Waterfall;
use crate::tui::screens::traces::waterfall::draw::took;
use crate::tui::theme;

/// A span's time on the scale, in half cells from the left.
pub(crate) struct Bar {
    from: usize,
    to: usize,
}

impl Bar {
    pub(crate) fn of(waterfall: &Waterfall, span: &Span, cells: usize) -> Bar {
        let whole = u128::from(waterfall.trace.duration_ns.max(1));
        let halves = cells * 2;
        let place = |ns: u64| {
            let at = (u128::from(ns) * halves as u128 + whole / 2) / whole;
            usize::try_from(at).unwrap_or(halves).min(halves)
        };
        // Even the shortest span is visible.
        let from = place(span.offset_ns).min(halves.saturating_sub(1));
        let to = place(span.offset_ns.saturating_add(span.duration_ns));
        Bar {
            from,
            to: to.max(from + 1),
        }
    }

    pub(crate) fn draw(&self, buffer: &mut Buffer, area: Rect, style: Style, other: bool) {
        let full = if other { "▓" } else { "█" };
        for (cell, x) in (area.x..area.right()).enumerate() {
            let covers = |half: usize| (self.from..self.to).contains(&half);
            let symbol = match (covers(cell * 2), covers(cell * 2 + 1)) {
                (true, true) => full,
                (true, false) => "▌",
                (false, true) => "▐",
                (false, false) => continue,
            };
            buffer.set_string(x, area.y, symbol, style);
        }
    }

    /// The first cell of the bar, and the cell after its last one.
    const fn cells(&self) -> (usize, usize) {
        (self.from / 2, self.to.div_ceil(2))
    }
}

/// Marks the span with the most own time, beside its bar or on it, with the longest text that fits.
pub(crate) fn mark(buffer: &mut Buffer, area: Rect, bar: &Bar, own_ns: u64) {
    let own = took(own_ns);
    let (from, to) = bar.cells();
    let width = usize::from(area.width);
    let on = to - from;
    let left = from.saturating_sub(1);
    let right = width.saturating_sub(to + 1);
    let len = |text: &str| cells::width(text);
    let loud = theme::warn();
    let words = ["waited here ", "waited ", ""];
    let found = words.iter().find_map(|words| {
        let text = format!("{words}{own}");
        let need = len(&text) + 2;
        if need <= right {
            Some((to + 1, format!("◀ {text}"), loud))
        } else if need <= left {
            Some((left - need, format!("{text} ▶"), loud))
        } else if need + 2 <= on {
            let at = from + (on - need - 2) / 2;
            Some((at, format!(" ◀ {text} "), loud.patch(theme::selected())))
        } else {
            None
        }
    });
    let (at, text, style) = found.unwrap_or((0, format!("◀ {own}"), loud));
    let x = area.x + u16::try_from(at).unwrap_or(0).min(area.width);
    let room = usize::from(area.right().saturating_sub(x));
    buffer.set_stringn(x, area.y, text, room, style);
}
