//! Bodies of the operations API, `/ops/v1/…`: JSON, camelCase. Writes need the bearer token.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::integer;

/// `GET /ops/v1/audit`.
pub use crate::domain::audit::Audit;
/// The source of the rate of admission: the settings, or the objective.
pub use crate::domain::queue::Follow;

pub use super::faults::{ActiveFault, Fault, FaultKind, FaultList, FaultRequest, LinkCut};

/// `GET /ops/v1/status`: what the console's header and the load generator need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The server's version.
    pub version: String,
    /// The address of the ticketing API, `host:port`.
    pub api_addr: String,
    /// The loaded dataset; absent before the first seeding.
    pub dataset: Option<Dataset>,
    /// The queue.
    pub queue: QueueState,
    /// The admission settings, and what they decide now.
    pub admission: AdmissionState,
    /// Consoles that asked within the last ten seconds. A console sends the header `Concertctl-Console` with a value of
    /// its own.
    #[serde(default)]
    pub consoles: u64,
    /// The resident memory of the server in bytes; absent where the system does not report it.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
}

/// The request header with which a console identifies itself.
pub const CONSOLE_HEADER: &str = "concertctl-console";

/// A loaded dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dataset {
    /// The profile's name.
    pub profile: String,
    /// The number of concerts.
    pub concerts: u64,
    /// The number of performance dates.
    pub dates: u64,
    /// The number of seats.
    pub seats: u64,
    /// The number of users; their ids are 1 to this.
    pub users: u64,
    /// The concert on sale.
    pub on_sale_concert: i64,
    /// The number of its seats; their ids are 1 to this.
    pub on_sale_seats: u64,
    /// The number of its popular seats; their ids are 1 to this.
    pub popular_seats: u64,
    /// Seats per performance date.
    pub seats_per_date: u64,
    /// The time of the seeding, ISO 8601, UTC.
    pub seeded_at: String,
}

/// The counts of the queue.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct QueueState {
    /// Places given so far.
    pub registered: u64,
    /// The watermark: every place up to this one is admitted.
    pub admitted_mark: u64,
    /// Places beyond the watermark.
    pub waiting: u64,
    /// Users who are admitted and whose admission has not ended.
    pub active: u64,
}

/// The admission settings, and what they decide now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionState {
    /// Places that one batch admits.
    pub batch: u64,
    /// Milliseconds between two batches.
    pub every_ms: u64,
    /// While paused, no batch is admitted.
    pub paused: bool,
    /// The opening time in Unix milliseconds; absent: the sale is closed until an operator opens it.
    pub opens_at_ms: Option<i64>,
    /// Whether the sale is open now.
    pub open: bool,
    /// Whether admission follows the settings or the objective. With the objective, batch and interval are the upper
    /// limit.
    #[serde(default)]
    pub follow: Follow,
    /// Users admitted a second at present.
    #[serde(default)]
    pub rate: f64,
}

/// `PUT /ops/v1/admission`: absent fields stay unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdmissionChange {
    /// Places that one batch admits, 1 to 1,000,000.
    #[serde(
        default,
        deserialize_with = "integer::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub batch: Option<u64>,
    /// Milliseconds between two batches, 100 to 3,600,000.
    #[serde(
        default,
        deserialize_with = "integer::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub every_ms: Option<u64>,
    /// `true` pauses admission, `false` resumes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Open now, close until opened by hand, or open at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<Opening>,
    /// Whether admission follows the settings or the objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<Follow>,
}

/// When the sale opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Opening {
    /// At once: the first batch is due now.
    Now,
    /// When an operator opens it.
    Closed,
    /// At this time, Unix milliseconds.
    At(#[serde(deserialize_with = "integer::whole")] i64),
}

/// `POST /ops/v1/seed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedRequest {
    /// The name of a profile that the server has …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// … or the text of a profile file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_yaml: Option<String>,
    /// Replaces the loaded dataset. Without it the server refuses when a dataset is loaded (409).
    #[serde(default)]
    pub replace: bool,
}

/// The phase of a seeding.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum SeedPhase {
    /// No seeding was asked for.
    #[default]
    Idle,
    /// Writes rows beside the old dataset.
    Running,
    /// Done: the new dataset is active.
    Done,
    /// Cancelled: the old dataset is active.
    Cancelled,
    /// Failed: the old dataset is active.
    Failed,
}

/// Answer of `GET`, `POST` and `DELETE /ops/v1/seed`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeedProgress {
    /// The phase.
    pub phase: SeedPhase,
    /// The profile's name.
    pub profile: String,
    /// Rows written so far.
    pub rows_done: u64,
    /// Rows in all.
    pub rows_total: u64,
    /// Rows a second so far.
    pub rows_per_second: f64,
    /// Seconds since the start.
    pub elapsed_seconds: f64,
    /// Seconds left at the rate so far; absent before the first rows.
    pub seconds_left: Option<f64>,
    /// The reason of a failure.
    pub error: Option<String>,
}

/// The largest number of facts in one look-up.
pub const LOOKUP_MAX: usize = 10_000;

/// `POST /ops/v1/audit/lookup`: which of these acknowledged facts are missing from the database? At most [`LOOKUP_MAX`]
/// in all. It only reads, but it names users, so it needs the bearer token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LookupRequest {
    /// Registrations: place and user.
    #[serde(default)]
    pub places: Vec<PlaceFact>,
    /// Reservations: id, user and seat.
    #[serde(default)]
    pub reservations: Vec<ReservationFact>,
    /// Paid reservations by id.
    #[serde(default, deserialize_with = "integer::list")]
    pub payments: Vec<i64>,
    /// Acknowledged charges, added up by user.
    #[serde(default)]
    pub charges: Vec<ChargeFact>,
    /// Idempotency keys of writes that failed for the client: was the write done?
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyFact>,
}

/// An acknowledged registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlaceFact {
    /// The place.
    #[serde(deserialize_with = "integer::whole")]
    pub place: u64,
    /// The user who holds it.
    #[serde(deserialize_with = "integer::whole")]
    pub user_id: i64,
}

/// An acknowledged reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservationFact {
    /// The reservation.
    #[serde(deserialize_with = "integer::whole")]
    pub reservation_id: i64,
    /// The user who made it.
    #[serde(deserialize_with = "integer::whole")]
    pub user_id: i64,
    /// The reserved seat.
    #[serde(deserialize_with = "integer::whole")]
    pub seat_id: i64,
}

/// The sum of a user's acknowledged charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargeFact {
    /// The user whose account was charged.
    #[serde(deserialize_with = "integer::whole")]
    pub user_id: i64,
    /// The ledger must hold at least this much in charges, in the currency's smallest unit (won).
    #[serde(deserialize_with = "integer::whole")]
    pub at_least: i64,
}

/// The idempotency key of a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyFact {
    /// The user who wrote.
    pub user_id: i64,
    /// The `Idempotency-Key` of the request.
    pub key: String,
}

/// Answer of the look-up: how many facts are missing, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LookupAnswer {
    /// Facts looked up, without the keys.
    pub checked: u64,
    /// Facts that are not in the database.
    pub missing: u64,
    /// The first missing facts as text.
    pub examples: Vec<String>,
    /// The keys whose write was done. A stored refusal counts as not done. Absent when the request names no key, or
    /// when the server does not look up keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Vec<KeyFact>>,
}
