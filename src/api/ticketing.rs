//! Bodies of the ticketing API: JSON, camelCase.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::integer;
pub use crate::domain::{QueueStatus, ReservationStatus, SeatStatus};

/// `POST /queue`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisterRequest {
    /// The user who joins the queue.
    #[serde(deserialize_with = "integer::whole")]
    pub user_id: i64,
}

/// Answer of `POST /queue` and `GET /queue`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueEntry {
    /// The place: the n-th user to register holds place n.
    pub wait_id: u64,
    /// The user who holds it.
    pub user_id: i64,
    /// Users still to be admitted, up to and including this one; 0 once admitted.
    pub position_in_queue: u64,
    /// WAIT, ACTIVE or EXPIRED.
    pub status: QueueStatus,
    /// Seconds until admission at the current rate; 0 once admitted. `null` while admission is paused or the opening
    /// time is not set.
    pub eta_seconds: Option<f64>,
    /// Milliseconds until the client should ask again.
    pub poll_after_ms: u64,
}

/// One concert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Concert {
    /// The concert's id.
    pub id: i64,
    /// The performer.
    pub performer: String,
}

/// Answer of `GET /concerts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConcertPage {
    /// By ascending id.
    pub concerts: Vec<Concert>,
    /// The value of `after` for the next page; `null` on the last page.
    pub next: Option<i64>,
}

/// One performance date of a concert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PerformanceDate {
    /// The date's id.
    pub id: i64,
    /// `YYYY-MM-DD`.
    pub date: String,
}

/// Answer of `GET /concerts/{concertId}/performanceDates`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PerformanceDates {
    /// Dates with at least one AVAILABLE seat.
    pub available_performance_dates: Vec<PerformanceDate>,
    /// Dates without an AVAILABLE seat.
    pub unavailable_performance_dates: Vec<PerformanceDate>,
}

/// One seat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Seat {
    /// The seat's id.
    pub id: i64,
    /// Its number on that date, from 1.
    pub number: i64,
    /// The price in the currency's smallest unit (won).
    pub price: i64,
    /// AVAILABLE, PENDING or UNAVAILABLE.
    pub status: SeatStatus,
}

/// Answer of `GET /concerts/{concertId}/performanceDates/{performanceDateId}/seats`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Seats {
    /// The AVAILABLE seats, by number.
    pub available_seats: Vec<Seat>,
    /// The PENDING and UNAVAILABLE seats, by number.
    pub unavailable_seats: Vec<Seat>,
}

/// `POST /reservations`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReserveRequest {
    /// The seat's concert. Optional; a value that does not fit the seat is refused.
    #[serde(
        default,
        deserialize_with = "integer::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub concert_id: Option<i64>,
    /// The seat's date. Optional; a value that does not fit the seat is refused.
    #[serde(
        default,
        deserialize_with = "integer::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub performance_date_id: Option<i64>,
    /// The seat to hold.
    #[serde(deserialize_with = "integer::whole")]
    pub seat_id: i64,
    /// The token's user.
    #[serde(deserialize_with = "integer::whole")]
    pub user_id: i64,
}

/// Answer of `POST /reservations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reserved {
    /// The hold's id.
    pub reservation_id: i64,
    /// The end of the hold, ISO 8601, UTC: the reservation must be paid before.
    pub expires_at: String,
}

/// Answer of `GET /accounts/{userId}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The balance in the currency's smallest unit (won).
    pub balance: i64,
}

/// `POST /accounts/{userId}/charge`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargeRequest {
    /// The amount to add in the currency's smallest unit (won); positive.
    #[serde(deserialize_with = "integer::whole")]
    pub amount: i64,
}

/// Answer of `POST /accounts/{userId}/charge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Charged {
    /// The time of the charge, ISO 8601, UTC.
    pub timestamp: String,
    /// The balance after the charge.
    pub balance: i64,
}

/// Answer of `POST /users/{userId}/reservations/{reservationId}/pay`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Paid {
    /// The reservation that is paid now.
    pub reservation_id: i64,
}

/// One reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The reservation's id.
    pub reservation_id: i64,
    /// The concert.
    pub concert_id: i64,
    /// The date.
    pub performance_date_id: i64,
    /// The seat.
    pub seat_id: i64,
    /// The price in the currency's smallest unit (won).
    pub price: i64,
    /// PENDING, PAID, EXPIRED or CANCELLED.
    pub status: ReservationStatus,
    /// The end of the hold, ISO 8601, UTC: a PENDING reservation must be paid before.
    pub expires_at: String,
}

/// Answer of `GET /users/{userId}/reservations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reservations {
    /// By ascending id.
    pub reservations: Vec<Reservation>,
    /// The value of `after` for the next page; `null` on the last page.
    pub next: Option<i64>,
}

/// Answer of the health routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `ok` or `unavailable`.
    pub status: String,
    /// The state of each part: `ok`, or the reason why it is not.
    pub parts: std::collections::BTreeMap<String, String>,
}
