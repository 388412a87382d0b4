//! The command palette: every action of the key map by its name. Pure.

pub(crate) mod draw;
pub(crate) mod keys;

use crate::tui::input::line::Input;

/// The typed text, and the index of the chosen action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Palette {
    pub(crate) text: Input,
    pub(crate) chosen: usize,
}
