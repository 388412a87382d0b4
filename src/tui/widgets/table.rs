//! Tables that keep the chosen row visible.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{StatefulWidget, Table, TableState};

use crate::tui::theme;

/// Draws `table`, scrolled so that row `chosen` is visible. `marked`: the chosen row is highlighted.
pub(crate) fn table(
    table: Table<'_>,
    chosen: usize,
    marked: bool,
    buffer: &mut Buffer,
    area: Rect,
) {
    let table = if marked {
        table.row_highlight_style(theme::selected())
    } else {
        table
    };
    let mut state = TableState::new().with_selected(Some(chosen));
    StatefulWidget::render(table, area, buffer, &mut state);
}
