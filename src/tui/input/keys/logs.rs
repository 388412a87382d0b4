//! The keys of the Logs screen.

use crossterm::event::KeyCode;

use crate::tui::input::keys::{Action, Binding, c, k, on};
use crate::tui::model::Screen;

pub(crate) const BINDINGS: &[Binding] = &[
    on(
        Screen::Logs,
        &[c('/')],
        Action::Filter,
        "filter by what the lines show, from any screen",
        "filter",
    ),
    on(
        Screen::Logs,
        &[c('v')],
        Action::Level,
        "show from INFO, WARN, ERROR, or all",
        "level",
    ),
    on(
        Screen::Logs,
        &[c('f'), c(' ')],
        Action::Freeze,
        "freeze or follow the tail",
        "freeze",
    ),
    on(
        Screen::Logs,
        &[k(KeyCode::Enter)],
        Action::Open,
        "the record in full",
        "open",
    ),
    on(
        Screen::Logs,
        &[c('t')],
        Action::TraceOf,
        "the trace of the record, also of one that is open",
        "trace",
    ),
    on(
        Screen::Logs,
        &[k(KeyCode::Up), c('k')],
        Action::Up,
        "older",
        "",
    ),
    on(
        Screen::Logs,
        &[k(KeyCode::Down), c('j')],
        Action::Down,
        "newer",
        "",
    ),
    on(
        Screen::Logs,
        &[k(KeyCode::PageUp)],
        Action::PageUp,
        "a page older",
        "",
    ),
    on(
        Screen::Logs,
        &[k(KeyCode::PageDown)],
        Action::PageDown,
        "a page newer",
        "",
    ),
    on(
        Screen::Logs,
        &[k(KeyCode::Home), c('g')],
        Action::First,
        "the oldest",
        "",
    ),
    on(
        Screen::Logs,
        &[k(KeyCode::End), c('G')],
        Action::Last,
        "the newest, and follow",
        "",
    ),
    on(
        Screen::Logs,
        &[c('0')],
        Action::Live,
        "live again, not a fixed time or a trace",
        "",
    ),
];
