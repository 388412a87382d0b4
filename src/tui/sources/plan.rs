//! The data to fetch now.

use std::collections::BTreeSet;

use crate::tui::dashboard::panel::Query;
use crate::tui::screens::traces::Asked;
use crate::tui::sources::evidence;
use crate::tui::zoom::Zoom;

/// The data to fetch now. The fetching tasks follow it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Each query once, however many panels show it.
    pub(crate) queries: BTreeSet<Query>,
    pub(crate) zoom: Zoom,
    /// The time at which the charts are frozen. `None` when they follow the time.
    pub(crate) end: Option<i64>,
    /// The visible alert, whose evidence is needed.
    pub(crate) evidence: Option<evidence::Wanted>,
    /// The LogQL to follow. `None` when the log is not visible.
    pub(crate) logs: Option<String>,
    /// Only of that time, in Unix milliseconds, instead of the tail.
    pub(crate) log_window: Option<(i64, i64)>,
    /// The list of traces to follow. `None` when it is not visible.
    pub(crate) traces: Option<Asked>,
    /// The trace to fetch.
    pub(crate) trace: Option<String>,
    /// The LogQL of the log panels that are seen.
    pub(crate) board_logs: BTreeSet<Query>,
    /// A seeding is under way: look more often.
    pub(crate) seeding: bool,
    /// Whether the alerts of the rules are needed.
    pub(crate) rules: bool,
}
