//! The ticketing calls, and the two ways to leave them unanswered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use concertctl::api::ErrorCode;
use concertctl::api::ticketing::{
    ChargeRequest, Charged, Paid, PerformanceDates, QueueEntry, QueueStatus, RegisterRequest,
    ReserveRequest, Reserved, Seat, SeatStatus, Seats,
};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::{App, Manner, SEATS_PER_DATE, Shared, World, problem};

pub(super) async fn mute(listener: TcpListener, manner: Manner) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut buffer = [0; 1024];
            while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                if manner == Manner::Closes {
                    return;
                }
            }
        });
    }
}

pub(super) fn ticketing(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/queue", post(register).get(poll))
        .route("/concerts/{concert}/performanceDates", get(dates))
        .route(
            "/concerts/{concert}/performanceDates/{date}/seats",
            get(seats),
        )
        .route("/reservations", post(reserve))
        .route("/accounts/{user}/charge", post(charge))
        .route("/users/{user}/reservations/{reservation}/pay", post(pay))
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&shared),
            misbehave,
        ))
        .with_state(shared)
}

async fn misbehave(
    app: App,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    match app.manner {
        Manner::Fails => problem(ErrorCode::Internal),
        _ => next.run(request).await,
    }
}

/// Parses the token `place.user`. It is not signed, because no test forges one.
fn holder(headers: &HeaderMap) -> Option<(u64, i64)> {
    let (place, user) = headers.get("wait-token")?.to_str().ok()?.split_once('.')?;
    Some((place.parse().ok()?, user.parse().ok()?))
}

fn entry(app: &App, world: &World, place: u64, user: i64) -> QueueEntry {
    let mark = world.mark();
    let held_back = app.manner == Manner::Unfair
        && place == 1
        && world
            .opened
            .is_none_or(|opened| opened.elapsed() < Duration::from_millis(700));
    let active = place <= mark && !held_back;
    QueueEntry {
        wait_id: place,
        user_id: user,
        position_in_queue: place.saturating_sub(mark),
        status: if active {
            QueueStatus::Active
        } else {
            QueueStatus::Wait
        },
        eta_seconds: world.opened.map(|opened| {
            let batch = (place - 1) / world.batch;
            (world.every.as_secs_f64() * batch as f64 - opened.elapsed().as_secs_f64()).max(0.0)
        }),
        poll_after_ms: app.poll_after.as_millis() as u64,
    }
}

async fn register(app: App, Json(request): Json<RegisterRequest>) -> Response {
    let mut world = app.world.lock();
    if world.queue.contains(&request.user_id) {
        return problem(ErrorCode::QueueAlreadyRegistered);
    }
    world.queue.push(request.user_id);
    let place = world.queue.len() as u64;
    let token = format!("{place}.{}", request.user_id);
    let body = entry(&app, &world, place, request.user_id);
    (StatusCode::CREATED, [("wait-token", token)], Json(body)).into_response()
}

async fn poll(app: App, headers: HeaderMap) -> Response {
    let Some((place, user)) = holder(&headers) else {
        return problem(ErrorCode::TokenMissing);
    };
    let stalls = {
        let mut world = app.world.lock();
        let early = world.poll_due.get(&user).map_or(Duration::ZERO, |due| {
            due.saturating_duration_since(Instant::now())
        });
        world.most_polled_early = world.most_polled_early.max(early);
        let stalls = app.manner == Manner::StallsOnce && !world.stalled;
        world.stalled |= stalls;
        stalls
    };
    if stalls {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut world = app.world.lock();
    let due = Instant::now() + app.poll_after;
    world.poll_due.insert(user, due);
    Json(entry(&app, &world, place, user)).into_response()
}

fn admitted(app: &App, headers: &HeaderMap) -> Result<i64, ErrorCode> {
    let (place, user) = holder(headers).ok_or(ErrorCode::TokenMissing)?;
    let admitted = app.world.lock().mark() >= place;
    if admitted {
        Ok(user)
    } else {
        Err(ErrorCode::QueueNotAdmitted)
    }
}

async fn dates(app: App, headers: HeaderMap) -> Result<Response, Response> {
    admitted(&app, &headers).map_err(problem)?;
    let none = PerformanceDates {
        available_performance_dates: Vec::new(),
        unavailable_performance_dates: Vec::new(),
    };
    Ok(Json(none).into_response())
}

async fn seats(
    app: App,
    Path((_, date)): Path<(i64, i64)>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    admitted(&app, &headers).map_err(problem)?;
    let world = app.world.lock();
    let first = (date - 1) * SEATS_PER_DATE + 1;
    let seat = |id: i64| {
        let status = if world.taken.contains_key(&id) {
            SeatStatus::Pending
        } else {
            SeatStatus::Available
        };
        Seat {
            id,
            number: id - first + 1,
            price: 10_000,
            status,
        }
    };
    let all = (first..first + SEATS_PER_DATE).map(seat);
    let (available_seats, unavailable_seats) =
        all.partition(|seat| seat.status == SeatStatus::Available);
    Ok(Json(Seats {
        available_seats,
        unavailable_seats,
    })
    .into_response())
}

async fn reserve(
    app: App,
    headers: HeaderMap,
    Json(request): Json<ReserveRequest>,
) -> Result<Response, Response> {
    let user = admitted(&app, &headers).map_err(problem)?;
    let key = headers
        .get("idempotency-key")
        .map(|key| key.to_str().unwrap().to_owned())
        .unwrap_or_default();
    let created = |reservation_id: i64| {
        let expires_at = "2026-01-01T00:05:00Z".to_owned();
        (
            StatusCode::CREATED,
            Json(Reserved {
                reservation_id,
                expires_at,
            }),
        )
            .into_response()
    };
    let (reservation, late) = {
        let mut world = app.world.lock();
        if let Some(known) = world.keys.get(&key) {
            return Ok(created(*known));
        }
        if world.taken.contains_key(&request.seat_id) {
            return Err(problem(ErrorCode::SeatTaken));
        }
        if app.manner == Manner::Forgets {
            return Ok(created(1_000_000 + request.seat_id));
        }
        world.reservations.push((user, request.seat_id));
        let reservation = world.reservations.len() as i64;
        world.taken.insert(request.seat_id, reservation);
        world.keys.insert(key, reservation);
        let late = app.manner == Manner::AnswersLate && !world.late;
        world.late |= late;
        (reservation, late)
    };
    if late {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    Ok(created(reservation))
}

async fn charge(app: App, Path(user): Path<i64>, Json(request): Json<ChargeRequest>) -> Response {
    let mut world = app.world.lock();
    let balance = world.charged.entry(user).or_default();
    *balance += request.amount;
    Json(Charged {
        timestamp: String::new(),
        balance: *balance,
    })
    .into_response()
}

async fn pay(app: App, Path((user, reservation)): Path<(i64, i64)>) -> Response {
    let mut world = app.world.lock();
    if app.manner != Manner::Forgets {
        let held = usize::try_from(reservation - 1)
            .ok()
            .and_then(|at| world.reservations.get(at));
        if held.is_none_or(|(owner, _)| *owner != user) {
            return problem(ErrorCode::ReservationNotPayable);
        }
        if world.paid.contains(&reservation) {
            return problem(ErrorCode::ReservationPaid);
        }
        world.paid.push(reservation);
    }
    Json(Paid {
        reservation_id: reservation,
    })
    .into_response()
}
