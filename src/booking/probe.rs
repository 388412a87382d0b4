//! Readiness: checks whether the active dataset takes writes. The probe writes a row, at most once a second, however
//! many readiness requests arrive.

use std::sync::Weak;
use std::time::Duration;

use tokio::time::Instant;

use super::{ActiveDataset, Booking, Refusal};
use crate::store::StoreError;

/// The time for which an answer is reused.
const FRESH: Duration = Duration::from_secs(1);
/// A database that takes longer to write a row is not ready.
const WITHIN: Duration = Duration::from_secs(2);

/// The last answer. The lock is held during a write, so only one write runs at a time.
#[derive(Default)]
pub(super) struct Probe(tokio::sync::Mutex<Option<Answer>>);

struct Answer {
    at: Instant,
    /// The dataset that was probed. The answer must not keep a replaced dataset open, so the reference is weak.
    dataset: Weak<ActiveDataset>,
    answer: Result<(), StoreError>,
}

impl Booking {
    /// Returns whether the database takes writes. Reuses an answer of the last second, otherwise writes a row.
    ///
    /// # Errors
    /// [`Refusal::NoDataset`]; [`Refusal::Store`].
    pub async fn ping(&self) -> Result<(), Refusal> {
        let dataset = self.dataset()?;
        let mut last = self.probe.0.lock().await;
        if let Some(last) = last.as_ref()
            && last.at.elapsed() < FRESH
            && std::ptr::eq(last.dataset.as_ptr(), &raw const *dataset)
        {
            return Ok(last.answer.clone()?);
        }
        let asked = tokio::time::timeout(WITHIN, dataset.store.ping()).await;
        let answer = asked.unwrap_or(Err(StoreError::Timeout(WITHIN)));
        *last = Some(Answer {
            at: Instant::now(),
            dataset: std::sync::Arc::downgrade(&dataset),
            answer: answer.clone(),
        });
        Ok(answer?)
    }
}
