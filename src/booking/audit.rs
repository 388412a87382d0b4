//! The audit: checks the database against the rules of the sale.

use super::{Booking, Refusal, UserId};
use crate::store::{Audit, Fact};

impl Booking {
    /// Audits the whole database: counts violations and totals.
    ///
    /// # Errors
    /// [`Refusal::NoDataset`], or the store's.
    pub async fn audit(&self) -> Result<Audit, Refusal> {
        Ok(self.dataset()?.store.audit().await?)
    }

    /// The `facts` that the database does not hold.
    ///
    /// # Errors
    /// [`Refusal::NoDataset`], or the store's.
    pub async fn missing(&self, facts: Vec<Fact>) -> Result<Vec<Fact>, Refusal> {
        Ok(self.dataset()?.store.missing(facts).await?)
    }

    /// For each idempotency key, whether its write was done. A stored refusal is not done.
    ///
    /// # Errors
    /// [`Refusal::NoDataset`], or the store's.
    pub async fn done(&self, keys: Vec<(UserId, String)>) -> Result<Vec<bool>, Refusal> {
        Ok(self.dataset()?.store.done(keys).await?)
    }

    /// Returns whether the coordination answers. While it does not, admission is paused.
    #[must_use]
    pub fn coordination_answers(&self) -> bool {
        self.dataset()
            .map_or(true, |dataset| dataset.coordination.is_available())
    }
}
