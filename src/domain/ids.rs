//! Newtypes for identifiers, so that no code passes a seat where a user is meant.

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

    };
}

id! {
    /// A user of the dataset, 1-based. Only seeding creates users.
    UserId
}
id! {
    /// A concert, 1-based within a dataset.
    ConcertId
}
id! {
    /// One performance date of a concert.
    PerformanceDateId
}
id! {
    /// A seat on one performance date.
    SeatId
}
id! {
    /// A reservation of a seat.
    ReservationId
}

/// The mark of a dataset, by which tokens and places name it. It is drawn at random whenever a dataset is loaded, so
/// tokens of an earlier dataset are unknown to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);
