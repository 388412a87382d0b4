//! Outcomes of writes, and the rule that says which of them are stored as the answer to a keyed request.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::answer_codes::Coded;
use crate::domain::{Money, Place, ReservationId, Timestamp};

/// Key and fingerprint of a repeatable request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The key that the client sent.
    pub key: String,
    /// Hash of route and body. A repeat must have the same one.
    pub fingerprint: i64,
}

/// An outcome, with the information whether it is the first one or a repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keyed<T> {
    /// The request was decided now.
    Fresh(T),
    /// The same request with the same key was decided before. Nothing was changed.
    Replayed(T),
    /// The key was used for another request.
    Mismatch,
}

/// The outcome of a reservation. It is stored for repeats, so the names of its variants must stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReserveOutcome {
    /// The seat is held for the user.
    Reserved {
        /// The new reservation.
        id: ReservationId,
        /// The time at which the hold ends unless it is paid.
        expires_at: Timestamp,
    },
    /// The seat was already held or sold when the server read it.
    Taken,
    /// Another request has the seat lock.
    Locked,
    /// The seat changed between the read and the write.
    Conflict,
    /// The user already holds the largest number of seats that a user may hold.
    LimitReached,
    /// The admission of the place has ended, perhaps on another server.
    PlaceEnded,
}

/// The outcome of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChargeOutcome {
    /// The account was charged.
    Charged {
        /// The balance after the charge.
        balance: Money,
        /// The time of the charge.
        at: Timestamp,
    },
    /// The balance would exceed the largest amount that an account can hold.
    Overflow,
    /// There is no such user.
    UnknownUser,
}

/// The outcome of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayOutcome {
    /// The reservation is paid.
    Paid,
    /// There is no such reservation.
    Unknown,
    /// The reservation belongs to another user.
    Foreign,
    /// The hold expired or was cancelled.
    Expired,
    /// The reservation is already paid.
    AlreadyPaid,
    /// The balance does not cover the price.
    BalanceTooLow,
    /// The admission of the place had ended before the payment.
    PlaceEnded,
}

/// The outcome of a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CancelOutcome {
    /// The seat is free again.
    Cancelled,
    /// No live reservation has this id.
    Unknown,
    /// The reservation belongs to another user.
    Foreign,
    /// The reservation is already paid.
    AlreadyPaid,
}

/// A place and the time of its registration. With the dataset and the user, this is the content of a Wait-Token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ticket {
    /// The user is registered at this place.
    Registered {
        /// The place.
        place: Place,
        /// The time of the registration.
        issued_at: Timestamp,
    },
}

impl Ticket {
    /// The place.
    #[must_use]
    pub fn place(self) -> Place {
        let Ticket::Registered { place, .. } = self;
        place
    }

    /// The time of the registration.
    #[must_use]
    pub fn issued_at(self) -> Timestamp {
        let Ticket::Registered { issued_at, .. } = self;
        issued_at
    }
}

/// An outcome, and the places whose admission ended with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled<T> {
    /// The outcome of the request.
    pub outcome: T,
    /// Places whose admission ended: they have paid, and no hold of theirs can still be paid.
    pub ended: Vec<Place>,
}

/// An outcome that can be stored as the answer to a keyed request.
pub trait Answer: Coded + Serialize + DeserializeOwned + Send + 'static {
    /// Returns whether a repeat gets this answer again. A transient answer (another request had the lock, or the token
    /// no longer admits) is never stored. Where an older version stored one, it is ignored, and the repeat is decided
    /// again.
    fn is_final(&self) -> bool {
        true
    }
}

impl Answer for ReserveOutcome {
    fn is_final(&self) -> bool {
        match self {
            ReserveOutcome::Reserved { .. }
            | ReserveOutcome::Taken
            | ReserveOutcome::LimitReached => true,
            ReserveOutcome::Locked | ReserveOutcome::Conflict | ReserveOutcome::PlaceEnded => false,
        }
    }
}

impl Answer for PayOutcome {
    fn is_final(&self) -> bool {
        *self != PayOutcome::PlaceEnded
    }
}

impl Answer for ChargeOutcome {}
impl Answer for CancelOutcome {}
impl Answer for Ticket {}

/// Returns whether a stored answer of any kind of request says that the request was done.
pub(super) fn is_done(stored: &str) -> bool {
    fn read<T: DeserializeOwned>(stored: &str) -> Option<T> {
        serde_json::from_str(stored).ok()
    }
    matches!(read(stored), Some(ReserveOutcome::Reserved { .. }))
        || matches!(read(stored), Some(ChargeOutcome::Charged { .. }))
        || matches!(read(stored), Some(PayOutcome::Paid))
        || matches!(read(stored), Some(CancelOutcome::Cancelled))
        || matches!(read(stored), Some(Ticket::Registered { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(answer: impl Answer) -> bool {
        is_done(&serde_json::to_string(&answer).unwrap())
    }

    #[test]
    fn only_stored_successes_are_done() {
        let (at, place) = (Timestamp(2), Place(1));
        let id = ReservationId(1);
        assert!(done(ReserveOutcome::Reserved { id, expires_at: at }));
        let balance = Money(1);
        assert!(done(ChargeOutcome::Charged { balance, at }));
        assert!(done(PayOutcome::Paid));
        assert!(done(CancelOutcome::Cancelled));
        let issued_at = at;
        assert!(done(Ticket::Registered { place, issued_at }));
        assert!(!done(ReserveOutcome::Taken));
        assert!(!done(ChargeOutcome::UnknownUser));
        assert!(!done(PayOutcome::AlreadyPaid));
        assert!(!done(CancelOutcome::Unknown));
        assert!(!is_done("not JSON"));
    }
}
