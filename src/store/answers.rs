//! Outcomes of writes, and which of them are stored as the answer to a keyed request.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::{Money, Place, ReservationId, Timestamp};

/// Key and fingerprint of a repeatable request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The client's key.
    pub key: String,
    /// Of route and body: a repeat must have the same.
    pub fingerprint: i64,
}

/// An answer, and whether it is the first or a repeat of one given before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keyed<T> {
    /// Decided now.
    Fresh(T),
    /// Decided before, for the same key and request; nothing was changed.
    Replayed(T),
    /// The key was used for another request.
    Mismatch,
}

/// The outcome of a reservation. Stored for repeats, so names of variants are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReserveOutcome {
    /// Held.
    Reserved {
        /// The new reservation.
        id: ReservationId,
        /// Until when it must be paid.
        expires_at: Timestamp,
    },
    /// The seat was held or sold when it was looked at.
    Taken,
    /// The seat's lock was somebody else's.
    Locked,
    /// The seat changed between look and write.
    Conflict,
    /// The user holds as many as one may.
    LimitReached,
    /// The place has ended, perhaps on another server.
    PlaceEnded,
}

/// The outcome of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChargeOutcome {
    /// Done.
    Charged {
        /// The balance after it.
        balance: Money,
        /// When.
        at: Timestamp,
    },
    /// The balance would exceed what an account can hold.
    Overflow,
    /// There is no such user.
    UnknownUser,
}

/// The outcome of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayOutcome {
    /// Paid.
    Paid,
    /// There is no such reservation.
    Unknown,
    /// It is another user's.
    Foreign,
    /// The hold ran out or was given back.
    Expired,
    /// It is paid already.
    AlreadyPaid,
    /// The balance does not cover the price.
    BalanceTooLow,
    /// The place had ended before.
    PlaceEnded,
}

/// The outcome of a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CancelOutcome {
    /// The seat is free again.
    Cancelled,
    /// There is no such live reservation.
    Unknown,
    /// It is another user's.
    Foreign,
    /// It is paid already.
    AlreadyPaid,
}

/// A place and the time of its registration: with dataset and user, all that its token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ticket {
    /// The user stands there.
    Registered {
        /// The place.
        place: Place,
        /// When it was given.
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

    /// When it was given.
    #[must_use]
    pub fn issued_at(self) -> Timestamp {
        let Ticket::Registered { issued_at, .. } = self;
        issued_at
    }
}

/// An outcome, and the places that ended with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled<T> {
    /// What became of the request.
    pub outcome: T,
    /// Places whose admission ended: paid, and without a hold that could still be paid.
    pub ended: Vec<Place>,
}

/// An outcome that can be stored as the answer to a keyed request.
pub trait Answer: Serialize + DeserializeOwned + Send + 'static {
    /// Whether a repeat gets it again. A transient one (another request was in the way, the token no
    /// longer opens the call) is never stored, and ignored where an older version stored it: the repeat
    /// is decided afresh.
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

/// Whether a stored answer, of whichever kind of request, says that the request was done.
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
