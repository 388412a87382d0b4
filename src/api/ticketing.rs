//! Bodies of the public ticketing calls. JSON, camelCase.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::integer;
pub use crate::domain::{QueueStatus, ReservationStatus, SeatStatus};

/// `POST /queue`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisterRequest {
    /// Who wants to queue.
    #[serde(deserialize_with = "integer::whole")]
    pub user_id: i64,
}

/// Answer of `POST /queue` and `GET /queue`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueEntry {
    /// The place: the n-th to register holds place n.
    pub wait_id: u64,
    /// Whose place it is.
    pub user_id: i64,
    /// How many are to be admitted up to and including this one; 0 once admitted.
    pub position_in_queue: u64,
    /// WAIT, ACTIVE or EXPIRED.
    pub status: QueueStatus,
    /// Seconds until admission by the current rate; 0 once admitted, absent while nobody can tell
    /// (admission paused, or the opening time is not set).
    pub eta_seconds: Option<f64>,
    /// Milliseconds after which to ask again.
    pub poll_after_ms: u64,
}

/// One concert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Concert {
    /// The concert's id.
    pub id: i64,
    /// Who performs.
    pub performer: String,
}

/// Answer of `GET /concerts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConcertPage {
    /// By ascending id.
    pub concerts: Vec<Concert>,
    /// Pass as `after` for the next page; absent on the last.
    pub next: Option<i64>,
}

/// One evening.
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
    /// At least one seat is AVAILABLE.
    pub available_performance_dates: Vec<PerformanceDate>,
    /// No seat is.
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
    /// In the currency's smallest unit (won).
    pub price: i64,
    /// AVAILABLE, PENDING or UNAVAILABLE.
    pub status: SeatStatus,
}

/// Answer of `GET /concerts/{concertId}/performanceDates/{performanceDateId}/seats`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Seats {
    /// AVAILABLE ones, by number.
    pub available_seats: Vec<Seat>,
    /// PENDING and UNAVAILABLE ones, by number.
    pub unavailable_seats: Vec<Seat>,
}

/// `POST /reservations`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReserveRequest {
    /// May be left out; given, it must fit the seat.
    #[serde(
        default,
        deserialize_with = "integer::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub concert_id: Option<i64>,
    /// May be left out; given, it must fit the seat.
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
    /// ISO 8601, UTC: until when it must be paid.
    pub expires_at: String,
}

/// Answer of `GET /accounts/{userId}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// In the currency's smallest unit (won).
    pub balance: i64,
}

/// `POST /accounts/{userId}/charge`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargeRequest {
    /// What to add, positive, in the currency's smallest unit (won).
    #[serde(deserialize_with = "integer::whole")]
    pub amount: i64,
}

/// Answer of `POST /accounts/{userId}/charge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Charged {
    /// ISO 8601, UTC.
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
    /// In the currency's smallest unit (won).
    pub price: i64,
    /// PENDING, PAID, EXPIRED or CANCELLED.
    pub status: ReservationStatus,
    /// ISO 8601, UTC: until when a PENDING one must be paid.
    pub expires_at: String,
}

/// Answer of `GET /users/{userId}/reservations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reservations {
    /// By ascending id.
    pub reservations: Vec<Reservation>,
    /// Pass as `after` for the next page; absent on the last.
    pub next: Option<i64>,
}

/// Answer of the health routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `ok` or `unavailable`.
    pub status: String,
    /// Part by part: `ok`, or why not.
    pub parts: std::collections::BTreeMap<String, String>,
}
