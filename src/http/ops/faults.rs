//! Routes to inject, list and end faults.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::extract::{Path, Request, State};
use axum::{Extension, Json};
use http::HeaderMap;

use super::{ApiError, OpsState, body, iso8601};
use crate::api::ErrorCode;
use crate::api::faults::{
    ActiveFault, Fault, FaultKind, FaultList, FaultRequest, SEAL_HEADER, SealAnswer, SealRequest,
    millis,
};
use crate::booking::Timestamp;
use crate::faults::{Injected, Refused};
use crate::http::BODY_LIMIT;
use crate::http::extract::RequestInfo;
use crate::http::faulty::{Part, ROUTES, check_routes};

/// The longest name of the person who injects a fault, in characters.
const LONGEST_NAME: usize = 64;

pub(super) async fn list(State(state): State<OpsState>) -> Json<FaultList> {
    Json(all(&state))
}

pub(super) async fn inject(
    State(state): State<OpsState>,
    Path(kind): Path<String>,
    Extension(info): Extension<Arc<RequestInfo>>,
    request: Request,
) -> Result<Json<ActiveFault>, ApiError> {
    check_key(&state, request.headers(), &info)?;
    let kind = kind_named(&kind)?;
    let wish: FaultRequest = body(request, BODY_LIMIT).await?;
    let refused = |why: String| {
        ApiError::new(
            ErrorCode::RequestMalformed,
            format!("{}: {why}", kind.as_str()),
        )
    };
    let by = name(wish.by.as_deref()).map_err(refused)?;
    let length = millis("forMs", wish.for_ms).map_err(refused)?;
    let fault = Fault::with_settings(kind, wish.settings);
    let mut fault = fault.map_err(|wrong| refused(wrong.to_string()))?;
    resolve_routes(&mut fault).map_err(refused)?;
    let injected = state.faults.inject(fault, length, by);
    match injected {
        Ok(injected) => Ok(Json(active(&injected))),
        Err(Refused::Setting(why)) => Err(refused(why)),
        Err(Refused::NothingToBreak(why) | Refused::Sealed(why)) => {
            Err(conflict(format!("{}: {why}", kind.as_str())))
        }
    }
}

/// Withholds faults: `PUT /ops/v1/seal`.
pub(super) async fn seal(
    State(state): State<OpsState>,
    request: Request,
) -> Result<Json<SealAnswer>, ApiError> {
    let wish: SealRequest = body(request, BODY_LIMIT).await?;
    let refused = |why: String| ApiError::new(ErrorCode::RequestMalformed, why);
    let length = millis("forMs", wish.for_ms).map_err(refused)?;
    match state.faults.seal(length) {
        Ok(key) => Ok(Json(SealAnswer { key })),
        Err(Refused::Setting(why)) => Err(refused(why)),
        Err(Refused::NothingToBreak(why) | Refused::Sealed(why)) => Err(conflict(why)),
    }
}

/// Shows faults again: `DELETE /ops/v1/seal`, with the key.
pub(super) async fn unseal(
    State(state): State<OpsState>,
    Extension(info): Extension<Arc<RequestInfo>>,
    headers: HeaderMap,
) -> Result<Json<FaultList>, ApiError> {
    check_key(&state, &headers, &info)?;
    let key = key_in(&headers).unwrap_or_default();
    match state.faults.unseal(key) {
        true => Ok(Json(all(&state))),
        false => Err(conflict("no blind drill runs on this server")),
    }
}

fn key_in(headers: &HeaderMap) -> Option<&str> {
    headers.get(SEAL_HEADER)?.to_str().ok()
}

/// Refuses a change of faults while they are withheld, unless the caller has the key. A request with the right key has
/// no access record: the record would show the player of a blind drill when the fault began. Every other request has
/// one, whatever key it sends, so no request can hide itself.
fn check_key(state: &OpsState, headers: &HeaderMap, info: &RequestInfo) -> Result<(), ApiError> {
    let checked = state.faults.check_key(key_in(headers));
    let is_sealed = checked.map_err(|refused| conflict(refused.to_string()))?;
    if is_sealed {
        info.leave_unlogged();
    }
    Ok(())
}

fn conflict(why: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::OpsConflict, why)
}

pub(super) async fn end(
    State(state): State<OpsState>,
    Path(kind): Path<String>,
    Extension(info): Extension<Arc<RequestInfo>>,
    headers: HeaderMap,
) -> Result<Json<FaultList>, ApiError> {
    check_key(&state, &headers, &info)?;
    let kind = kind_named(&kind)?;
    state.faults.end(kind, "the operations API ended it");
    Ok(Json(all(&state)))
}

pub(super) async fn end_all(
    State(state): State<OpsState>,
    Extension(info): Extension<Arc<RequestInfo>>,
    headers: HeaderMap,
) -> Result<Json<FaultList>, ApiError> {
    check_key(&state, &headers, &info)?;
    state.faults.end_all("the operations API ended it");
    Ok(Json(all(&state)))
}

fn all(state: &OpsState) -> FaultList {
    let on = state.faults.shown();
    FaultList {
        faults: on.iter().map(|injected| active(injected)).collect(),
    }
}

fn kind_named(name: &str) -> Result<FaultKind, ApiError> {
    // The name is cut, so that the answer does not repeat a long one.
    let name: String = name.chars().take(LONGEST_NAME).collect();
    let found = FaultKind::injectable_named(&name);
    found.map_err(|detail| ApiError::new(ErrorCode::RouteUnknown, detail))
}

/// Checks the name that the caller gives. It goes into the log.
fn name(by: Option<&str>) -> Result<&str, String> {
    let by = by.unwrap_or("the operations API");
    let short = (1..=LONGEST_NAME).contains(&by.chars().count());
    if short && !by.chars().any(char::is_control) {
        return Ok(by);
    }
    Err(format!("by has 1 to {LONGEST_NAME} printable characters"))
}

/// Fills in the routes of the fault's part of the sale when the fault names none. Routes that it names must exist.
fn resolve_routes(fault: &mut Fault) -> Result<(), String> {
    let (routes, parts): (_, &[Part]) = match fault {
        Fault::Errors { routes, .. } => (routes, &[Part::Buying]),
        Fault::Latency { routes, .. } => (routes, &[Part::Buying, Part::Queue]),
        _ => return Ok(()),
    };
    let Some(named) = routes else {
        let usual = ROUTES.iter().filter(|route| parts.contains(&route.part));
        *routes = Some(usual.map(|route| route.name.clone()).collect());
        return Ok(());
    };
    check_routes(named).map_err(|problem| format!("routes {problem}"))
}

fn active(injected: &Injected) -> ActiveFault {
    let started = injected.started.duration_since(UNIX_EPOCH);
    let started = started.unwrap_or_default();
    let at = |since: Duration| {
        iso8601(Timestamp(
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        ))
    };
    ActiveFault {
        fault: injected.fault.clone(),
        by: injected.by.clone(),
        started_at: at(started),
        ends_at: at(started.saturating_add(injected.length)),
    }
}
