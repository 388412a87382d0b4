//! Draws the command palette.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::tui::input::keys::shown;
use crate::tui::input::line::draw as input;
use crate::tui::input::palette::Palette;
use crate::tui::input::palette::keys::found;
use crate::tui::model::Model;
use crate::tui::theme;
use crate::tui::widgets::popup;

pub(crate) fn draw(model: &Model, palette: &Palette, buffer: &mut Buffer, area: Rect) {
    let keys = "↑ ↓ choose, Enter does it, Esc closes";
    let inside = popup(buffer, area, "Find", keys, 72, area.height.min(16));
    let mut typed = Line::from(vec![Span::styled(":", theme::key())]);
    let room = usize::from(inside.width).saturating_sub(1);
    let text = input::spans(&palette.text, room, theme::text());
    typed.spans.extend(text);
    buffer.set_line(inside.x, inside.y, &typed, inside.width);
    let found = found(model.screen, palette.text.text());
    if found.is_empty() {
        let line = Line::styled("no action has these words", theme::quiet());
        buffer.set_line(inside.x, inside.y + 1, &line, inside.width);
    }
    let rows = usize::from(inside.height.saturating_sub(1));
    let first = (palette.chosen + 1).saturating_sub(rows);
    for (y, (index, binding)) in
        (inside.y + 1..inside.bottom()).zip(found.iter().enumerate().skip(first))
    {
        let off = binding.writes && model.settings.read_only;
        let text = if off { theme::quiet() } else { theme::text() };
        let line = Line::from(vec![
            Span::styled(format!("{:<12} ", shown(binding)), theme::key()),
            Span::styled(binding.text, text),
        ]);
        buffer.set_line(inside.x, y, &line, inside.width);
        if index == palette.chosen {
            let row = Rect {
                y,
                height: 1,
                ..inside
            };
            buffer.set_style(row, theme::selected());
        }
    }
}
