//! Numbers three rows high, drawn with box lines.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::cells;

/// Draws `text` (digits, separators, `k`, `M`, `G`, `<`, `-`), and after it, on the last row, the `unit`. A text that
/// does not fit is drawn small instead, never cut.
pub(crate) fn big(
    buffer: &mut Buffer,
    area: Rect,
    text: &str,
    unit: &str,
    style: Style,
    unit_style: Style,
) {
    let glyphs: Option<Vec<[&str; 3]>> = text.chars().map(glyph).collect();
    let width = glyphs
        .iter()
        .flatten()
        .map(|rows| cells::width(rows[0]))
        .sum::<usize>();
    let needed = width
        + if unit.is_empty() {
            0
        } else {
            cells::width(unit) + 1
        };
    let (Some(glyphs), true) = (
        glyphs,
        area.height >= 3 && needed <= usize::from(area.width),
    ) else {
        let y = area.y + area.height / 2;
        let line = ratatui::text::Line::from(vec![
            ratatui::text::Span::styled(text.to_owned(), style),
            ratatui::text::Span::styled(format!(" {unit}"), unit_style),
        ]);
        buffer.set_line(area.x, y, &line, area.width);
        return;
    };
    let mut x = area.x;
    for rows in glyphs {
        let mut next = x;
        for (y, row) in (area.y..).zip(rows) {
            next = buffer
                .set_stringn(
                    x,
                    y,
                    row,
                    usize::from(area.right().saturating_sub(x)),
                    style,
                )
                .0;
        }
        x = next;
    }
    let room = usize::from(area.right().saturating_sub(x));
    if !unit.is_empty() && room > 1 {
        buffer.set_stringn(x + 1, area.y + 2, unit, room - 1, unit_style);
    }
}

fn glyph(c: char) -> Option<[&'static str; 3]> {
    Some(match c {
        '0' => ["┏━┓", "┃ ┃", "┗━┛"],
        '1' => ["╺┓ ", " ┃ ", "╺┻╸"],
        '2' => ["╺━┓", "┏━┛", "┗━╸"],
        '3' => ["╺━┓", " ━┫", "╺━┛"],
        '4' => ["╻ ╻", "┗━┫", "  ╹"],
        '5' => ["┏━╸", "┗━┓", "╺━┛"],
        '6' => ["┏━╸", "┣━┓", "┗━┛"],
        '7' => ["╺━┓", "  ┃", "  ╹"],
        '8' => ["┏━┓", "┣━┫", "┗━┛"],
        '9' => ["┏━┓", "┗━┫", "╺━┛"],
        '.' => [" ", " ", "▪"],
        ',' => [" ", " ", ","],
        '<' => ["  ", "< ", "  "],
        '-' => ["  ", "╺╸", "  "],
        '–' => ["   ", "╺━╸", "   "],
        'k' => ["  ", "  ", " k"],
        'M' => ["  ", "  ", " M"],
        'G' => ["  ", "  ", " G"],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str, width: u16) -> Vec<String> {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, 3));
        let area = buffer.area;
        big(&mut buffer, area, text, "/s", Style::new(), Style::new());
        (0..3)
            .map(|y| {
                (0..width)
                    .map(|x| buffer[(x, y)].symbol())
                    .collect::<String>()
                    .trim_end()
                    .to_owned()
            })
            .collect()
    }

    #[test]
    fn digits_are_side_by_side_with_the_unit_after_them() {
        assert_eq!(
            drawn("10.5", 20),
            ["╺┓ ┏━┓ ┏━╸", " ┃ ┃ ┃ ┗━┓", "╺┻╸┗━┛▪╺━┛ /s"]
        );
    }

    #[test]
    fn a_number_that_does_not_fit_is_drawn_small_and_whole() {
        assert_eq!(drawn("123456", 12), ["", "123456 /s", ""]);
    }
}
