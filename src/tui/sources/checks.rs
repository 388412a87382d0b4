//! The state of the comparison between sources.

use std::collections::{BTreeMap, VecDeque};

use crate::api::ops::QueueState;

/// Figures that can be compared.
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

/// The state of the checks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checks {
    /// The server's answers of the last scrape interval.
    pub(crate) told: VecDeque<(i64, QueueState)>,
    /// The number of seats that the rehearsal had sold, over the same time.
    pub(crate) sold: VecDeque<(i64, u64)>,
    /// The time from which two figures disagree.
    pub(crate) since: BTreeMap<Check, i64>,
    /// By how many seconds each source's clock is ahead.
    pub(crate) ahead: BTreeMap<&'static str, i64>,
}
