//! Frames around panels, and popups.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Widget};

use crate::cells;
use crate::tui::theme::Severity;
use crate::tui::{format, theme};

/// The freshness of a panel's data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// The source answers.
    #[default]
    Fresh,
    /// The source is silent: the age of its last data in milliseconds, and the reason.
    Stale(i64, String),
    /// The source never answered, for this reason.
    Never(String),
    /// The source has not answered yet.
    Waiting,
}

impl Freshness {
    /// The freshness of data from two sources: the one that explains more.
    pub(crate) fn or(self, other: Freshness) -> Freshness {
        if self == Freshness::Fresh {
            other
        } else {
            self
        }
    }

    /// The text for missing data.
    pub(crate) fn emptiness(&self) -> String {
        match self {
            Freshness::Fresh | Freshness::Stale(..) => "no data yet".into(),
            Freshness::Waiting => "asking …".into(),
            Freshness::Never(reason) => format!("no data: {reason}"),
        }
    }
}

/// Draws a frame with a title, a note on the right and the age of the data; returns the area inside.
pub(crate) fn frame(
    buffer: &mut Buffer,
    area: Rect,
    title: &str,
    note: &str,
    severity: Severity,
    fresh: &Freshness,
) -> Rect {
    let sign = severity.sign();
    let mut block = Block::bordered().border_type(BorderType::Rounded);
    block = match severity {
        Severity::Warn | Severity::Bad => block.border_style(severity.style()),
        _ => block.border_style(theme::border()),
    };
    let mut spans = vec![
        Span::raw(" "),
        Span::styled(title.to_owned(), theme::strong()),
    ];
    if !sign.is_empty() {
        spans.push(Span::styled(format!(" {sign}"), severity.style()));
    }
    spans.push(Span::raw(" "));
    let used = cells::width(title) + 6;
    block = block.title_top(Line::from(spans));
    let room = usize::from(area.width).saturating_sub(used + 2);
    if !note.is_empty() && room >= cells::width(note) {
        block = block.title_top(Line::styled(format!(" {note} "), theme::quiet()).right_aligned());
    }
    if let Freshness::Stale(age, reason) = fresh {
        let age = format!("{} old", format::span(*age));
        let narrow = area.width < 30;
        let text = if narrow {
            age
        } else {
            format!("{age}: {reason}")
        };
        let text = cells::cut(&text, usize::from(area.width).saturating_sub(6));
        block = block.title_bottom(Line::styled(format!(" ▲ {text} "), theme::warn()));
    }
    let inside = block.inner(area);
    block.render(area, buffer);
    inside
}

/// Draws `text` on the lower edge of a framed panel, if it fits.
pub(crate) fn foot(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    let text = format!(" {text} ");
    let width = u16::try_from(cells::width(&text)).unwrap_or(u16::MAX);
    if area.height > 1 && width.saturating_add(2) <= area.width {
        let x = area.right() - 1 - width;
        buffer.set_stringn(x, area.bottom() - 1, &text, usize::from(width), style);
    }
}

/// Draws a hint on the lower edge that there is more text above or below, with the key that scrolls there.
pub(crate) fn more(buffer: &mut Buffer, area: Rect, above: usize, below: usize) {
    let keys = match (above, below) {
        (0, 0) => return,
        (_, 0) => "PgUp: back",
        (0, _) => "PgDn: more",
        _ => "PgUp, PgDn: more",
    };
    foot(buffer, area, keys, theme::key());
}

/// Clears the middle of `area` and draws a frame there; returns the area inside.
pub(crate) fn popup(
    buffer: &mut Buffer,
    area: Rect,
    title: &str,
    keys: &str,
    width: u16,
    height: u16,
) -> Rect {
    let width = width.min(area.width);
    let height = height.min(area.height);
    let at = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(at, buffer);
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme::accent())
        .title_top(Line::styled(format!(" {title} "), theme::strong()))
        .title_bottom(Line::styled(format!(" {keys} "), theme::key()).right_aligned());
    let inside = block.inner(at);
    block.render(at, buffer);
    Rect {
        x: inside.x + 1,
        width: inside.width.saturating_sub(2),
        ..inside
    }
}

/// Draws lines in the middle of `area`.
pub(crate) fn centred(buffer: &mut Buffer, area: Rect, lines: &[Line<'_>]) {
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let top = area.y + area.height.saturating_sub(rows) / 2;
    for (y, line) in (top..area.bottom()).zip(lines) {
        let width = u16::try_from(line.width())
            .unwrap_or(area.width)
            .min(area.width);
        buffer.set_line(area.x + (area.width - width) / 2, y, line, width);
    }
}

/// Draws a text over several lines, broken at spaces.
pub(crate) fn wrapped(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    let lines = cells::wrap(text, usize::from(area.width));
    let rows = usize::from(area.height);
    for (row, (y, line)) in (area.y..area.bottom()).zip(&lines).enumerate() {
        let cut = if row + 1 == rows && lines.len() > rows {
            format!("{line} …")
        } else {
            line.clone()
        };
        buffer.set_stringn(
            area.x,
            y,
            cells::cut(&cut, usize::from(area.width)),
            usize::from(area.width),
            style,
        );
    }
}

/// Draws a line at the right edge.
pub(crate) fn right(buffer: &mut Buffer, area: Rect, y: u16, line: &Line<'_>) {
    let width = u16::try_from(line.width())
        .unwrap_or(area.width)
        .min(area.width);
    buffer.set_line(area.right() - width, y, line, width);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foot_that_does_not_fit_is_left_out() {
        let drawn = |width| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, width, 2));
            let area = buffer.area;
            foot(&mut buffer, area, "run 42 ms", Style::new());
            (0..width)
                .map(|x| buffer[(x, 1)].symbol())
                .collect::<String>()
        };
        assert_eq!(drawn(14), "   run 42 ms  ");
        assert_eq!(drawn(12).trim(), "");
    }
}
