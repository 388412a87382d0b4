//! Reserving, giving back, paying.

use axum::extract::State;
use http::StatusCode;

use super::extract::{Holder, Key, Keyed, Path};
use super::openapi::refusals;
use super::{ApiError, AppState, to_the_end};
use crate::api::ticketing::{Paid, ReserveRequest, Reserved};
use crate::booking::{
    ConcertId, PerformanceDateId, ReservationId, ReserveWish, SeatId, Timestamp, UserId,
};

/// Hold a seat.
///
/// A repeat with the same Idempotency-Key and body gets the first answer again.
#[utoipa::path(
    post,
    path = "/reservations",
    operation_id = "reserve",
    tag = "reservations",
    params(
        ("Wait-Token" = String, Header, description = "An ACTIVE token"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless"),
    ),
    request_body = ReserveRequest,
    responses((status = 201, description = "Held", body = Reserved), refusals::Reserve)
)]
pub(super) async fn reserve(
    State(state): State<AppState>,
    Holder(caller): Holder,
    request: Keyed<ReserveRequest>,
) -> Result<(StatusCode, axum::Json<Reserved>), ApiError> {
    let ReserveRequest {
        concert_id,
        performance_date_id,
        seat_id,
        user_id,
    } = request.body;
    caller.require_user(UserId(user_id))?;
    let wish = ReserveWish {
        concert: concert_id.map(ConcertId),
        date: performance_date_id.map(PerformanceDateId),
        seat: SeatId(seat_id),
        user: UserId(user_id),
        key: request.key,
    };
    let held = to_the_end(async move { state.booking.reserve(&caller, wish).await }).await?;
    let answer = Reserved {
        reservation_id: held.id.0,
        expires_at: iso8601(held.expires_at),
    };
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

/// Give a hold back; the seat is free again.
#[utoipa::path(
    delete,
    path = "/reservations/{reservationId}",
    operation_id = "cancelReservation",
    tag = "reservations",
    params(
        ("reservationId" = i64, Path, description = "The reservation"),
        ("Wait-Token" = String, Header, description = "An ACTIVE token"),
    ),
    responses((status = 204, description = "Given back"), refusals::CancelReservation)
)]
pub(super) async fn cancel(
    State(state): State<AppState>,
    Holder(caller): Holder,
    Path(reservation): Path<i64>,
) -> Result<StatusCode, ApiError> {
    caller.require_active()?;
    let id = ReservationId(reservation);
    to_the_end(async move { state.booking.cancel(&caller, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pay a reservation; the token is used up by it.
#[utoipa::path(
    post,
    path = "/users/{userId}/reservations/{reservationId}/pay",
    operation_id = "pay",
    tag = "reservations",
    params(
        ("userId" = i64, Path, description = "The token's user"),
        ("reservationId" = i64, Path, description = "The reservation"),
        ("Wait-Token" = String, Header, description = "An ACTIVE token"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless"),
    ),
    responses((status = 200, description = "Paid", body = Paid), refusals::Pay)
)]
pub(super) async fn pay(
    State(state): State<AppState>,
    Holder(caller): Holder,
    Path((user, reservation)): Path<(i64, i64)>,
    Key(key): Key,
) -> Result<axum::Json<Paid>, ApiError> {
    caller.require_user(UserId(user))?;
    let id = ReservationId(reservation);
    to_the_end(async move { state.booking.pay(&caller, id, key).await }).await?;
    Ok(axum::Json(Paid {
        reservation_id: reservation,
    }))
}

/// ISO 8601, UTC, milliseconds.
pub(super) fn iso8601(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map(|at| at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
        .unwrap_or_default()
}
