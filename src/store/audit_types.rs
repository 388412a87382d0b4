//! What the audit counts.

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

/// Violations of the business truth, and totals, counted in the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditCounts {
    /// Seats with more than one live reservation.
    pub oversold_seats: u64,
    /// Held or sold seats without exactly one matching reservation.
    pub seats_without_reservation: u64,
    /// Live reservations whose seat says otherwise.
    pub reservations_without_seat: u64,
    /// Paid reservations without exactly one ledger entry of their price.
    pub paid_without_ledger: u64,
    /// Ledger payments without a paid reservation.
    pub ledger_without_paid: u64,
    /// Users whose charged − paid is not their balance.
    pub wrong_balances: u64,
    /// Users with more than one place that has not ended.
    pub duplicate_places: u64,
    /// Seats of the concert on sale.
    pub seats: SeatCounts,
    /// Reservations ever made.
    pub reservations: u64,
    /// Of those, paid.
    pub reservations_paid: u64,
    /// Places ever given.
    pub places: u64,
}

/// Something that a client was told, to be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// This user holds this place.
    Place(Place, UserId),
    /// This reservation of this seat was made for this user.
    Reservation(ReservationId, UserId, SeatId),
    /// This reservation was paid.
    Payment(ReservationId),
    /// This user's charges add up to at least this.
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
