//! The audit: the database, checked against the rules of the sale.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Violations of the rules of the sale, and totals. They are counted in the database and do not depend on counters in
/// memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// Seats with more than one live reservation.
    pub oversold_seats: u64,
    /// PENDING or UNAVAILABLE seats without exactly one live reservation of the matching status.
    pub seats_without_reservation: u64,
    /// Live reservations whose seat has another status.
    pub reservations_without_seat: u64,
    /// Paid reservations without exactly one ledger entry of the seat's price.
    pub paid_without_ledger: u64,
    /// Ledger payments without a paid reservation.
    pub ledger_without_paid: u64,
    /// Users for whom charged − paid differs from the balance.
    pub wrong_balances: u64,
    /// Places that two users hold, or users with two live places.
    pub duplicate_places: u64,
    /// AVAILABLE seats of the concert on sale.
    pub seats_available: u64,
    /// PENDING seats of the concert on sale.
    pub seats_pending: u64,
    /// UNAVAILABLE (sold) seats of the concert on sale.
    pub seats_sold: u64,
    /// All reservations of this dataset.
    pub reservations: u64,
    /// Paid reservations.
    pub reservations_paid: u64,
    /// All places handed out in this dataset.
    pub places: u64,
}

impl Audit {
    /// The number of violations; 0 is a clean audit.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.oversold_seats
            + self.seats_without_reservation
            + self.reservations_without_seat
            + self.paid_without_ledger
            + self.ledger_without_paid
            + self.wrong_balances
            + self.duplicate_places
    }
}
