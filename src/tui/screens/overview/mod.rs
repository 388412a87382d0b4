//! The Overview screen: the health of the sale.

pub(crate) mod draw;
pub(crate) mod keys;
pub(crate) mod sale;
pub(crate) mod view;
