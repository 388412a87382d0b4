//! The caller of a request: a verified token, and the requests that it allows.

use std::sync::Arc;

use super::{ActiveDataset, Booking, Refusal};
use crate::domain::token::Token;
use crate::domain::{Place, QueueStatus, UserId};
use crate::telemetry::Step;

/// The holder of a verified token.
#[derive(Clone)]
pub struct Caller {
    pub(super) dataset: Arc<ActiveDataset>,
    pub(super) token: Token,
}

impl Booking {
    /// Verifies a token. If this server's copy of a shared queue is old, this waits for a recent one, so that the
    /// caller does not get WAIT after another server has admitted the place.
    ///
    /// # Errors
    /// [`Refusal::NoDataset`]. [`Refusal::UnknownToken`] when this server's key did not sign the token, or the token's
    /// dataset is no longer active.
    pub async fn caller(&self, token: &str) -> Result<Caller, Refusal> {
        let dataset = self.dataset()?;
        let token = self.key.verify(token).map_err(|_| Refusal::UnknownToken)?;
        if token.epoch != dataset.info().epoch {
            return Err(Refusal::UnknownToken);
        }
        dataset.coordination.catch_up(token.place).await;
        Ok(Caller { dataset, token })
    }
}

impl Caller {
    #[must_use]
    pub fn user(&self) -> UserId {
        self.token.user
    }

    #[must_use]
    pub fn place(&self) -> Place {
        self.token.place
    }

    /// Epoch and place, which together identify the token.
    #[must_use]
    pub fn rate_limit_key(&self) -> (u64, u64) {
        (self.token.epoch.0, self.token.place.0)
    }

    /// Refuses requests for another user than the token's.
    ///
    /// # Errors
    /// [`Refusal::ForeignToken`].
    pub fn require_user(&self, user: UserId) -> Result<(), Refusal> {
        if self.token.user == user {
            Ok(())
        } else {
            Err(Refusal::ForeignToken)
        }
    }

    /// Refuses a caller who is not admitted now.
    ///
    /// # Errors
    /// [`Refusal::NotAdmitted`] or [`Refusal::AdmissionEnded`].
    pub fn require_active(&self) -> Result<(), Refusal> {
        let mut step = Step::begin("queue.check");
        let standing = self
            .dataset
            .queue()
            .standing(self.token.place, self.dataset.now());
        step.note("concert.queue.status", standing.status.label());
        match standing.status {
            QueueStatus::Active => Ok(()),
            QueueStatus::Wait => Err(Refusal::NotAdmitted(standing.position - 1)),
            QueueStatus::Expired => Err(Refusal::AdmissionEnded),
        }
    }

    /// Refuses a caller who was never admitted. The admission may have ended: a hold can be paid and cancelled until it
    /// runs out. The store decides whether the place ended early.
    ///
    /// # Errors
    /// [`Refusal::NotAdmitted`].
    pub fn require_ever_admitted(&self) -> Result<(), Refusal> {
        match self.require_active() {
            Err(Refusal::AdmissionEnded) => Ok(()),
            other => other,
        }
    }

    /// Refuses a caller whose admission has ended. A caller who still waits passes.
    ///
    /// # Errors
    /// [`Refusal::AdmissionEnded`].
    pub fn require_not_ended(&self) -> Result<(), Refusal> {
        match self
            .dataset
            .queue()
            .status(self.token.place, self.dataset.now())
        {
            QueueStatus::Expired => Err(Refusal::AdmissionEnded),
            QueueStatus::Wait | QueueStatus::Active => Ok(()),
        }
    }
}
