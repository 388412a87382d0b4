//! Newtypes for identifiers, so that a seat is never passed where a user is meant.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(s: &str) -> Result<Self, Self::Err> {
                s.parse().map(Self)
            }
        }
    };
}

id! {
    /// A registered user, 1-based within a dataset.
    UserId
}
id! {
    /// A concert, 1-based within a dataset.
    ConcertId
}
id! {
    /// One evening of a concert.
    PerformanceDateId
}
id! {
    /// A seat on one performance date.
    SeatId
}
id! {
    /// A hold on a seat, from the moment it is taken to payment, expiry or cancellation.
    ReservationId
}

/// Which dataset a token or a queue place belongs to: drawn at random whenever a dataset is loaded,
/// so that tokens of an earlier one are unknown to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);
