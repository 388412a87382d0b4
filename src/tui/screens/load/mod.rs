//! The Load screen: rehearsals.

pub(crate) mod draw;
pub(crate) mod keys;
pub(crate) mod run;
pub(crate) mod steering;
pub(crate) mod thresholds;
pub(crate) mod verdict;
pub(crate) mod view;
