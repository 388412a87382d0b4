//! `GET` and `PUT /ops/v1/admission`.

use axum::Json;
use axum::extract::{Request, State};

use super::{ApiError, OpsState, admission_state, body};
use crate::api::ops::{self, AdmissionState};
use crate::booking::{AdmissionChange, Opening, Timestamp};
use crate::http::BODY_LIMIT;

pub(super) async fn read(State(state): State<OpsState>) -> Result<Json<AdmissionState>, ApiError> {
    let (_, admission) = state.booking.queue_state()?;
    Ok(Json(admission_state(&state.booking, &admission)))
}

pub(super) async fn change(
    State(state): State<OpsState>,
    request: Request,
) -> Result<Json<AdmissionState>, ApiError> {
    let wish: ops::AdmissionChange = body(request, BODY_LIMIT).await?;
    let change = AdmissionChange {
        batch: wish.batch,
        every_ms: wish.every_ms,
        paused: wish.paused,
        follow: wish.follow,
        opening: wish.opening.map(|opening| match opening {
            ops::Opening::Now => Opening::Now,
            ops::Opening::Closed => Opening::Closed,
            ops::Opening::At(at) => Opening::At(Timestamp(at)),
        }),
    };
    let admission = state.booking.change_admission(change).await?;
    Ok(Json(admission_state(&state.booking, &admission)))
}
