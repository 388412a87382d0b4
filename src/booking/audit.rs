//! The audit: checks the active dataset against the rules of the sale, and looks up writes that a client reports.

use super::{Booking, Refusal, UserId};
use crate::store::{Audit, Fact};

impl Booking {
    /// Audits the active dataset: counts violations of the rules of the sale, and totals. One audit runs at a time. All
    /// requests that arrived before it began get its result, so many of them cannot take the connections of users.
    ///
    /// # Errors
    /// [`Refusal::NoDataset`], or [`Refusal::Store`].
    pub async fn audit(&self) -> Result<Audit, Refusal> {
        let dataset = self.dataset()?;
        // An older result is never reused.
        let audit = dataset.audits.get(|_| false, || dataset.store.audit());
        Ok((*audit.await?).clone())
    }

    /// The `facts` that the active dataset does not hold.
    ///
    /// # Errors
    /// [`Refusal::NoDataset`], or [`Refusal::Store`].
    pub async fn missing_facts(&self, facts: Vec<Fact>) -> Result<Vec<Fact>, Refusal> {
        Ok(self.dataset()?.store.missing(facts).await?)
    }

    /// Returns for each idempotency key whether its write was done. A stored refusal counts as not done.
    ///
    /// # Errors
    /// [`Refusal::NoDataset`], or [`Refusal::Store`].
    pub async fn writes_done(&self, keys: Vec<(UserId, String)>) -> Result<Vec<bool>, Refusal> {
        Ok(self.dataset()?.store.done(keys).await?)
    }
}
