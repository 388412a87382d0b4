//! The operations calls: dataset, admission and audit, from the state of the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use concertctl::api::ErrorCode;
use concertctl::api::ops::{
    AdmissionChange, AdmissionState, Audit, LookupAnswer, LookupRequest, Opening, QueueState,
    SeedPhase, SeedProgress, SeedRequest, Status,
};

use super::{App, Shared, TOKEN, World, dataset, problem};

pub(super) fn operations(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/ops/v1/status", get(status))
        .route("/ops/v1/admission", put(admission))
        .route("/ops/v1/seed", post(seed).get(seeding))
        .route("/ops/v1/audit", get(audit))
        .route("/ops/v1/audit/lookup", post(lookup))
        .with_state(shared)
}

fn authorized(headers: &HeaderMap) -> Result<(), ErrorCode> {
    let given = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    if given == Some(&format!("Bearer {TOKEN}")) {
        Ok(())
    } else {
        Err(ErrorCode::OpsUnauthorized)
    }
}

fn admission_state(world: &World) -> AdmissionState {
    AdmissionState {
        batch: world.batch,
        every_ms: world.every.as_millis() as u64,
        paused: false,
        opens_at_ms: None,
        open: world.opened.is_some(),
        follow: Default::default(),
        rate: 0.0,
    }
}

async fn status(app: App) -> Json<Status> {
    let world = app.world.lock();
    let queue = QueueState {
        registered: world.queue.len() as u64,
        admitted_mark: world.mark(),
        ..QueueState::default()
    };
    Json(Status {
        version: "mimic".to_owned(),
        api_addr: "127.0.0.1:0".to_owned(),
        dataset: world.dataset.clone(),
        queue,
        admission: admission_state(&world),
        consoles: 0,
        memory_bytes: None,
    })
}

async fn admission(
    app: App,
    headers: HeaderMap,
    Json(change): Json<AdmissionChange>,
) -> Result<Response, Response> {
    authorized(&headers).map_err(problem)?;
    let mut world = app.world.lock();
    world.batch = change.batch.unwrap_or(world.batch);
    world.every = change.every_ms.map_or(world.every, Duration::from_millis);
    match change.opening {
        Some(Opening::Now) => world.opened = Some(Instant::now()),
        Some(Opening::Closed) => world.opened = None,
        Some(Opening::At(_)) | None => {}
    }
    Ok(Json(admission_state(&world)).into_response())
}

async fn seed(
    app: App,
    headers: HeaderMap,
    Json(request): Json<SeedRequest>,
) -> Result<Response, Response> {
    authorized(&headers).map_err(problem)?;
    let mut world = app.world.lock();
    let profile = request.profile.unwrap_or_default();
    let seedings = world.seedings + 1;
    *world = World {
        dataset: Some(dataset(&profile)),
        batch: 500,
        every: Duration::from_secs(15),
        seedings,
        ..World::default()
    };
    Ok(Json(SeedProgress {
        phase: SeedPhase::Running,
        ..SeedProgress::default()
    })
    .into_response())
}

async fn seeding() -> Json<SeedProgress> {
    Json(SeedProgress {
        phase: SeedPhase::Done,
        ..SeedProgress::default()
    })
}

async fn audit(app: App) -> Json<Audit> {
    let world = app.world.lock();
    Json(Audit {
        seats_sold: world.paid.len() as u64,
        reservations: world.reservations.len() as u64,
        places: world.queue.len() as u64,
        ..Audit::default()
    })
}

async fn lookup(
    app: App,
    headers: HeaderMap,
    Json(facts): Json<LookupRequest>,
) -> Result<Response, Response> {
    authorized(&headers).map_err(problem)?;
    let world = app.world.lock();
    let places = facts
        .places
        .iter()
        .filter(|fact| world.queue.get(fact.place as usize - 1) != Some(&fact.user_id));
    let reservation = |id: i64| {
        usize::try_from(id - 1)
            .ok()
            .and_then(|at| world.reservations.get(at))
    };
    let reservations = facts
        .reservations
        .iter()
        .filter(|fact| reservation(fact.reservation_id) != Some(&(fact.user_id, fact.seat_id)));
    let payments = facts.payments.iter().filter(|id| !world.paid.contains(id));
    let charges = facts.charges.iter().filter(|fact| {
        world
            .charged
            .get(&fact.user_id)
            .is_none_or(|sum| *sum < fact.at_least)
    });
    let missing = places.count() + reservations.count() + payments.count() + charges.count();
    let checked =
        facts.places.len() + facts.reservations.len() + facts.payments.len() + facts.charges.len();
    let answer = LookupAnswer {
        checked: checked as u64,
        missing: missing as u64,
        examples: Vec::new(),
        // Older servers do not look up keys and leave this out.
        done: None,
    };
    Ok(Json(answer).into_response())
}
