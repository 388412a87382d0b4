//! `/ops/v1/seed`: starts, shows and cancels a seeding in the running server.

use axum::Json;
use axum::extract::{Request, State};
use http::StatusCode;

use super::{ApiError, OpsState, body};
use crate::api::ops::{SeedProgress, SeedRequest};

/// Seeds datasets in the server.
pub trait SeedControl: Send + Sync {
    /// Begins a seeding and returns its first progress.
    ///
    /// # Errors
    /// The profile is invalid, a seeding is running, or a dataset is loaded and `replace` is false.
    fn start(&self, request: SeedRequest) -> Result<SeedProgress, ApiError>;
    /// The progress of the latest seeding.
    fn progress(&self) -> SeedProgress;
    /// Cancels the running seeding, if any, and returns its progress.
    fn cancel(&self) -> SeedProgress;
}

/// Largest body: a request may carry the text of a profile.
const LIMIT: usize = 128 * 1024;

pub(super) async fn start(
    State(state): State<OpsState>,
    request: Request,
) -> Result<(StatusCode, Json<SeedProgress>), ApiError> {
    let wish: SeedRequest = body(request, LIMIT).await?;
    Ok((StatusCode::ACCEPTED, Json(state.seeding.start(wish)?)))
}

pub(super) async fn progress(State(state): State<OpsState>) -> Json<SeedProgress> {
    Json(state.seeding.progress())
}

pub(super) async fn cancel(State(state): State<OpsState>) -> Json<SeedProgress> {
    Json(state.seeding.cancel())
}
