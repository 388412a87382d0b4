//! Errors of the API, with Tempo's status codes.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::embedded::request::{BadParams, NoTurn, refusal};

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TempoError {
    /// A parameter or a query is wrong, not supported, or exceeds a limit.
    #[error("{0}")]
    Refused(String),
    /// There is no such trace.
    #[error("trace not found")]
    NotFound,
    /// It took too long.
    #[error("query timed out after {0} ms; narrow the time range or the query")]
    TimedOut(u128),
    /// The service is stopping or broke.
    #[error("{0}")]
    Internal(String),
}

impl TempoError {
    /// A refusal with this reason.
    pub(super) fn refused(reason: impl Into<String>) -> TempoError {
        TempoError::Refused(reason.into())
    }

    fn status(&self) -> StatusCode {
        match self {
            TempoError::Refused(_) => StatusCode::BAD_REQUEST,
            TempoError::NotFound => StatusCode::NOT_FOUND,
            TempoError::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            TempoError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<BadParams> for TempoError {
    fn from(bad: BadParams) -> TempoError {
        TempoError::Refused(bad.to_string())
    }
}

impl From<NoTurn> for TempoError {
    fn from(reason: NoTurn) -> TempoError {
        match reason {
            NoTurn::TimedOut(after) => TempoError::TimedOut(after.as_millis()),
            NoTurn::Ended(_) => TempoError::Internal(reason.to_string()),
        }
    }
}

impl IntoResponse for TempoError {
    fn into_response(self) -> Response {
        refusal(self.status(), self)
    }
}
