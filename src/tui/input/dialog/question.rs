//! A question that asks before its effects are carried out.

use crate::tui::event::Effect;

/// A question with yes or no.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) title: &'static str,
    pub(crate) lines: Vec<String>,
    /// The text for the effect of `y`.
    pub(crate) yes: &'static str,
    pub(crate) effects: Vec<Effect>,
}
