//! The key map is consistent, and the documentation has the same keys.

use crossterm::event::{KeyCode, KeyModifiers};

use super::*;
use crate::tui::input::keys::Key;

#[test]
fn no_key_has_two_bindings_in_one_scope() {
    for (index, one) in all().enumerate() {
        for other in all().skip(index + 1) {
            let clash = one.keys.iter().any(|key| other.keys.contains(key));
            assert!(one.scope != other.scope || !clash, "{one:?} and {other:?}");
        }
    }
}

#[test]
fn every_key_in_the_help_does_what_the_help_says() {
    for binding in all() {
        let screen = match binding.scope {
            Scope::On(screen) => screen,
            Scope::Everywhere => Screen::Overview,
        };
        for key in binding.keys {
            let event = match *key {
                Key::Plain(code) => KeyEvent::new(code, KeyModifiers::NONE),
                Key::Ctrl(c) => KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL),
            };
            let found = lookup(screen, event).expect("bound");
            assert_eq!(found.action, binding.action, "{key}");
        }
    }
}

/// The key map as a table of the documentation.
fn table() -> String {
    let mut text = String::new();
    let groups = [("Everywhere", Scope::Everywhere)];
    let screens = Screen::ALL.iter();
    let groups = groups
        .into_iter()
        .chain(screens.map(|screen| (screen.title(), Scope::On(*screen))));
    for (title, scope) in groups {
        text.push_str(&format!("| {title} | what the key does |\n| --- | --- |\n"));
        for binding in all().filter(|binding| binding.scope == scope) {
            let off = if binding.writes { " *" } else { "" };
            let keys: Vec<_> = binding.keys.iter().map(|key| format!("`{key}`")).collect();
            text.push_str(&format!("| {} | {}{off} |\n", keys.join(" "), binding.text));
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_documented_keys_are_the_key_map() {
    let page = include_str!("../../../../docs/console.md");
    let table = table();
    assert!(
        page.contains(&table),
        "docs/console.md should hold:\n{table}"
    );
}

#[test]
fn a_modified_letter_is_not_the_letter() {
    let ctrl_s = KeyEvent::new(KeyCode::Char('s'), KeyModifiers::CONTROL);
    let alt_s = KeyEvent::new(KeyCode::Char('s'), KeyModifiers::ALT);
    assert!(lookup(Screen::Overview, ctrl_s).is_none());
    assert!(lookup(Screen::Overview, alt_s).is_none());
}
