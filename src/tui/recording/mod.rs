//! Records the answers of the sources, and plays recordings.

pub(crate) mod format;
pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod view;
