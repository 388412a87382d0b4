//! The counts of the audit, and the facts that it looks up.

use crate::domain::{Money, Place, ReservationId, SeatId, UserId};

/// Seats of the concert on sale by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeatCounts {
    /// Free.
    pub available: u64,
    /// Held.
    pub pending: u64,
    /// Sold.
    pub unavailable: u64,
}

/// A write that the server acknowledged and that the audit looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// This user holds this place.
    Place(Place, UserId),
    /// This reservation of this seat was made for this user.
    Reservation(ReservationId, UserId, SeatId),
    /// This reservation was paid.
    Payment(ReservationId),
    /// The sum of this user's charges is at least this amount.
    Charges(UserId, Money),
}

impl std::fmt::Display for Fact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fact::Place(place, user) => write!(f, "place {} of user {user}", place.0),
            Fact::Reservation(id, user, seat) => {
                write!(f, "reservation {id} of seat {seat} for user {user}")
            }
            Fact::Payment(id) => write!(f, "payment of reservation {id}"),
            Fact::Charges(user, sum) => write!(f, "charges of user {user} of {} in all", sum.0),
        }
    }
}
