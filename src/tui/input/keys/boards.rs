//! The keys of Resources and Board.

use crossterm::event::KeyCode;

use crate::tui::input::keys::{Action, Binding, c, k, on};
use crate::tui::model::Screen;

pub(crate) const BINDINGS: &[Binding] = &[
    on(
        Screen::Resources,
        &[k(KeyCode::Up), c('k')],
        Action::Up,
        "the instance above",
        "",
    ),
    on(
        Screen::Resources,
        &[k(KeyCode::Down), c('j')],
        Action::Down,
        "the instance below",
        "",
    ),
    on(
        Screen::Resources,
        &[k(KeyCode::PageUp), c(',')],
        Action::Chart(false),
        "the chart before",
        "",
    ),
    on(
        Screen::Resources,
        &[k(KeyCode::PageDown), c('.')],
        Action::Chart(true),
        "the next chart",
        "next chart",
    ),
    on(
        Screen::Resources,
        &[c('e'), k(KeyCode::Enter)],
        Action::Enlarge,
        "enlarge the chosen chart, or back",
        "enlarge",
    ),
    on(
        Screen::Board,
        &[k(KeyCode::Up), c('k')],
        Action::Up,
        "the panel before",
        "",
    ),
    on(
        Screen::Board,
        &[k(KeyCode::Down), c('j')],
        Action::Down,
        "the next panel",
        "next",
    ),
    on(
        Screen::Board,
        &[k(KeyCode::PageUp)],
        Action::PageUp,
        "the section before",
        "",
    ),
    on(
        Screen::Board,
        &[k(KeyCode::PageDown)],
        Action::PageDown,
        "the next section",
        "section",
    ),
    on(
        Screen::Board,
        &[k(KeyCode::Home), c('g')],
        Action::First,
        "the first panel",
        "",
    ),
    on(
        Screen::Board,
        &[k(KeyCode::End), c('G')],
        Action::Last,
        "the last panel",
        "",
    ),
    on(
        Screen::Board,
        &[c('e'), k(KeyCode::Enter)],
        Action::Enlarge,
        "enlarge the chosen panel, or back; fold or unfold a section",
        "enlarge",
    ),
    on(
        Screen::Board,
        &[c('v')],
        Action::Pick,
        "the next value of the marked variable",
        "value",
    ),
    on(
        Screen::Board,
        &[c('V')],
        Action::NextVariable,
        "mark another variable",
        "",
    ),
];
