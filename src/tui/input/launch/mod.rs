//! The dialogs that launch a rehearsal and seed a dataset.

pub(crate) mod draw;
pub(crate) mod keys;
pub(crate) mod pick_file;
