//! A version number for each performance date. It changes after every commit that changed a seat of the date, so a
//! seat map is read again only after a change.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::PerformanceDateId;

/// The versions of one dataset. They count only this server's own commits.
pub(super) struct DateVersions(Box<[AtomicU64]>);

impl DateVersions {
    pub(super) fn new(dates: u64) -> DateVersions {
        DateVersions((0..=dates).map(|_| AtomicU64::new(1)).collect())
    }

    /// The version of `date`. `None` when there is no such date.
    pub(super) fn get(&self, date: PerformanceDateId) -> Option<u64> {
        if date.0 < 1 {
            return None;
        }
        self.at(date).map(|version| version.load(Ordering::Acquire))
    }

    /// Records that a seat of `date` changed.
    pub(super) fn bump(&self, date: PerformanceDateId) {
        if let Some(version) = self.at(date) {
            version.fetch_add(1, Ordering::Release);
        }
    }

    fn at(&self, date: PerformanceDateId) -> Option<&AtomicU64> {
        usize::try_from(date.0).ok().and_then(|at| self.0.get(at))
    }
}
