//! Injecting faults, seeing them, ending them.

use std::time::{Duration, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Path, Request, State};

use super::{ApiError, OpsState, body, iso8601};
use crate::api::ErrorCode;
use crate::api::ops::{ActiveFault, FaultKind, FaultList, FaultRequest, FaultSettings, LinkCut};
use crate::booking::Timestamp;
use crate::faults::{Cut, Fault, Injected, Kind, Refused};
use crate::http::BODY_LIMIT;
use crate::http::faulty::{BUYING, OTHERS, QUEUE};

/// Longest name of who injects a fault, in characters.
const LONGEST_NAME: usize = 64;

pub(super) async fn list(State(state): State<OpsState>) -> Json<FaultList> {
    Json(all(&state))
}

pub(super) async fn inject(
    State(state): State<OpsState>,
    Path(kind): Path<String>,
    request: Request,
) -> Result<Json<ActiveFault>, ApiError> {
    let kind = kind_named(&kind)?;
    let wish: FaultRequest = body(request, BODY_LIMIT).await?;
    let refused = |why: String| {
        ApiError::new(
            ErrorCode::RequestMalformed,
            format!("{}: {why}", kind.name()),
        )
    };
    let by = name(wish.by.as_deref()).map_err(refused)?;
    let length = millis("forMs", wish.for_ms).map_err(refused)?;
    let fault = fault(kind, wish.settings()).map_err(refused)?;
    let injected = state.faults.inject(fault, length, by);
    match injected {
        Ok(injected) => Ok(Json(active(&injected))),
        Err(Refused::Setting(why)) => Err(refused(why)),
        Err(Refused::NothingToBreak(why)) => Err(ApiError::new(
            ErrorCode::OpsConflict,
            format!("{}: {why}", kind.name()),
        )),
    }
}

pub(super) async fn end(
    State(state): State<OpsState>,
    Path(kind): Path<String>,
) -> Result<Json<FaultList>, ApiError> {
    state
        .faults
        .end(kind_named(&kind)?, "the operations API ended it");
    Ok(Json(all(&state)))
}

pub(super) async fn end_all(State(state): State<OpsState>) -> Json<FaultList> {
    state.faults.end_all("the operations API ended it");
    Json(all(&state))
}

fn all(state: &OpsState) -> FaultList {
    let on = state.faults.list();
    FaultList {
        faults: on.iter().map(|injected| active(injected)).collect(),
    }
}

fn kind_named(name: &str) -> Result<Kind, ApiError> {
    let found = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| {
        let known = Kind::ALL.map(Kind::name).join(", ");
        let name: String = name.chars().take(LONGEST_NAME).collect();
        let detail = format!("there is no fault {name:?}; there are {known}");
        ApiError::new(ErrorCode::RouteUnknown, detail)
    })
}

/// Who asked, as they call themselves; it goes into the log.
fn name(by: Option<&str>) -> Result<&str, String> {
    let by = by.unwrap_or("the operations API");
    let short = (1..=LONGEST_NAME).contains(&by.chars().count());
    if short && !by.chars().any(char::is_control) {
        return Ok(by);
    }
    Err(format!("by has 1 to {LONGEST_NAME} printable characters"))
}

/// What is out of bounds is said by whoever knows them; here only what is no time at all.
fn millis(setting: &str, value: i64) -> Result<Duration, String> {
    let millis =
        u64::try_from(value).map_err(|_| format!("{setting} is {value}: it cannot be negative"))?;
    Ok(Duration::from_millis(millis))
}

/// The fault of that kind with those settings; each setting must be one that the kind has.
fn fault(kind: Kind, mut wish: FaultSettings) -> Result<Fault, String> {
    let mut delay = || {
        let given = wish.delay_ms.take();
        let given = given.ok_or("delayMs is missing: how much longer it takes")?;
        millis("delayMs", given)
    };
    let (fault, takes) = match kind {
        Kind::Errors => {
            let fault = Fault::Errors {
                share: wish.share.take().ok_or("share is missing: 0 to 1")?,
                status: wish.status.take().unwrap_or(500),
                routes: routes(wish.routes.take(), &[&BUYING])?,
            };
            (fault, "share, status, routes")
        }
        Kind::Latency => {
            let fault = Fault::Latency {
                delay: delay()?,
                share: wish.share.take().unwrap_or(1.0),
                routes: routes(wish.routes.take(), &[&BUYING, &QUEUE])?,
            };
            (fault, "delayMs, share, routes")
        }
        Kind::SlowStatement => {
            let fault = Fault::SlowStatement {
                delay: delay()?,
                statement: wish.statement.take(),
            };
            (fault, "delayMs, statement")
        }
        Kind::PoolExhaustion => {
            let given = wish.connections.take();
            let number = |given| {
                usize::try_from(given).map_err(|_| format!("connections is {given}: 1 or more"))
            };
            let connections = given.map(number).transpose()?;
            (Fault::PoolExhaustion { connections }, "connections")
        }
        Kind::RedisCut => {
            let how = match wish.how.take().unwrap_or_default() {
                LinkCut::Hang => Cut::Hang,
                LinkCut::Refuse => Cut::Refuse,
            };
            (Fault::RedisCut { how }, "how")
        }
    };
    if wish == FaultSettings::default() {
        return Ok(fault);
    }
    let left = serde_json::to_value(&wish).unwrap_or_default();
    let left = left
        .as_object()
        .and_then(|left| left.keys().next().cloned());
    let left = left.unwrap_or_default();
    Err(format!(
        "{left} is no setting of this fault; it takes forMs, by, {takes}"
    ))
}

/// The routes named, all of which must exist; else the usual ones.
fn routes(named: Option<Vec<String>>, usual: &[&[&str]]) -> Result<Vec<String>, String> {
    let Some(named) = named else {
        return Ok(usual.concat().into_iter().map(str::to_owned).collect());
    };
    let known = [&BUYING[..], &QUEUE, &OTHERS].concat();
    if named.is_empty() {
        return Err("routes is empty: leave it out, or name some".to_owned());
    }
    match named.iter().find(|one| !known.contains(&one.as_str())) {
        None => Ok(named),
        Some(unknown) => Err(format!(
            "routes: there is no {unknown:?}; there are {}",
            known.join(", ")
        )),
    }
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
        kind: wire_kind(injected.fault.kind()),
        settings: settings(&injected.fault),
        by: injected.by.clone(),
        started_at: at(started),
        ends_at: at(started.saturating_add(injected.length)),
    }
}

fn settings(fault: &Fault) -> FaultSettings {
    let millis = |delay: &Duration| i64::try_from(delay.as_millis()).ok();
    let none = FaultSettings::default();
    match fault {
        Fault::Errors {
            share,
            status,
            routes,
        } => FaultSettings {
            share: Some(*share),
            status: Some(*status),
            routes: Some(routes.clone()),
            ..none
        },
        Fault::Latency {
            share,
            delay,
            routes,
        } => FaultSettings {
            share: Some(*share),
            delay_ms: millis(delay),
            routes: Some(routes.clone()),
            ..none
        },
        Fault::SlowStatement { statement, delay } => FaultSettings {
            statement: statement.clone(),
            delay_ms: millis(delay),
            ..none
        },
        Fault::PoolExhaustion { connections } => FaultSettings {
            connections: connections.and_then(|number| i64::try_from(number).ok()),
            ..none
        },
        Fault::RedisCut { how } => FaultSettings {
            how: Some(match how {
                Cut::Hang => LinkCut::Hang,
                Cut::Refuse => LinkCut::Refuse,
            }),
            ..none
        },
    }
}

fn wire_kind(kind: Kind) -> FaultKind {
    match kind {
        Kind::Errors => FaultKind::Errors,
        Kind::Latency => FaultKind::Latency,
        Kind::SlowStatement => FaultKind::SlowStatement,
        Kind::PoolExhaustion => FaultKind::PoolExhaustion,
        Kind::RedisCut => FaultKind::RedisCut,
    }
}
