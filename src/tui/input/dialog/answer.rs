//! The result of a key in a dialog, and the keys that dialogs share.

use crossterm::event::{KeyCode, KeyEvent};

use crate::tui::event::Effect;
use crate::tui::input::dialog::Dialog;
use crate::tui::model::Model;

/// The dialog after a key.
pub(crate) enum After {
    Keep(Dialog),
    /// The dialog stays open while the effect runs.
    Ask(Dialog, Effect),
    Close(Vec<Effect>),
}

pub(crate) fn chosen(key: KeyEvent, at: usize, rows: usize) -> Option<usize> {
    let last = rows.saturating_sub(1);
    match key.code {
        KeyCode::Up | KeyCode::Char('k') => Some(at.saturating_sub(1)),
        KeyCode::Down | KeyCode::Char('j') => Some((at + 1).min(last)),
        KeyCode::Home => Some(0),
        KeyCode::End => Some(last),
        _ => None,
    }
}

pub(crate) fn is_yes(key: KeyEvent) -> bool {
    matches!(key.code, KeyCode::Char('y' | 'Y'))
}

pub(crate) fn is_no(key: KeyEvent) -> bool {
    matches!(key.code, KeyCode::Char('n' | 'N' | 'q'))
}

/// Returns whether a seeding would replace a dataset.
pub(crate) fn would_replace(model: &Model) -> bool {
    let status = model.status.as_ref();
    status.is_some_and(|status| status.dataset.is_some())
}
