//! The keys of the palette.

use crossterm::event::{KeyCode, KeyEvent};

use crate::tui::event::Effect;
use crate::tui::input::dialog::Dialog;
use crate::tui::input::keymap;
use crate::tui::input::keys::{Binding, Scope};
use crate::tui::input::palette::Palette;
use crate::tui::model::{Model, Screen};
use crate::tui::screens::act::run;

/// Handles a key while the palette is open.
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

/// The actions whose text contains all typed words: those of `screen`, then those of every screen. There is no fuzzy
/// matcher, because 95 short texts need no ranking, and nucleo's licence (MPL) is not allowed by deny.toml.
pub(crate) fn found(screen: Screen, text: &str) -> Vec<&'static Binding> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let holds = |binding: &&Binding| {
        let name = binding.text.to_lowercase();
        words.iter().all(|word| name.contains(word.as_str()))
    };
    let of = |scope: Scope| keymap::all().filter(move |binding| binding.scope == scope);
    of(Scope::On(screen))
        .chain(of(Scope::Everywhere))
        .filter(holds)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::input::keys::Action;

    #[test]
    fn an_action_is_found_by_words_in_any_order_and_case() {
        let actions = |text| {
            found(Screen::Overview, text)
                .iter()
                .map(|b| b.action)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            actions("ADMISSION pause").first(),
            Some(&Action::PauseAdmission)
        );
        assert_eq!(actions("no such action at all"), []);
        assert!(actions("").len() > 15);
    }

    #[test]
    fn the_palette_offers_no_action_of_another_screen() {
        let resolve = |screen| found(screen, "resolve the chosen").len();
        assert_eq!((resolve(Screen::Alerts), resolve(Screen::Overview)), (1, 0));
    }
}
