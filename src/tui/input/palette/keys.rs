//! The keys of the palette.

use crossterm::event::{KeyCode, KeyEvent};

use crate::tui::event::Effect;
use crate::tui::input::dialog::Dialog;
use crate::tui::input::palette::{Palette, found};
use crate::tui::model::Model;
use crate::tui::update::run;

pub(crate) fn open(model: &mut Model) {
    model.dialog = Some(Dialog::Palette(Palette::default()));
}

/// A key while the palette is open.
pub(crate) fn on_key(model: &mut Model, mut palette: Palette, key: KeyEvent) -> Vec<Effect> {
    let found = found(model.screen, palette.text.text());
    match key.code {
        KeyCode::Esc => return Vec::new(),
        KeyCode::Enter => {
            let Some(binding) = found.get(palette.chosen) else {
                model.dialog = Some(Dialog::Palette(palette));
                return Vec::new();
            };
            return run(model, binding);
        }
        KeyCode::Up => palette.chosen = palette.chosen.saturating_sub(1),
        KeyCode::Down => {
            palette.chosen = (palette.chosen + 1).min(found.len().saturating_sub(1));
        }
        _ => {
            palette.text.key(key);
            palette.chosen = 0;
        }
    }
    model.dialog = Some(Dialog::Palette(palette));
    Vec::new()
}
