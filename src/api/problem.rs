//! Errors on the wire: RFC 9457 problem documents with a stable code.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $title:literal;)*) => {
        /// Every error of the API, by its stable code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $code)] #[schema(rename = $code)] $name,)*
        }

        impl ErrorCode {
            /// All codes.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name),*];

            /// The stable code on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$name => $code),* }
            }

            /// The HTTP status of the answer.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(ErrorCode::$name => $status),* }
            }

            /// A short summary, the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(ErrorCode::$name => $title),* }
            }
        }
    };
}

codes! {
    /// Body, path, query or header is not what the call takes.
    RequestMalformed = "request.malformed", 400, "The request is malformed";
    /// The body is larger than the limit.
    RequestTooLarge = "request.too-large", 413, "The request body is too large";
    /// The body did not arrive in time.
    RequestTimeout = "request.timeout", 408, "The request did not arrive in time";
    /// The body is not JSON by its content type.
    RequestMediaType = "request.media-type", 415, "The request body must be application/json";
    /// The `Expect` header asks for something that the server does not support.
    RequestExpectation = "request.expectation", 417, "The expectation cannot be met";
    /// The token sends more requests than one client may.
    RateLimited = "token.rate-limited", 429, "The token asks too often";
    /// There is no such path.
    RouteUnknown = "route.unknown", 404, "There is no such path";
    /// The path does not take this method.
    RouteMethod = "route.method", 405, "The path does not take this method";
    /// No `Wait-Token` header.
    TokenMissing = "token.missing", 400, "The Wait-Token header is missing";
    /// The token is unknown or forged.
    TokenUnknown = "token.unknown", 404, "The token is not known";
    /// The token is unknown or forged, on a call that needs a token.
    TokenRefused = "token.refused", 403, "The token does not open this call";
    /// The token is another user's.
    TokenForeign = "token.foreign", 403, "The token belongs to another user";
    /// Not admitted yet.
    QueueNotAdmitted = "queue.not-admitted", 403, "The user is not admitted yet";
    /// The admission ended: by its time, or with its last hold after a payment.
    QueueExpired = "queue.expired", 403, "The admission has ended";
    /// The user is in the queue already.
    QueueAlreadyRegistered = "queue.already-registered", 409, "The user is in the queue already";
    /// The user does not exist.
    UserUnknown = "user.unknown", 400, "There is no such user";
    /// The user has no account.
    AccountUnknown = "account.unknown", 404, "There is no such account";
    /// There is no such concert.
    ConcertUnknown = "concert.unknown", 404, "There is no such concert";
    /// There is no such performance date.
    DateUnknown = "date.unknown", 404, "There is no such performance date";
    /// There is no such seat.
    SeatUnknown = "seat.unknown", 404, "There is no such seat";
    /// The seat is not on the date or concert that was given with it.
    SeatMismatch = "seat.mismatch", 400, "The seat does not belong to that concert or date";
    /// The seat is held or sold.
    SeatTaken = "seat.taken", 409, "The seat is taken";
    /// Another request is reserving the seat at this moment.
    SeatLocked = "seat.locked", 409, "Another request is reserving the seat";
    /// The user has as many live reservations as allowed.
    ReservationLimit = "reservation.limit", 409, "The user holds as many reservations as allowed";
    /// The reservation does not exist (a path that names the reservation alone).
    ReservationUnknown = "reservation.unknown", 404, "There is no such reservation";
    /// The user has no such reservation to pay.
    ReservationNotPayable = "reservation.not-payable", 400, "There is no such reservation to pay";
    /// The hold ran out.
    ReservationExpired = "reservation.expired", 400, "The reservation has expired";
    /// The reservation is another user's.
    ReservationForeign = "reservation.foreign", 403, "The reservation belongs to another user";
    /// The reservation is paid already.
    ReservationPaid = "reservation.paid", 409, "The reservation is paid already";
    /// The amount is not positive, is above the limit, or would overflow the balance.
    AmountInvalid = "amount.invalid", 400, "The amount cannot be charged";
    /// The balance does not cover the price.
    BalanceTooLow = "balance.too-low", 409, "The balance is too low";
    /// The idempotency key was used with another request.
    IdempotencyMismatch = "idempotency.mismatch", 409, "The idempotency key was used for another request";
    /// The key is empty, too long or not plain ASCII.
    IdempotencyMalformed = "idempotency.malformed", 400, "The idempotency key is malformed";
    /// The request addresses the operations listener by a host name that is not its own.
    OpsHost = "ops.host-refused", 421, "The listener does not answer to this host name";
    /// A web page of another site sent the request.
    OpsOrigin = "ops.origin-refused", 403, "The request comes from another site";
    /// The request changes something or names users, and carries no valid bearer token.
    OpsUnauthorized = "ops.unauthorized", 401, "The operations token is missing or wrong";
    /// Another operation of the same kind runs, or the state does not allow the operation.
    OpsConflict = "ops.conflict", 409, "The operation cannot run now";
    /// No dataset is loaded.
    DatasetMissing = "dataset.missing", 503, "No dataset is loaded";
    /// A limit on concurrent work was reached.
    Overloaded = "service.overloaded", 503, "The service is busy";
    /// The answer was not ready before the request time-out.
    Timeout = "service.timeout", 503, "The service did not answer in time";
    /// The write, or a copy of it, was still running at the time-out: it may be done. A repeat with the same
    /// idempotency key gets its outcome.
    OutcomeUnknown = "outcome.unknown", 503, "The outcome of the write is not known yet";
    /// The database cannot be used at the moment.
    StoreUnavailable = "service.store-unavailable", 503, "The database is not available";
    /// A defect of the server. The trace id leads to its log records.
    Internal = "service.internal", 500, "Something went wrong";
}

/// An RFC 9457 problem document, `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `urn:concertctl:problem:<code>`
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every occurrence of the code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, as a sentence.
    pub detail: String,
    /// The stable code, for programs.
    pub code: ErrorCode,
    /// The trace id of the request; log records and trace carry it.
    pub trace_id: String,
}

impl Problem {
    /// The document's content type.
    pub const CONTENT_TYPE: &str = "application/problem+json";

    /// A problem with this code and detail.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>, trace_id: impl Into<String>) -> Problem {
        Problem {
            kind: format!("urn:concertctl:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            code,
            trace_id: trace_id.into(),
        }
    }
}
