//! The Overview screen: is the sale healthy?

pub(crate) mod draw;
pub(crate) mod keys;
pub(crate) mod sale;
pub(crate) mod view;
