//! The command palette: every action of the key map by its name. Pure.

pub(crate) mod draw;
pub(crate) mod keys;

use crate::tui::input::keymap;
use crate::tui::input::keys::{Binding, Scope};
use crate::tui::input::line::Input;
use crate::tui::model::Screen;

/// The typed text, and the index of the chosen action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Palette {
    pub(crate) text: Input,
    pub(crate) chosen: usize,
}

/// The actions of `screen`, then those of every screen, whose text contains all typed words. Words instead of a
/// fuzzy matcher: 95 short texts need no ranking, and nucleo is MPL-licensed, which deny.toml does not allow.
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
    fn what_belongs_to_another_screen_is_not_offered() {
        let resolve = |screen| found(screen, "resolve the chosen").len();
        assert_eq!((resolve(Screen::Alerts), resolve(Screen::Overview)), (1, 0));
    }
}
