//! A number for each performance date that moves after every commit that changed a seat of it, so
//! that a seat map is read again only when something changed.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::PerformanceDateId;

/// The numbers of one dataset, as far as this server's own commits go.
pub(super) struct DateVersions(Box<[AtomicU64]>);

impl DateVersions {
    pub(super) fn new(dates: u64) -> DateVersions {
        DateVersions((0..=dates).map(|_| AtomicU64::new(1)).collect())
    }

    /// The number of `date`; `None` when there is no such date.
    pub(super) fn get(&self, date: PerformanceDateId) -> Option<u64> {
        if date.0 < 1 {
            return None;
        }
        self.at(date).map(|version| version.load(Ordering::Acquire))
    }

    /// A seat of `date` changed.
    pub(super) fn bump(&self, date: PerformanceDateId) {
        if let Some(version) = self.at(date) {
            version.fetch_add(1, Ordering::Release);
        }
    }

    fn at(&self, date: PerformanceDateId) -> Option<&AtomicU64> {
        usize::try_from(date.0).ok().and_then(|at| self.0.get(at))
    }
}
