//! The business truth, from the database.

use axum::Json;
use axum::extract::{Request, State};

use super::{ApiError, OpsState, body};
use crate::api::ErrorCode;
use crate::api::ops::{Audit, LOOKUP_MAX, LookupAnswer, LookupRequest};
use crate::booking::{Fact, Money, Place, ReservationId, SeatId, UserId};

/// Ten thousand facts of some eighty bytes.
const LIMIT: usize = 2 * 1024 * 1024;
/// Missing facts that are named.
const EXAMPLES: usize = 10;

pub(super) async fn count(State(state): State<OpsState>) -> Result<Json<Audit>, ApiError> {
    let counts = state.booking.audit().await?;
    Ok(Json(Audit {
        oversold_seats: counts.oversold_seats,
        seats_without_reservation: counts.seats_without_reservation,
        reservations_without_seat: counts.reservations_without_seat,
        paid_without_ledger: counts.paid_without_ledger,
        ledger_without_paid: counts.ledger_without_paid,
        wrong_balances: counts.wrong_balances,
        duplicate_places: counts.duplicate_places,
        seats_available: counts.seats.available,
        seats_pending: counts.seats.pending,
        seats_sold: counts.seats.unavailable,
        reservations: counts.reservations,
        reservations_paid: counts.reservations_paid,
        places: counts.places,
    }))
}

pub(super) async fn lookup(
    State(state): State<OpsState>,
    request: Request,
) -> Result<Json<LookupAnswer>, ApiError> {
    let asked: LookupRequest = body(request, LIMIT).await?;
    let mut facts = Vec::new();
    facts.extend(
        asked
            .places
            .iter()
            .map(|f| Fact::Place(Place(f.place), UserId(f.user_id))),
    );
    facts.extend(asked.reservations.iter().map(|f| {
        Fact::Reservation(
            ReservationId(f.reservation_id),
            UserId(f.user_id),
            SeatId(f.seat_id),
        )
    }));
    facts.extend(
        asked
            .payments
            .iter()
            .map(|id| Fact::Payment(ReservationId(*id))),
    );
    facts.extend(
        asked
            .charges
            .iter()
            .map(|f| Fact::Charges(UserId(f.user_id), Money(f.at_least))),
    );
    if facts.len() > LOOKUP_MAX {
        let detail = format!(
            "{} facts; a look-up takes at most {LOOKUP_MAX}",
            facts.len()
        );
        return Err(ApiError::new(ErrorCode::RequestMalformed, detail));
    }
    let checked = facts.len() as u64;
    let missing = state.booking.missing(facts).await?;
    Ok(Json(LookupAnswer {
        checked,
        missing: missing.len() as u64,
        examples: missing
            .iter()
            .take(EXAMPLES)
            .map(ToString::to_string)
            .collect(),
    }))
}
