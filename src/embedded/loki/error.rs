//! Errors of the API, in Loki's words and with its status codes.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::embedded::request::{BadParams, NoTurn, refusal};

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The text is not (supported) LogQL.
    #[error("parse error at line {line}, col {col}: {message}")]
    Parse {
        /// Line of the offending token, from 1.
        line: usize,
        /// Column of the offending token in characters, from 1.
        col: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The text parses and still makes no query.
    #[error("parse error : {0}")]
    Meaning(String),
    /// A parameter is wrong, or a limit would be exceeded.
    #[error("{0}")]
    Refused(String),
    /// It took too long.
    #[error("query timed out after {0} ms; narrow the time range or the selector")]
    TimedOut(u128),
    /// The service is stopping or broke.
    #[error("{0}")]
    Internal(String),
}

impl QueryError {
    /// A refusal with this reason.
    pub(super) fn refused(reason: impl Into<String>) -> QueryError {
        QueryError::Refused(reason.into())
    }

    fn status(&self) -> StatusCode {
        match self {
            QueryError::Parse { .. } | QueryError::Meaning(_) | QueryError::Refused(_) => {
                StatusCode::BAD_REQUEST
            }
            QueryError::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            QueryError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<BadParams> for QueryError {
    fn from(bad: BadParams) -> QueryError {
        QueryError::Refused(bad.to_string())
    }
}

impl From<NoTurn> for QueryError {
    fn from(reason: NoTurn) -> QueryError {
        match reason {
            NoTurn::TimedOut(after) => QueryError::TimedOut(after.as_millis()),
            NoTurn::Ended(_) => QueryError::Internal(reason.to_string()),
        }
    }
}

impl IntoResponse for QueryError {
    fn into_response(self) -> Response {
        refusal(self.status(), self)
    }
}
