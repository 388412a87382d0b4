//! Records the answers of the sources, and plays recordings.

pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod tape;
pub(crate) mod view;
