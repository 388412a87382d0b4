//! Input: the key map, the mouse, the line editor, and the dialogs with palette and forms.

pub(crate) mod dialog;
pub(crate) mod faults;
pub(crate) mod forms;
pub(crate) mod help;
pub(crate) mod history;
pub(crate) mod keymap;
pub(crate) mod keys;
pub(crate) mod launch;
pub(crate) mod line;
pub(crate) mod mouse;
pub(crate) mod palette;
pub(crate) mod play;
