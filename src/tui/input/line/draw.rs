//! Draws an input line with its cursor.

use ratatui::style::Style;
use ratatui::text::Span;

use crate::tui::input::line::Input;
use crate::tui::theme;

/// The input in `room` cells. The character under the cursor is reversed; at the end of the text the cursor is a
/// block.
pub(crate) fn spans(input: &Input, room: usize, style: Style) -> Vec<Span<'static>> {
    let view = input.view(room);
    let cursor = match view.under {
        "" => Span::styled("█", theme::accent()),
        under => Span::styled(under.to_owned(), style.patch(theme::selected())),
    };
    vec![
        Span::styled(view.before.to_owned(), style),
        cursor,
        Span::styled(view.after.to_owned(), style),
    ]
}
