//! Error answers.
//!
//! Handlers return [`ApiError`], and `?` converts a [`Refusal`] into one. The middleware writes the document, because
//! only it has the trace id and the format that the client reads. SQL, paths and panic messages go only to the log.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::api::{ErrorCode, Problem};
use crate::booking::{Refusal, StoreError};

/// A refusal or a failure that is answered with a problem document.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The stable code. It decides the status.
    pub code: ErrorCode,
    /// A text for people that says what happened.
    pub detail: String,
    /// The client may try again after this many seconds. It is sent with 429 and 503.
    retry_after: u64,
}

/// `Retry-After` in seconds when no better value is known.
pub(super) const RETRY_AFTER: u64 = 1;

/// The header that asks the client to wait.
pub(super) fn retry_after(seconds: u64) -> (HeaderName, HeaderValue) {
    (header::RETRY_AFTER, HeaderValue::from(seconds))
}

impl ApiError {
    /// An error of `code` with the text `detail`.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> ApiError {
        ApiError {
            code,
            detail: detail.into(),
            retry_after: RETRY_AFTER,
        }
    }

    /// Asks the client to wait for `pause`, rounded up to whole seconds.
    pub(super) fn with_retry_after(mut self, pause: Duration) -> ApiError {
        let started = u64::from(pause.subsec_nanos() > 0);
        self.retry_after = pause.as_secs().saturating_add(started).max(1);
        self
    }

    /// The finished response.
    pub(super) fn respond(self, format: ErrorFormat, trace_id: &str) -> Response {
        let status = status(self.code);
        let (body, kind) = match format {
            ErrorFormat::Problem => {
                let problem = Problem::new(self.code, self.detail, trace_id);
                (serde_json::to_vec(&problem), Problem::CONTENT_TYPE)
            }
            ErrorFormat::Alertmanager => {
                let error = json!({"code": status.as_u16(), "message": self.detail});
                (serde_json::to_vec(&error), "application/json")
            }
        };
        let mut response = (status, body.unwrap_or_default()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if matches!(
            status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        ) {
            headers.extend([retry_after(self.retry_after)]);
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The format of an error answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorFormat {
    /// A problem document.
    Problem,
    /// Alertmanager's `{"code":…,"message":…}`. Its clients read only `application/json`.
    Alertmanager,
}

impl ErrorFormat {
    /// The format for a path of the operations listener.
    pub(super) fn of_path(path: &str) -> ErrorFormat {
        let resource = path.strip_prefix("/api/v2/").unwrap_or_default();
        match resource.split('/').next().unwrap_or_default() {
            "alerts" | "silences" | "silence" | "status" | "receivers" => ErrorFormat::Alertmanager,
            _ => ErrorFormat::Problem,
        }
    }
}

fn status(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Attaches the error to an empty response. The middleware writes the document.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = status(self.code).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        let code = match &refusal {
            Refusal::NoDataset => ErrorCode::DatasetMissing,
            Refusal::UnknownToken => ErrorCode::TokenRefused,
            Refusal::ForeignToken => ErrorCode::TokenForeign,
            Refusal::NotAdmitted(_) => ErrorCode::QueueNotAdmitted,
            Refusal::AdmissionEnded => ErrorCode::QueueExpired,
            Refusal::UnknownUser => ErrorCode::UserUnknown,
            Refusal::AlreadyRegistered(_) => ErrorCode::QueueAlreadyRegistered,
            Refusal::UnknownAccount => ErrorCode::AccountUnknown,
            Refusal::UnknownConcert => ErrorCode::ConcertUnknown,
            Refusal::UnknownDate => ErrorCode::DateUnknown,
            Refusal::UnknownSeat => ErrorCode::SeatUnknown,
            Refusal::SeatMismatch => ErrorCode::SeatMismatch,
            Refusal::SeatTaken => ErrorCode::SeatTaken,
            Refusal::SeatLocked => ErrorCode::SeatLocked,
            Refusal::ReservationLimit(_) => ErrorCode::ReservationLimit,
            Refusal::UnknownReservation => ErrorCode::ReservationUnknown,
            Refusal::NotPayable => ErrorCode::ReservationNotPayable,
            Refusal::ReservationExpired => ErrorCode::ReservationExpired,
            Refusal::ForeignReservation => ErrorCode::ReservationForeign,
            Refusal::AlreadyPaid => ErrorCode::ReservationPaid,
            Refusal::Amount(_) => ErrorCode::AmountInvalid,
            Refusal::BalanceTooLow => ErrorCode::BalanceTooLow,
            Refusal::KeyReused => ErrorCode::IdempotencyMismatch,
            Refusal::OutcomeUnknown => ErrorCode::OutcomeUnknown,
            Refusal::BadSetting(_) => ErrorCode::RequestMalformed,
            Refusal::Store(error) => return store_failed(error),
        };
        ApiError::new(code, refusal.to_string())
    }
}

fn store_failed(error: &StoreError) -> ApiError {
    tracing::error!(%error, "the store failed");
    match error {
        StoreError::Overloaded => ApiError::new(
            ErrorCode::Overloaded,
            "the server has reached its limit of queued work",
        ),
        StoreError::Timeout(_) => {
            let detail = "the database did not answer in time; nothing was changed";
            ApiError::new(ErrorCode::Timeout, detail)
        }
        StoreError::Unknown(_) => outcome_unknown(),
        StoreError::Unavailable(_)
        | StoreError::Unwritable(_)
        | StoreError::Displaced(_)
        | StoreError::Lost(_)
        | StoreError::Unnamed(_)
        | StoreError::Damaged(_) => {
            ApiError::new(ErrorCode::StoreUnavailable, "the database is not available")
        }
    }
}

/// The answer to a write with an unknown outcome.
pub(super) fn outcome_unknown() -> ApiError {
    ApiError::new(
        ErrorCode::OutcomeUnknown,
        "the write has no outcome yet; send it again with the same Idempotency-Key to learn it",
    )
}

/// The fallback of both routers.
pub(super) async fn unknown_route(uri: http::Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::new(
        ErrorCode::RouteUnknown,
        format!("{path} is not a path of this server"),
    )
}

/// The fallback for a known path with an unsupported method.
pub(super) async fn method_not_allowed(method: http::Method) -> ApiError {
    let method: String = method.as_str().chars().take(20).collect();
    ApiError::new(
        ErrorCode::RouteMethod,
        format!("{method} is not a method of this path"),
    )
}
