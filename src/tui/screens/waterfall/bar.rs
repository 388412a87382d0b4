//! A span's time as a bar, and the mark where the trace waited.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::took;
use crate::clients::tempo::Span;
use crate::tui::theme;
use crate::tui::waterfall::Waterfall;

/// A span's time on the scale, in half cells from the left.
pub(super) struct Bar {
    from: usize,
    to: usize,
}

impl Bar {
    pub(super) fn of(waterfall: &Waterfall, span: &Span, cells: usize) -> Bar {
        let whole = u128::from(waterfall.trace.duration_ns.max(1));
        let halves = cells * 2;
        let place = |ns: u64| {
            let at = (u128::from(ns) * halves as u128 + whole / 2) / whole;
            usize::try_from(at).unwrap_or(halves).min(halves)
        };
        // However short, it is somewhere.
        let from = place(span.offset_ns).min(halves.saturating_sub(1));
        let to = place(span.offset_ns.saturating_add(span.duration_ns));
        Bar {
            from,
            to: to.max(from + 1),
        }
    }

    pub(super) fn draw(&self, buffer: &mut Buffer, area: Rect, style: Style, other: bool) {
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

    /// The cells that it touches.
    const fn cells(&self) -> (usize, usize) {
        (self.from / 2, self.to.div_ceil(2))
    }
}

/// Says beside the bar, or on it, that the time went here.
pub(super) fn mark(buffer: &mut Buffer, area: Rect, bar: &Bar, own_ns: u64) {
    let own = took(own_ns);
    let (from, to) = bar.cells();
    let width = usize::from(area.width);
    let long = format!("◀ waited here {own}");
    let on_left = format!("waited here {own} ▶");
    let brief = format!("◀ {own}");
    let len = |text: &str| text.chars().count();
    let loud = theme::warn();
    let (at, text, style) = if width.saturating_sub(to + 1) >= len(&long) {
        (to + 1, long, loud)
    } else if from > len(&on_left) {
        (from - 1 - len(&on_left), on_left, loud)
    } else if to - from >= len(&long) + 2 {
        let at = from + (to - from - len(&long)) / 2;
        (at, format!(" {long} "), loud.patch(theme::selected()))
    } else if width.saturating_sub(to + 1) >= len(&brief) {
        (to + 1, brief, loud)
    } else {
        (from.min(width.saturating_sub(len(&brief))), brief, loud)
    };
    let x = area.x + u16::try_from(at).unwrap_or(0).min(area.width);
    let room = usize::from(area.right().saturating_sub(x));
    buffer.set_stringn(x, area.y, text, room, style);
}
