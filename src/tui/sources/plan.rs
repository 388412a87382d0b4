//! What is to be fetched at the moment.

use std::collections::BTreeSet;

use crate::tui::dashboard::panel::Query;
use crate::tui::screens::traces::Asked;
use crate::tui::sources::evidence;
use crate::tui::zoom::Zoom;

/// What is to be fetched at the moment. The tasks that fetch follow it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Each query once, however many panels show it.
    pub(crate) queries: BTreeSet<Query>,
    pub(crate) zoom: Zoom,
    /// Where the charts stand still; absent: they follow the time.
    pub(crate) end: Option<i64>,
    /// The alert whose evidence is looked at.
    pub(crate) evidence: Option<evidence::Wanted>,
    /// The LogQL to follow; absent: nobody looks.
    pub(crate) logs: Option<String>,
    /// Only of that time, in Unix milliseconds, instead of the tail.
    pub(crate) log_window: Option<(i64, i64)>,
    /// The list of traces to follow; absent: nobody looks.
    pub(crate) traces: Option<Asked>,
    /// The trace to fetch.
    pub(crate) trace: Option<String>,
    /// The LogQL of the log panels that are seen.
    pub(crate) board_logs: BTreeSet<Query>,
    /// A seeding is under way: look more often.
    pub(crate) seeding: bool,
    /// What the rules hold.
    pub(crate) rules: bool,
}
