//! A popup with a few lines of text.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::widgets::popup;

const WIDTH: u16 = 70;
/// The columns for text within the frame of a popup.
pub(crate) const ROOM: usize = WIDTH as usize - 4;

/// Draws a popup that is as high as its text.
pub(crate) fn message(
    buffer: &mut Buffer,
    area: Rect,
    title: &str,
    keys: &str,
    lines: &[Line<'_>],
) {
    let height = u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .saturating_add(4);
    let inside = popup(buffer, area, title, keys, WIDTH, height);
    for (y, line) in (inside.y + 1..inside.bottom()).zip(lines) {
        buffer.set_line(inside.x, y, line, inside.width);
    }
}
