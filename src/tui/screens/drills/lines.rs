//! Lines that the parts of the screen share.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::tui::format::{one_line, whole};
use crate::tui::theme;

/// Untrusted text, wrapped into as many lines as it needs.
pub(crate) fn wrap(text: &str, width: usize, style: Style) -> Vec<Line<'static>> {
    let lines = cells::wrap(&one_line(text), width).into_iter();
    lines.map(|text| Line::styled(text, style)).collect()
}

/// A bar of `width` columns, filled by the share `done`. Shares above 1 fill it whole.
pub(crate) fn bar(done: f64, width: usize, style: Style) -> [Span<'static>; 2] {
    let done = if done.is_finite() {
        done.clamp(0.0, 1.0)
    } else {
        0.0
    };
    #[expect(clippy::cast_precision_loss, reason = "columns of a terminal")]
    let filled = whole(done * width as f64);
    let filled = usize::try_from(filled).unwrap_or(0).min(width);
    [
        Span::styled("█".repeat(filled), style),
        Span::styled("░".repeat(width - filled), theme::border()),
    ]
}
