//! Who calls: a verified token, and what it opens.

use std::sync::Arc;

use super::{Booking, Refusal, World};
use crate::domain::token::Token;
use crate::domain::{Place, QueueStatus, UserId};
use crate::telemetry::Step;

/// The holder of a verified token.
#[derive(Clone)]
pub struct Caller {
    pub(super) world: Arc<World>,
    pub(super) token: Token,
}

impl Booking {
    /// Verifies a token.
    ///
    /// # Errors
    /// [`Refusal::UnknownToken`] when it is forged, or of a dataset that is gone.
    pub fn caller(&self, token: &str) -> Result<Caller, Refusal> {
        let world = self.world()?;
        let token = self.key.verify(token).map_err(|_| Refusal::UnknownToken)?;
        if token.epoch != world.info().epoch {
            return Err(Refusal::UnknownToken);
        }
        Ok(Caller { world, token })
    }
}

impl Caller {
    /// Whose token it is.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.token.user
    }

    /// The token's place.
    #[must_use]
    pub fn place(&self) -> Place {
        self.token.place
    }

    /// What tells the token from all others: dataset and place.
    #[must_use]
    pub fn key(&self) -> (u64, u64) {
        (self.token.epoch.0, self.token.place.0)
    }

    /// Refuses to act for anybody but the token's user.
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

    /// Refuses whoever is not admitted at this moment.
    ///
    /// # Errors
    /// [`Refusal::NotAdmitted`] or [`Refusal::AdmissionEnded`].
    pub fn require_active(&self) -> Result<(), Refusal> {
        let mut step = Step::begin("queue.check");
        let standing = self
            .world
            .queue()
            .standing(self.token.place, self.world.now());
        step.note("concert.queue.status", standing.status.label());
        match standing.status {
            QueueStatus::Active => Ok(()),
            QueueStatus::Wait => Err(Refusal::NotAdmitted(standing.position - 1)),
            QueueStatus::Expired => Err(Refusal::AdmissionEnded),
        }
    }

    /// Refuses whoever was never admitted. Admission may have ended: what is held can be paid and given
    /// back until it runs out, and the store knows whether the place ended before its time.
    ///
    /// # Errors
    /// [`Refusal::NotAdmitted`].
    pub fn require_admitted_once(&self) -> Result<(), Refusal> {
        match self.require_active() {
            Err(Refusal::AdmissionEnded) => Ok(()),
            other => other,
        }
    }

    /// Refuses whoever's token has ended: waiting will do.
    ///
    /// # Errors
    /// [`Refusal::AdmissionEnded`].
    pub fn require_alive(&self) -> Result<(), Refusal> {
        match self
            .world
            .queue()
            .status(self.token.place, self.world.now())
        {
            QueueStatus::Expired => Err(Refusal::AdmissionEnded),
            QueueStatus::Wait | QueueStatus::Active => Ok(()),
        }
    }
}
