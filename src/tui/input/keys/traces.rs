//! The keys of the Traces screen.

use crossterm::event::KeyCode;

use crate::tui::input::keys::{Action, Binding, c, k, on};
use crate::tui::model::Screen;

pub(crate) const BINDINGS: &[Binding] = &[
    on(
        Screen::Traces,
        &[k(KeyCode::Enter)],
        Action::Open,
        "the trace as a waterfall; there: the span in full",
        "open",
    ),
    on(
        Screen::Traces,
        &[c('v')],
        Action::Order,
        "the slowest, the failed, the newest",
        "which",
    ),
    on(
        Screen::Traces,
        &[c('/')],
        Action::Filter,
        "filter by name, service or id",
        "filter",
    ),
    on(
        Screen::Traces,
        &[c('d')],
        Action::LeastDuration,
        "only those that took 10, 100, 500 ms, 1 s or longer",
        "duration",
    ),
    on(
        Screen::Traces,
        &[c('L')],
        Action::RecordsOf,
        "the log records of the trace",
        "logs",
    ),
    on(
        Screen::Traces,
        &[k(KeyCode::Up), c('k')],
        Action::Up,
        "up",
        "",
    ),
    on(
        Screen::Traces,
        &[k(KeyCode::Down), c('j')],
        Action::Down,
        "down",
        "",
    ),
    on(
        Screen::Traces,
        &[k(KeyCode::PageUp)],
        Action::PageUp,
        "a page up",
        "",
    ),
    on(
        Screen::Traces,
        &[k(KeyCode::PageDown)],
        Action::PageDown,
        "a page down",
        "",
    ),
    on(
        Screen::Traces,
        &[k(KeyCode::Home), c('g')],
        Action::First,
        "the first",
        "",
    ),
    on(
        Screen::Traces,
        &[k(KeyCode::End), c('G')],
        Action::Last,
        "the last",
        "",
    ),
];
