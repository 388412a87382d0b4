//! A popup with a few lines of text.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::cells;
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
        let line = fitted(line, usize::from(inside.width));
        buffer.set_line(inside.x, y, &line, inside.width);
    }
}

/// The line in at most `width` cells, with an ellipsis where it was cut.
fn fitted<'l>(line: &Line<'l>, width: usize) -> Line<'l> {
    if line.width() <= width {
        return line.clone();
    }
    let mut room = width;
    let mut fitted = line.clone();
    fitted.spans.clear();
    for span in &line.spans {
        // A span that fills the row exactly may be followed by more text, and then the ellipsis needs a cell.
        if span.width() < room {
            room -= span.width();
            fitted.spans.push(span.clone());
            continue;
        }
        let text = match span.width() == room {
            // The next span is cut, so that this one ends with the ellipsis.
            true => format!("{} ", span.content),
            false => span.content.to_string(),
        };
        fitted
            .spans
            .push(Span::styled(cells::cut(&text, room), span.style));
        break;
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_ends_with_an_ellipsis() {
        let line = Line::from(vec![Span::raw("name "), Span::raw("a text")]);
        for (width, expected) in [
            (11, "name a text"),
            (10, "name a te…"),
            (6, "name …"),
            (5, "name…"),
            (1, "…"),
        ] {
            assert_eq!(fitted(&line, width).to_string(), expected, "{width}");
        }
    }
}
