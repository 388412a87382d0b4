//! `POST /queue`, `GET /queue`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, StatusCode};

use super::extract::{Json, Poller};
use super::openapi::refusals;
use super::{ApiError, AppState, to_the_end};
use crate::api::WAIT_TOKEN;
use crate::api::ticketing::{QueueEntry, RegisterRequest, WaitStatus};
use crate::booking::{QueueStatus, QueueView, UserId};

/// Register in the queue.
///
/// The n-th to register holds place n. The place is durable when this answers.
#[utoipa::path(
    post,
    path = "/queue",
    operation_id = "register",
    tag = "queue",
    request_body = RegisterRequest,
    responses(
        (status = 201, description = "A place, and the token that carries it", body = QueueEntry,
         headers(("Wait-Token" = String, description = "The signed place in the queue"))),
        refusals::Register,
    )
)]
pub(super) async fn register(
    State(state): State<AppState>,
    Json(request): Json<RegisterRequest>,
) -> Result<Response, ApiError> {
    let user = UserId(request.user_id);
    let registered = to_the_end(async move { state.booking.register(user).await }).await?;
    let header = [(HeaderName::from_static(WAIT_TOKEN), registered.token)];
    Ok((
        StatusCode::CREATED,
        header,
        axum::Json(entry(&registered.view)),
    )
        .into_response())
}

/// Where a token stands, and when to ask again.
#[utoipa::path(
    get,
    path = "/queue",
    operation_id = "pollQueue",
    tag = "queue",
    params(("Wait-Token" = String, Header, description = "From POST /queue")),
    responses((status = 200, description = "Where it stands", body = QueueEntry), refusals::PollQueue)
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
        status: match view.standing.status {
            QueueStatus::Wait => WaitStatus::Wait,
            QueueStatus::Active => WaitStatus::Active,
            QueueStatus::Expired => WaitStatus::Expired,
        },
        eta_seconds: view.standing.eta.map(|eta| eta.as_secs_f64()),
        poll_after_ms: u64::try_from(view.poll_after.as_millis()).unwrap_or(u64::MAX),
    }
}
