//! Liveness and readiness.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::AppState;
use super::error::{RETRY_AFTER, retry_after};
use super::openapi::refusals;
use crate::api::Problem;
use crate::api::ticketing::Health;
use crate::booking::{Refusal, StoreError};

/// The process answers requests.
#[utoipa::path(
    get,
    path = "/health/live",
    operation_id = "getLiveness",
    tag = "health",
    responses((status = 200, description = "Alive", body = Health), refusals::GetLiveness)
)]
pub(super) async fn live() -> axum::Json<Health> {
    let parts = [("process".to_owned(), "ok".to_owned())].into();
    axum::Json(Health {
        status: "ok".to_owned(),
        parts,
    })
}

/// The server can serve requests. If not, the answer names the part that is not ready.
#[utoipa::path(
    get,
    path = "/health/ready",
    operation_id = "getReadiness",
    tag = "health",
    responses(
        (status = 200, description = "Ready", body = Health),
        (status = 503, description = "Not ready; `parts` says why",
         content((Health = "application/json"), (Problem = "application/problem+json"))),
        refusals::GetReadiness,
    )
)]
pub(super) async fn ready(State(state): State<AppState>) -> Response {
    let (dataset, database) = match state.booking.check_writable().await {
        Ok(()) => ("ok".to_owned(), "ok".to_owned()),
        Err(Refusal::NoDataset) => ("none is loaded: seed one".to_owned(), "ok".to_owned()),
        Err(error) => {
            tracing::warn!(%error, "the server is not ready");
            ("ok".to_owned(), why_not(&error).to_owned())
        }
    };
    let ready = dataset == "ok" && database == "ok";
    // The server stays in service without Redis: tokens, seats and payments work without it.
    let coordination = match state.booking.coordination_is_available() {
        true => "ok",
        false => "does not answer or is not recovered yet: admission is paused",
    };
    let parts = [
        ("dataset".to_owned(), dataset),
        ("database".to_owned(), database),
        ("coordination".to_owned(), coordination.to_owned()),
    ]
    .into();
    let status = if ready { "ok" } else { "unavailable" };
    let health = axum::Json(Health {
        status: status.to_owned(),
        parts,
    });
    if ready {
        health.into_response()
    } else {
        let retry = [retry_after(RETRY_AFTER)];
        (StatusCode::SERVICE_UNAVAILABLE, retry, health).into_response()
    }
}

/// The reason why the database is not ready. It hides paths and the database's own words, because the route needs no
/// token.
fn why_not(error: &Refusal) -> &'static str {
    match error {
        Refusal::Store(StoreError::Unwritable(_)) => {
            "does not take writes: its disk is full or failing"
        }
        Refusal::Store(StoreError::Displaced(_)) => {
            "does not take writes: its files were removed or replaced"
        }
        Refusal::Store(StoreError::Overloaded) => "has more work than it can queue",
        Refusal::Store(StoreError::Timeout(_)) => "does not answer in time",
        _ => "does not take writes",
    }
}
