//! Recording what the sources answered, and playing a recording.

pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod tape;
pub(crate) mod view;
