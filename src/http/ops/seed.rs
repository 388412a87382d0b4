//! Seeding through the server that holds the database.

use axum::Json;
use axum::extract::{Request, State};
use http::StatusCode;

use super::{ApiError, OpsState, body};
use crate::api::ops::{SeedProgress, SeedRequest};

/// Seeding as the server does it; what it refuses is said as an [`ApiError`].
pub trait SeedControl: Send + Sync {
    /// Begins; the answer is where it stands right after.
    ///
    /// # Errors
    /// A bad profile, a seeding under way, or a dataset that is there and not to be replaced.
    fn start(&self, request: SeedRequest) -> Result<SeedProgress, ApiError>;
    /// Where the last one stands.
    fn progress(&self) -> SeedProgress;
    /// Asks the one under way to stop.
    fn cancel(&self) -> SeedProgress;
}

/// A request may carry the text of a profile.
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
