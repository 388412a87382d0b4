//! Concerts, their dates and seats.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};

use super::extract::{Holder, Path, Query};
use super::openapi::refusals;
use super::page::Page;
use super::{ApiError, AppState};
use crate::api::ticketing::{Concert, ConcertPage, PerformanceDate, PerformanceDates, Seat, Seats};
use crate::booking::{ConcertId, PerformanceDateId, SeatRow, SeatStatus};

/// Concerts by ascending id, a page at a time. Needs no token.
#[utoipa::path(
    get,
    path = "/concerts",
    operation_id = "listConcerts",
    tag = "concerts",
    params(Page),
    responses((status = 200, description = "A page", body = ConcertPage), refusals::ListConcerts)
)]
pub(super) async fn list(
    State(state): State<AppState>,
    Query(page): Query<Page>,
) -> Result<axum::Json<ConcertPage>, ApiError> {
    let (after, limit) = page.bounds()?;
    let (concerts, more) = state.booking.concerts(ConcertId(after), limit as usize)?;
    let concerts: Vec<Concert> = concerts
        .into_iter()
        .map(|(id, performer)| Concert {
            id: id.0,
            performer,
        })
        .collect();
    let next = concerts.last().map(|concert| concert.id).filter(|_| more);
    Ok(axum::Json(ConcertPage { concerts, next }))
}

/// The dates of a concert: those with free seats, and those without.
#[utoipa::path(
    get,
    path = "/concerts/{concertId}/performanceDates",
    operation_id = "listPerformanceDates",
    tag = "concerts",
    params(
        ("concertId" = i64, Path, description = "The concert"),
        ("Wait-Token" = String, Header, description = "An ACTIVE token"),
    ),
    responses((status = 200, description = "Its dates", body = PerformanceDates), refusals::ListPerformanceDates)
)]
pub(super) async fn dates(
    State(state): State<AppState>,
    Holder(caller): Holder,
    Path(concert): Path<i64>,
) -> Result<axum::Json<PerformanceDates>, ApiError> {
    caller.require_active()?;
    let dates = state.booking.dates(&caller, ConcertId(concert)).await?;
    let (free, full): (Vec<_>, Vec<_>) = dates.into_iter().partition(|(.., free)| *free);
    let wire = |dates: Vec<(PerformanceDateId, String, bool)>| {
        dates
            .into_iter()
            .map(|(id, date, _)| PerformanceDate { id: id.0, date })
            .collect()
    };
    Ok(axum::Json(PerformanceDates {
        available_performance_dates: wire(free),
        unavailable_performance_dates: wire(full),
    }))
}

/// The seats of a date, as of the last commit.
#[utoipa::path(
    get,
    path = "/concerts/{concertId}/performanceDates/{performanceDateId}/seats",
    operation_id = "listSeats",
    tag = "concerts",
    params(
        ("concertId" = i64, Path, description = "The concert"),
        ("performanceDateId" = i64, Path, description = "The date"),
        ("Wait-Token" = String, Header, description = "An ACTIVE token"),
    ),
    responses((status = 200, description = "Its seats", body = Seats), refusals::ListSeats)
)]
pub(super) async fn seats(
    State(state): State<AppState>,
    Holder(caller): Holder,
    Path((concert, date)): Path<(i64, i64)>,
) -> Result<Response, ApiError> {
    caller.require_active()?;
    let map = state
        .booking
        .seat_map(&caller, ConcertId(concert), PerformanceDateId(date))
        .await?;
    let json = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )];
    Ok((json, map.body(render)).into_response())
}

/// The answer's body. It is rendered once per seat map, and all requests that get this map share the bytes.
fn render(rows: &[SeatRow]) -> Bytes {
    let wire = |free: bool| {
        let of_kind = rows
            .iter()
            .filter(|row| (row.status == SeatStatus::Available) == free);
        of_kind.map(seat).collect::<Vec<_>>()
    };
    let seats = Seats {
        available_seats: wire(true),
        unavailable_seats: wire(false),
    };
    serde_json::to_vec(&seats).unwrap_or_default().into()
}

fn seat(row: &SeatRow) -> Seat {
    Seat {
        id: row.id.0,
        number: row.number,
        price: row.price.0,
        status: row.status,
    }
}
