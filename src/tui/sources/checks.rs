//! The state of the comparison of sources.

use std::collections::{BTreeMap, VecDeque};

use crate::api::ops::QueueState;

/// The figures that are compared.
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

/// The state of all checks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checks {
    /// The queue figures that the server reported in the last scrape interval, with their times.
    pub(crate) reported: VecDeque<(i64, QueueState)>,
    /// The number of seats that the rehearsal had sold, with their times, in the same interval.
    pub(crate) sold: VecDeque<(i64, u64)>,
    /// The time from which the two figures of a check disagree.
    pub(crate) since: BTreeMap<Check, i64>,
    /// The seconds by which each source's clock is ahead.
    pub(crate) ahead: BTreeMap<&'static str, i64>,
}
