//! Readiness: checks whether the database of the active dataset takes writes, and whether its coordination is
//! available. The probe writes a row at most once a second, however many readiness requests arrive.

use std::sync::Weak;
use std::time::Duration;

use tokio::time::Instant;

use super::{ActiveDataset, Booking, Refusal};
use crate::store::StoreError;

/// For this long, a later readiness request gets the same answer without a write.
const REUSE_FOR: Duration = Duration::from_secs(1);
/// The longest time for the write. A slower database is not ready.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Holds the last answer. A request keeps the lock while it writes, so only one write runs at a time.
#[derive(Default)]
pub(super) struct Probe(tokio::sync::Mutex<Option<Answer>>);

struct Answer {
    at: Instant,
    /// The dataset that the probe wrote to. The reference is weak, so that the answer does not keep a replaced dataset
    /// open.
    dataset: Weak<ActiveDataset>,
    result: Result<(), StoreError>,
}

impl Booking {
    /// Checks that the database takes writes. Reuses an answer of the last second, otherwise writes a row.
    ///
    /// # Errors
    /// [`Refusal::NoDataset`] if there is no active dataset. [`Refusal::Store`] if the write fails or takes too long.
    pub async fn check_writable(&self) -> Result<(), Refusal> {
        let dataset = self.dataset()?;
        let mut last = self.probe.0.lock().await;
        if let Some(last) = last.as_ref()
            && last.at.elapsed() < REUSE_FOR
            && std::ptr::eq(last.dataset.as_ptr(), &raw const *dataset)
        {
            return Ok(last.result.clone()?);
        }
        let written = tokio::time::timeout(TIMEOUT, dataset.store.ping()).await;
        let result = written.unwrap_or(Err(StoreError::Timeout(TIMEOUT)));
        *last = Some(Answer {
            at: Instant::now(),
            dataset: std::sync::Arc::downgrade(&dataset),
            result: result.clone(),
        });
        Ok(result?)
    }

    /// Returns whether the shared queue is available and recovered; true without a dataset. While it is not, no user is
    /// admitted.
    #[must_use]
    pub fn coordination_is_available(&self) -> bool {
        self.dataset()
            .map_or(true, |dataset| dataset.coordination.is_available())
    }
}
