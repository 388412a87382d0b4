//! Keys, mouse, and what stands in front of a screen: palette, forms, dialogs.

pub(crate) mod dialog;
pub(crate) mod forms;
pub(crate) mod help;
pub(crate) mod history;
pub(crate) mod keymap;
pub(crate) mod keys;
pub(crate) mod launch;
pub(crate) mod line;
pub(crate) mod mouse;
pub(crate) mod palette;
