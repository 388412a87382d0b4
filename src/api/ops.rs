//! Bodies of the operations listener: `/ops/v1/…`. JSON, camelCase. Writes need the bearer token.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::integer;

/// `GET /ops/v1/audit`.
pub use crate::domain::audit::Audit;
/// What decides how many are admitted.
pub use crate::domain::queue::Follow;

pub use super::faults::{ActiveFault, Fault, FaultKind, FaultList, FaultRequest, LinkCut};

/// `GET /ops/v1/status`: what the console's header and the load generator need at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The server's version.
    pub version: String,
    /// Where the ticketing API listens, `host:port`.
    pub api_addr: String,
    /// What is loaded; absent before the first seeding.
    pub dataset: Option<Dataset>,
    /// The queue now.
    pub queue: QueueState,
    /// How admission is set.
    pub admission: AdmissionState,
    /// Consoles that asked within the last ten seconds: requests with the header
    /// `Concertctl-Console`, each console with a value of its own.
    #[serde(default)]
    pub consoles: u64,
}

/// The request header by which consoles are counted.
pub const CONSOLE_HEADER: &str = "concertctl-console";

/// A loaded dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dataset {
    /// The profile's name.
    pub profile: String,
    /// How many concerts.
    pub concerts: u64,
    /// How many performance dates in all.
    pub dates: u64,
    /// How many seats in all.
    pub seats: u64,
    /// How many users, ids 1 to this.
    pub users: u64,
    /// The concert whose seats people fight for.
    pub on_sale_concert: i64,
    /// Its seats are ids 1 to this.
    pub on_sale_seats: u64,
    /// Of those, ids 1 to this are the popular ones.
    pub popular_seats: u64,
    /// Seats per performance date.
    pub seats_per_date: u64,
    /// ISO 8601, UTC.
    pub seeded_at: String,
}

/// The queue's numbers.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct QueueState {
    /// Places given so far.
    pub registered: u64,
    /// Everyone up to this place is admitted.
    pub admitted_mark: u64,
    /// Places beyond the watermark.
    pub waiting: u64,
    /// Admitted, and not ended.
    pub active: u64,
}

/// How admission is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionState {
    /// How many places one batch admits.
    pub batch: u64,
    /// Milliseconds between two batches.
    pub every_ms: u64,
    /// While paused, no batch is admitted.
    pub paused: bool,
    /// Unix milliseconds before which no batch is admitted; absent: closed until somebody opens the sale.
    pub opens_at_ms: Option<i64>,
    /// Whether the sale is open now.
    pub open: bool,
    /// What decides how many are admitted; batch and interval are the most.
    #[serde(default)]
    pub follow: Follow,
    /// People admitted a second, as decided now.
    #[serde(default)]
    pub rate: f64,
}

/// `PUT /ops/v1/admission`: absent fields stay unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdmissionChange {
    /// 1 to 1,000,000.
    #[serde(
        default,
        deserialize_with = "integer::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub batch: Option<u64>,
    /// 100 to 3,600,000.
    #[serde(
        default,
        deserialize_with = "integer::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub every_ms: Option<u64>,
    /// Pause or resume admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Open now, close until opened by hand, or open at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<Opening>,
    /// What decides how many are admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<Follow>,
}

/// When the sale opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Opening {
    /// At once: the first batch goes in now.
    Now,
    /// Not before somebody opens it.
    Closed,
    /// At this time, Unix milliseconds.
    At(#[serde(deserialize_with = "integer::whole")] i64),
}

/// `POST /ops/v1/seed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedRequest {
    /// A profile that the server knows by name …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// … or the text of a profile file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_yaml: Option<String>,
    /// Replace what is there. Without it a loaded dataset is left alone (409).
    #[serde(default)]
    pub replace: bool,
}

/// Where a seeding stands.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum SeedPhase {
    /// None was asked for.
    #[default]
    Idle,
    /// Writing rows beside the old dataset.
    Running,
    /// Done: the new dataset is in use.
    Done,
    /// Cancelled: the old dataset is in use.
    Cancelled,
    /// Failed: the old dataset is in use.
    Failed,
}

/// `GET /ops/v1/seed`, and the answer of POST and DELETE there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeedProgress {
    /// Where it stands.
    pub phase: SeedPhase,
    /// The profile's name.
    pub profile: String,
    /// Rows written so far.
    pub rows_done: u64,
    /// Rows in all.
    pub rows_total: u64,
    /// Rows per second so far.
    pub rows_per_second: f64,
    /// Seconds since it began.
    pub elapsed_seconds: f64,
    /// Seconds left by the rate so far; absent before there is one.
    pub seconds_left: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Most facts that one look-up takes.
pub const LOOKUP_MAX: usize = 10_000;

/// `POST /ops/v1/audit/lookup`: are these acknowledged facts in the database? At most
/// [`LOOKUP_MAX`] in all. A read; it needs the bearer token all the same, since it names users.
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
    /// Sum of acknowledged charges by user.
    #[serde(default)]
    pub charges: Vec<ChargeFact>,
    /// Idempotency keys of writes that the client saw fail: was the write done all the same?
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
    /// Whose it is.
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
    /// Whose it is.
    #[serde(deserialize_with = "integer::whole")]
    pub user_id: i64,
    /// Of which seat.
    #[serde(deserialize_with = "integer::whole")]
    pub seat_id: i64,
}

/// What a user's acknowledged charges add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargeFact {
    /// The account.
    #[serde(deserialize_with = "integer::whole")]
    pub user_id: i64,
    /// The ledger must hold at least this much in charges.
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

/// Answer of the look-up: what is missing, with the first few by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LookupAnswer {
    /// Facts looked up, keys aside.
    pub checked: u64,
    /// Facts that are not in the database.
    pub missing: u64,
    /// The first missing ones, for people.
    pub examples: Vec<String>,
    /// Those of the keys whose write was done. A stored refusal is not done. Absent when no key was
    /// asked about, or when the server does not look up keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Vec<KeyFact>>,
}
