//! Fetching: tasks that ask the sources and what they answered.

pub(crate) mod answers;
pub(crate) mod board_logs;
pub(crate) mod checks;
pub(crate) mod clocks;
pub(crate) mod crosscheck;
pub(crate) mod evidence;
pub(crate) mod fetch;
pub(crate) mod fetch_traces;
pub(crate) mod panels;
pub(crate) mod plan;
pub(crate) mod reason;
pub(crate) mod series;
pub(crate) mod tail;
