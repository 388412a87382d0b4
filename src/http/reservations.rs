//! The reservations: hold, cancel, pay, list.

use axum::extract::State;
use http::StatusCode;

use super::extract::{Holder, Key, Keyed, Path, Query, Write};
use super::openapi::refusals;
use super::page::Page;
use super::{ApiError, AppState};
use crate::api::ticketing::{Paid, Reservation, Reservations, ReserveRequest, Reserved};
use crate::booking::{
    ConcertId, PerformanceDateId, ReservationId, ReservationView, SeatId, SeatRequest, Timestamp,
    UserId,
};

/// Hold a seat.
///
/// A repeat with the same Idempotency-Key and body gets the first answer again. A refusal because of another request in
/// progress (`seat.locked`, or a 503) is not stored: the server decides the repeat anew.
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
    write: Write,
    request: Keyed<ReserveRequest>,
) -> Result<(StatusCode, axum::Json<Reserved>), ApiError> {
    let ReserveRequest {
        concert_id,
        performance_date_id,
        seat_id,
        user_id,
    } = request.body;
    caller.require_user(UserId(user_id))?;
    let wanted = SeatRequest {
        concert: concert_id.map(ConcertId),
        date: performance_date_id.map(PerformanceDateId),
        seat: SeatId(seat_id),
        user: UserId(user_id),
        key: request.key,
    };
    let held = write
        .run(async move { state.booking.reserve(&caller, wanted).await })
        .await?;
    let answer = Reserved {
        reservation_id: held.id.0,
        expires_at: iso8601(held.expires_at),
    };
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

/// Cancel a hold; the seat is free again.
///
/// Possible until the hold runs out, also after the time of the admission.
#[utoipa::path(
    delete,
    path = "/reservations/{reservationId}",
    operation_id = "cancelReservation",
    tag = "reservations",
    params(
        ("reservationId" = i64, Path, description = "The reservation"),
        ("Wait-Token" = String, Header, description = "A token whose user was admitted"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless"),
    ),
    responses((status = 204, description = "The hold is cancelled"), refusals::CancelReservation)
)]
pub(super) async fn cancel(
    State(state): State<AppState>,
    Holder(caller): Holder,
    Path(reservation): Path<i64>,
    Key(key): Key,
    write: Write,
) -> Result<StatusCode, ApiError> {
    let id = ReservationId(reservation);
    let work = async move { state.booking.cancel(&caller, id, key).await };
    write.run(work).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pay a reservation.
///
/// The admission ends when its user has paid something and has no hold that can still be paid. A hold can be paid until
/// it runs out, also after the time of the admission.
#[utoipa::path(
    post,
    path = "/users/{userId}/reservations/{reservationId}/pay",
    operation_id = "pay",
    tag = "reservations",
    params(
        ("userId" = i64, Path, description = "The token's user"),
        ("reservationId" = i64, Path, description = "The reservation"),
        ("Wait-Token" = String, Header, description = "A token whose user was admitted"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless"),
    ),
    responses((status = 200, description = "Paid", body = Paid), refusals::Pay)
)]
pub(super) async fn pay(
    State(state): State<AppState>,
    Holder(caller): Holder,
    Path((user, reservation)): Path<(i64, i64)>,
    Key(key): Key,
    write: Write,
) -> Result<axum::Json<Paid>, ApiError> {
    caller.require_user(UserId(user))?;
    let id = ReservationId(reservation);
    let work = async move { state.booking.pay(&caller, id, key).await };
    write.run(work).await?;
    Ok(axum::Json(Paid {
        reservation_id: reservation,
    }))
}

/// The caller's reservations by ascending id, a page at a time.
///
/// A token that waits or has ended is accepted.
#[utoipa::path(
    get,
    path = "/users/{userId}/reservations",
    operation_id = "listReservations",
    tag = "reservations",
    params(
        ("userId" = i64, Path, description = "The token's user"),
        ("Wait-Token" = String, Header, description = "Any token of the user"),
        Page,
    ),
    responses((status = 200, description = "A page", body = Reservations), refusals::ListReservations)
)]
pub(super) async fn list(
    State(state): State<AppState>,
    Holder(caller): Holder,
    Path(user): Path<i64>,
    Query(page): Query<Page>,
) -> Result<axum::Json<Reservations>, ApiError> {
    caller.require_user(UserId(user))?;
    let (after, limit) = page.bounds()?;
    let after = ReservationId(after);
    let (rows, more) = state.booking.reservations(&caller, after, limit).await?;
    let next = rows.last().map(|row| row.id.0).filter(|_| more);
    let reservations = rows.into_iter().map(wire).collect();
    Ok(axum::Json(Reservations { reservations, next }))
}

fn wire(row: ReservationView) -> Reservation {
    Reservation {
        reservation_id: row.id.0,
        concert_id: row.concert.0,
        performance_date_id: row.date.0,
        seat_id: row.seat.0,
        price: row.price.0,
        status: row.status,
        expires_at: iso8601(row.expires_at),
    }
}

/// ISO 8601 in UTC with milliseconds.
pub(super) fn iso8601(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map(|at| at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
        .unwrap_or_default()
}
