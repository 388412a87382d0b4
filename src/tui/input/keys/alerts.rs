//! The keys of the Alerts screen that look; those that act are with the other actions.

use crossterm::event::KeyCode;

use crate::tui::input::keys::{Action, Binding, c, k, on};
use crate::tui::model::Screen;

pub(crate) const BINDINGS: &[Binding] = &[
    on(
        Screen::Alerts,
        &[k(KeyCode::Up), c('k')],
        Action::Up,
        "up the list",
        "",
    ),
    on(
        Screen::Alerts,
        &[k(KeyCode::Down), c('j')],
        Action::Down,
        "down the list",
        "",
    ),
    on(
        Screen::Alerts,
        &[k(KeyCode::PageDown)],
        Action::PageDown,
        "further down what is said of the alert",
        "",
    ),
    on(
        Screen::Alerts,
        &[k(KeyCode::PageUp)],
        Action::PageUp,
        "further up",
        "",
    ),
    on(
        Screen::Alerts,
        &[k(KeyCode::Home), c('g')],
        Action::First,
        "the top of the list, and stay there",
        "",
    ),
    on(
        Screen::Alerts,
        &[k(KeyCode::End), c('G')],
        Action::Last,
        "the last of the list",
        "",
    ),
    on(
        Screen::Alerts,
        &[k(KeyCode::Enter)],
        Action::Open,
        "the alert in full: its rule, its chart, the error records",
        "open",
    ),
    on(
        Screen::Alerts,
        &[c('L')],
        Action::RecordsOf,
        "the error records of its time, and on to their traces",
        "errors",
    ),
    Binding {
        writes: true,
        ..on(
            Screen::Alerts,
            &[c('r')],
            Action::Resolve,
            "resolve the chosen alert",
            "resolve",
        )
    },
];
