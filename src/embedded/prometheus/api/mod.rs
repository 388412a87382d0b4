//! The HTTP API of Prometheus under `/api/v1`, for dashboards and Grafana.
//!
//! Answers and errors have the shapes of <https://prometheus.io/docs/prometheus/2.42/querying/api/>. Queries run on
//! blocking threads, a bounded number at a time, so that a heavy query never stalls the service. A query is cancelled
//! when its client closes the connection.

mod json;
mod params;
mod query;
mod series;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

pub(crate) use params::Params;

use super::promql::{QueryError, QueryLimits};
use super::tsdb::Tsdb;
use crate::embedded::request::{BadParams, NoTurn, Turns, build_info, get_or_post};

/// The largest form body, in bytes.
const MAX_FORM_BYTES: usize = 64 << 10;

/// The state that the handlers share.
#[derive(Clone)]
struct ApiState {
    tsdb: Arc<Tsdb>,
    limits: QueryLimits,
    turns: Turns,
}

/// The routes of the API over a store. Merge them into the router that answers as Prometheus.
pub fn routes(tsdb: Arc<Tsdb>, limits: QueryLimits) -> Router {
    let state = ApiState {
        tsdb,
        limits,
        turns: Turns::new(limits.max_concurrency),
    };
    Router::new()
        .route("/api/v1/query", get_or_post(query::instant))
        .route("/api/v1/query_range", get_or_post(query::range))
        .route("/api/v1/series", get_or_post(series::series))
        .route("/api/v1/labels", get_or_post(series::labels))
        .route("/api/v1/label/{name}/values", get(series::label_values))
        .route("/api/v1/metadata", get(series::metadata))
        .route("/api/v1/status/buildinfo", get(buildinfo))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .with_state(state)
}

/// Grafana chooses its requests by this version, which is that of the supported language.
async fn buildinfo() -> Response {
    success(&build_info("2.42.0").to_string())
}

/// A successful answer. `data` must be JSON.
fn success(data: &str) -> Response {
    let body = format!(r#"{{"status":"success","data":{data}}}"#);
    (
        [(header::CONTENT_TYPE, "application/json")],
        Body::from(body),
    )
        .into_response()
}

/// An error response in the shape of Prometheus.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl ApiError {
    fn bad_data(message: String) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind: "bad_data",
            message,
        }
    }

    /// The error for an invalid parameter.
    pub(crate) fn parameter(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter {name:?}: {reason}"))
    }
}

impl From<BadParams> for ApiError {
    fn from(bad: BadParams) -> Self {
        Self::bad_data(format!("error parsing form values: {bad}"))
    }
}

impl From<NoTurn> for ApiError {
    fn from(reason: NoTurn) -> Self {
        match reason {
            NoTurn::TimedOut(_) => QueryError::Timeout.into(),
            NoTurn::Ended(_) => Self {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                kind: "internal",
                message: reason.to_string(),
            },
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let (status, kind) = match error {
            QueryError::BadData(_) => return Self::parameter("query", error),
            QueryError::Execution(_) => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
            QueryError::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            QueryError::Canceled => (StatusCode::SERVICE_UNAVAILABLE, "canceled"),
        };
        Self {
            status,
            kind,
            message: error.to_string(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({"status": "error", "errorType": self.kind, "error": self.message});
        (self.status, Json(body)).into_response()
    }
}

#[cfg(test)]
mod tests;
