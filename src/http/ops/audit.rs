//! `GET /ops/v1/audit` and `POST /ops/v1/audit/lookup`: the audit, from the database.

use axum::Json;
use axum::extract::{Request, State};

use super::super::extract::{KEY_MAX, is_idempotency_key};
use super::{ApiError, OpsState, body};
use crate::api::ErrorCode;
use crate::api::ops::{Audit, KeyFact, LOOKUP_MAX, LookupAnswer, LookupRequest};
use crate::booking::{Fact, Money, Place, ReservationId, SeatId, UserId};

/// The largest body, in bytes: ten thousand facts of some eighty bytes.
const LIMIT: usize = 2 * 1024 * 1024;
/// The largest number of missing facts that the answer names.
const EXAMPLES: usize = 10;

pub(super) async fn count(State(state): State<OpsState>) -> Result<Json<Audit>, ApiError> {
    Ok(Json(state.booking.audit().await?))
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
    let asked_for = facts.len() + asked.keys.len();
    if asked_for > LOOKUP_MAX {
        let detail = format!("{asked_for} facts; a look-up takes at most {LOOKUP_MAX}");
        return Err(ApiError::new(ErrorCode::RequestMalformed, detail));
    }
    let checked = facts.len() as u64;
    let missing = state.booking.missing_facts(facts).await?;
    Ok(Json(LookupAnswer {
        checked,
        missing: missing.len() as u64,
        examples: missing
            .iter()
            .take(EXAMPLES)
            .map(ToString::to_string)
            .collect(),
        done: done(&state, asked.keys).await?,
    }))
}

/// The keys whose write was done. `None` when `keys` is empty.
async fn done(state: &OpsState, keys: Vec<KeyFact>) -> Result<Option<Vec<KeyFact>>, ApiError> {
    if keys.is_empty() {
        return Ok(None);
    }
    if let Some(wrong) = keys.iter().position(|fact| !is_idempotency_key(&fact.key)) {
        let detail = format!(
            "keys[{wrong}].key: an idempotency key has 1 to {KEY_MAX} visible ASCII characters"
        );
        return Err(ApiError::new(ErrorCode::RequestMalformed, detail));
    }
    let wanted = keys
        .iter()
        .map(|fact| (UserId(fact.user_id), fact.key.clone()));
    let done = state.booking.writes_done(wanted.collect()).await?;
    let kept = keys.into_iter().zip(done).filter(|(_, done)| *done);
    Ok(Some(kept.map(|(fact, _)| fact).collect()))
}
