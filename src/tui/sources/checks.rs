//! What the comparison of the sources remembers.

use std::collections::{BTreeMap, VecDeque};

use crate::api::ops::QueueState;

/// What can be held against each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    Waiting,
    Mark,
    Sold,
    Tps,
}

impl Check {
    pub(crate) const ALL: [Check; 4] = [Check::Waiting, Check::Mark, Check::Sold, Check::Tps];
}

/// What the checks remember.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checks {
    /// The server's answers of the last scrape interval.
    pub(crate) told: VecDeque<(i64, QueueState)>,
    /// What the rehearsal had sold, over the same time.
    pub(crate) sold: VecDeque<(i64, u64)>,
    /// Since when two figures disagree.
    pub(crate) since: BTreeMap<Check, i64>,
    /// By how many seconds each source's clock is ahead.
    pub(crate) ahead: BTreeMap<&'static str, i64>,
}
