//! The life of a reservation: PENDING, then exactly one of PAID, EXPIRED, CANCELLED.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{SeatStatus, Timestamp};

/// The state of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = ReservationState)]
pub enum ReservationStatus {
    /// The seat is held until the reservation's expiry.
    Pending,
    /// Paid: the seat is sold for good.
    Paid,
    /// The hold ran out; the seat is free again.
    Expired,
    /// Cancelled by its holder; the seat is free again.
    Cancelled,
}

/// The reason why a transition of a reservation is not legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// It is paid already.
    #[error("the reservation is paid already")]
    AlreadyPaid,
    /// Its hold ran out, or its holder cancelled it.
    #[error("the reservation has expired")]
    Expired,
}

impl ReservationStatus {
    /// The code in the database.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            ReservationStatus::Pending => 0,
            ReservationStatus::Paid => 1,
            ReservationStatus::Expired => 2,
            ReservationStatus::Cancelled => 3,
        }
    }

    /// The status of a code in the database.
    #[must_use]
    pub const fn from_code(code: i64) -> Option<ReservationStatus> {
        match code {
            0 => Some(ReservationStatus::Pending),
            1 => Some(ReservationStatus::Paid),
            2 => Some(ReservationStatus::Expired),
            3 => Some(ReservationStatus::Cancelled),
            _ => None,
        }
    }

    /// A live reservation blocks its seat for all others.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, ReservationStatus::Pending | ReservationStatus::Paid)
    }

    /// The status that the seat of such a reservation must have.
    #[must_use]
    pub const fn seat(self) -> SeatStatus {
        match self {
            ReservationStatus::Pending => SeatStatus::Pending,
            ReservationStatus::Paid => SeatStatus::Unavailable,
            ReservationStatus::Expired | ReservationStatus::Cancelled => SeatStatus::Available,
        }
    }

    /// Pays at `now` a hold that ends at `expires_at` (exclusive).
    ///
    /// # Errors
    /// The reservation is paid already, or is no longer held.
    pub fn pay(
        self,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<ReservationStatus, TransitionError> {
        match self {
            ReservationStatus::Pending if now < expires_at => Ok(ReservationStatus::Paid),
            ReservationStatus::Paid => Err(TransitionError::AlreadyPaid),
            _ => Err(TransitionError::Expired),
        }
    }

    /// Cancels a hold.
    ///
    /// # Errors
    /// The reservation is paid already, or is no longer held.
    pub fn cancel(self) -> Result<ReservationStatus, TransitionError> {
        match self {
            ReservationStatus::Pending => Ok(ReservationStatus::Cancelled),
            ReservationStatus::Paid => Err(TransitionError::AlreadyPaid),
            _ => Err(TransitionError::Expired),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_leaves_a_final_state(code in 1..4_i64, now: i64, expires: i64) {
            let status = ReservationStatus::from_code(code).expect("1 to 3 are codes");
            prop_assert!(status.pay(Timestamp(now), Timestamp(expires)).is_err());
            prop_assert!(status.cancel().is_err());
        }

        #[test]
        fn a_hold_is_payable_exactly_until_it_expires(now: i64, expires: i64) {
            let paid = ReservationStatus::Pending.pay(Timestamp(now), Timestamp(expires));
            prop_assert_eq!(paid.is_ok(), now < expires);
        }

        #[test]
        fn a_live_reservation_and_an_available_seat_exclude_each_other(code in 0..4_i64) {
            let status = ReservationStatus::from_code(code).expect("0 to 3 are codes");
            prop_assert_eq!(status.is_live(), status.seat() != SeatStatus::Available);
        }
    }
}
