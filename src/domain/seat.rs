//! The states of a seat.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The state of a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = SeatState)]
pub enum SeatStatus {
    /// Free.
    Available,
    /// Held by a reservation that is not paid yet.
    Pending,
    /// Sold.
    Unavailable,
}

impl SeatStatus {
    /// The code in the database.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            SeatStatus::Available => 0,
            SeatStatus::Pending => 1,
            SeatStatus::Unavailable => 2,
        }
    }

    /// The status of a code in the database.
    #[must_use]
    pub const fn from_code(code: i64) -> Option<SeatStatus> {
        match code {
            0 => Some(SeatStatus::Available),
            1 => Some(SeatStatus::Pending),
            2 => Some(SeatStatus::Unavailable),
            _ => None,
        }
    }

    /// The word on the wire and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            SeatStatus::Available => "AVAILABLE",
            SeatStatus::Pending => "PENDING",
            SeatStatus::Unavailable => "UNAVAILABLE",
        }
    }
}
