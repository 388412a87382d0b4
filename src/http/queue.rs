//! The queue: register and poll.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, StatusCode};

use super::extract::{Keyed, Poller, Write};
use super::openapi::refusals;
use super::{ApiError, AppState};
use crate::api::WAIT_TOKEN;
use crate::api::ticketing::{QueueEntry, RegisterRequest};
use crate::booking::{QueueView, UserId};

/// Register in the queue.
///
/// The n-th user to register holds place n. The place is durable when the answer arrives. For 24 hours, and while the
/// admission has not ended, a repeat with the same Idempotency-Key and body gets the same token and its current state;
/// a repeat with another body gets 409. Without a key, or with another one, a user in the queue gets 409.
#[utoipa::path(
    post,
    path = "/queue",
    operation_id = "register",
    tag = "queue",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless")),
    request_body = RegisterRequest,
    responses(
        (status = 201, description = "A place, and the token that carries it", body = QueueEntry,
         headers(("Wait-Token" = String, description = "The signed place in the queue"))),
        refusals::Register,
    )
)]
pub(super) async fn register(
    State(state): State<AppState>,
    write: Write,
    request: Keyed<RegisterRequest>,
) -> Result<Response, ApiError> {
    let (user, key) = (UserId(request.body.user_id), request.key);
    let work = async move { state.booking.register(user, key).await };
    let registered = write.run(work).await?;
    let header = [(HeaderName::from_static(WAIT_TOKEN), registered.token)];
    Ok((
        StatusCode::CREATED,
        header,
        axum::Json(entry(&registered.view)),
    )
        .into_response())
}

/// The state of a token, and the time of the next poll.
#[utoipa::path(
    get,
    path = "/queue",
    operation_id = "pollQueue",
    tag = "queue",
    params(("Wait-Token" = String, Header, description = "The token that POST /queue gave")),
    responses((status = 200, description = "The state of the token", body = QueueEntry), refusals::PollQueue)
)]
pub(super) async fn poll(
    State(state): State<AppState>,
    Poller(caller): Poller,
) -> axum::Json<QueueEntry> {
    axum::Json(entry(&state.booking.poll(&caller)))
}

fn entry(view: &QueueView) -> QueueEntry {
    QueueEntry {
        wait_id: view.place.0,
        user_id: view.user.0,
        position_in_queue: view.standing.position,
        status: view.standing.status,
        eta_seconds: view.standing.eta.map(|eta| eta.as_secs_f64()),
        poll_after_ms: u64::try_from(view.poll_after.as_millis()).unwrap_or(u64::MAX),
    }
}
