//! The plan: the data to fetch now.

use std::collections::BTreeSet;

use crate::tui::dashboard::panel::Query;
use crate::tui::screens::traces::Asked;
use crate::tui::sources::evidence;
use crate::tui::zoom::Zoom;

/// The data to fetch now. The polls read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The PromQL queries, each once even if several panels show it.
    pub(crate) queries: BTreeSet<Query>,
    pub(crate) zoom: Zoom,
    /// The time at which the charts are frozen; `None` while they are live.
    pub(crate) end: Option<i64>,
    /// The visible alert, whose evidence to fetch.
    pub(crate) evidence: Option<evidence::Wanted>,
    /// The LogQL of the log; `None` while the log is not visible.
    pub(crate) logs: Option<String>,
    /// The time range of the log, in Unix milliseconds; `None` for the tail.
    pub(crate) log_window: Option<(i64, i64)>,
    /// The list of traces; `None` while it is not visible.
    pub(crate) traces: Option<Asked>,
    /// The trace to fetch.
    pub(crate) trace: Option<String>,
    /// The LogQL of the visible log panels.
    pub(crate) board_logs: BTreeSet<Query>,
    /// Whether a seeding is under way, so that its progress is polled more often.
    pub(crate) seeding: bool,
    /// Whether to fetch the alerts of the rules.
    pub(crate) rules: bool,
}
