//! The help dialog, generated from the key map.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::tui::input::keymap;
use crate::tui::input::keys::{Binding, Scope, shown};
use crate::tui::model::Screen;
use crate::tui::theme;
use crate::tui::widgets::popup;

pub(crate) fn draw(read_only: bool, scroll: u16, buffer: &mut Buffer, area: Rect) {
    let lines = lines(read_only);
    let height = u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .saturating_add(2);
    let more = height > area.height;
    let keys = if more {
        "↑ ↓ scroll, Esc closes"
    } else {
        "Esc closes"
    };
    let inside = popup(buffer, area, "Keys", keys, 72, height);
    let last = u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .saturating_sub(inside.height);
    let skip = usize::from(scroll.min(last));
    for (y, line) in (inside.y..inside.bottom()).zip(lines.iter().skip(skip)) {
        buffer.set_line(inside.x, y, line, inside.width);
    }
}

fn lines(read_only: bool) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut part = |title: String, wanted: &dyn Fn(&Binding) -> bool| {
        if !lines.is_empty() {
            lines.push(Line::raw(""));
        }
        lines.push(Line::styled(title, theme::strong()));
        for binding in keymap::all().filter(|binding| wanted(binding)) {
            let off = binding.writes && read_only;
            let text = if off {
                format!("{} (off: read-only)", binding.text)
            } else {
                binding.text.to_owned()
            };
            let style = if off { theme::quiet() } else { theme::text() };
            lines.push(Line::from(vec![
                Span::styled(format!("  {:<12} ", shown(binding)), theme::key()),
                Span::styled(text, style),
            ]));
        }
    };
    part("Actions, from any screen".into(), &|binding| {
        binding.scope == Scope::Everywhere && binding.writes
    });
    part("Everywhere".into(), &|binding| {
        binding.scope == Scope::Everywhere && !binding.writes
    });
    for screen in Screen::ALL {
        part(screen.title().into(), &|binding| {
            binding.scope == Scope::On(*screen)
        });
    }
    lines
}
