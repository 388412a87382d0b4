//! A small server that behaves like the real one as far as the load generator sees it, and badly
//! where a test wants it to. On a runtime of its own, so that it can be killed like a process.

use std::collections::HashMap;
use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use concertctl::api::ops::{
    AdmissionChange, AdmissionState, Audit, Dataset, LookupAnswer, LookupRequest, Opening,
    QueueState, SeedPhase, SeedProgress, SeedRequest, Status,
};
use concertctl::api::ticketing::{
    ChargeRequest, Charged, Paid, PerformanceDates, QueueEntry, RegisterRequest, ReserveRequest,
    Reserved, Seat, SeatState, Seats, WaitStatus,
};
use concertctl::api::{ErrorCode, Problem};
use concertctl::load::Target;
use parking_lot::Mutex;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

pub(crate) const TOKEN: &str = "the operations token";
const SEATS_PER_DATE: i64 = 50;
pub(crate) const SEATS: i64 = 200;

/// How the server behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    #[default]
    Good,
    /// 500 to every ticketing call.
    Fails,
    /// Reads ticketing calls and never answers.
    Hangs,
    /// Reads ticketing calls and closes the connection.
    Closes,
    /// Answers everything at once but one poll, which takes a second.
    StallsOnce,
    /// Acknowledges reservations that it does not keep.
    Forgets,
    /// Lets everyone in but the first, who waits a while longer.
    Unfair,
    /// Keeps the first reservation but answers it too late.
    AnswersLate,
}

#[derive(Default)]
struct World {
    dataset: Option<Dataset>,
    queue: Vec<i64>,
    opened: Option<Instant>,
    batch: u64,
    every: Duration,
    taken: HashMap<i64, i64>,
    reservations: Vec<(i64, i64)>,
    paid: Vec<i64>,
    charged: HashMap<i64, i64>,
    keys: HashMap<String, i64>,
    stalled: bool,
    late: bool,
    seedings: u32,
    most_polled_early: Duration,
    poll_due: HashMap<i64, Instant>,
}

impl World {
    fn mark(&self) -> u64 {
        let Some(opened) = self.opened else { return 0 };
        let batches = 1 + opened.elapsed().as_micros() / self.every.as_micros().max(1);
        (self.batch * batches as u64).min(self.queue.len() as u64)
    }
}

struct Shared {
    manner: Manner,
    poll_after: Duration,
    world: Mutex<World>,
}

type App = State<Arc<Shared>>;

/// The running server; dropped, it is gone.
pub(crate) struct Mimic {
    runtime: Option<tokio::runtime::Runtime>,
    shared: Arc<Shared>,
    api: SocketAddr,
    ops: SocketAddr,
}

impl Mimic {
    pub(crate) fn start(manner: Manner) -> Mimic {
        let world = World {
            dataset: Some(dataset("demo")),
            batch: 500,
            every: Duration::from_secs(15),
            ..World::default()
        };
        let shared = Arc::new(Shared {
            manner,
            poll_after: Duration::from_millis(50),
            world: Mutex::new(world),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let bind = || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let _within = runtime.enter();
            TcpListener::from_std(listener).unwrap()
        };
        let (api, ops) = (bind(), bind());
        let addresses = (api.local_addr().unwrap(), ops.local_addr().unwrap());
        match manner {
            Manner::Hangs | Manner::Closes => drop(runtime.spawn(mute(api, manner))),
            _ => {
                drop(runtime.spawn(axum::serve(api, ticketing(Arc::clone(&shared))).into_future()))
            }
        }
        drop(runtime.spawn(axum::serve(ops, operations(Arc::clone(&shared))).into_future()));
        Mimic {
            runtime: Some(runtime),
            shared,
            api: addresses.0,
            ops: addresses.1,
        }
    }

    pub(crate) fn target(&self) -> Target {
        Target {
            api_url: format!("http://{}", self.api),
            ops_url: format!("http://{}", self.ops),
            ops_token: Some(TOKEN.to_owned()),
        }
    }

    /// Ends it as `kill -9` would.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waited for on another thread: a test's own runtime must not block.
            let ending =
                std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)));
            ending.join().unwrap();
        }
    }

    pub(crate) fn use_dataset(&self, profile: Option<&str>) {
        self.shared.world.lock().dataset = profile.map(dataset);
    }

    pub(crate) fn seedings(&self) -> u32 {
        self.shared.world.lock().seedings
    }

    pub(crate) fn registered(&self) -> usize {
        self.shared.world.lock().queue.len()
    }

    pub(crate) fn reservations(&self) -> usize {
        self.shared.world.lock().reservations.len()
    }

    pub(crate) fn paid(&self) -> usize {
        self.shared.world.lock().paid.len()
    }

    /// How much earlier than told anybody polled.
    pub(crate) fn most_polled_early(&self) -> Duration {
        self.shared.world.lock().most_polled_early
    }
}

impl Drop for Mimic {
    fn drop(&mut self) {
        self.kill();
    }
}

fn dataset(profile: &str) -> Dataset {
    Dataset {
        profile: profile.to_owned(),
        concerts: 1,
        dates: (SEATS / SEATS_PER_DATE) as u64,
        seats: SEATS as u64,
        users: 1_000,
        on_sale_concert: 1,
        on_sale_seats: SEATS as u64,
        popular_seats: SEATS as u64 / 5,
        seats_per_date: SEATS_PER_DATE as u64,
        seeded_at: "2026-01-01T00:00:00Z".to_owned(),
    }
}

async fn mute(listener: TcpListener, manner: Manner) {
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

fn ticketing(shared: Arc<Shared>) -> Router {
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

fn problem(code: ErrorCode) -> Response {
    let status = StatusCode::from_u16(code.status()).unwrap();
    (status, Json(Problem::new(code, "because", "0"))).into_response()
}

/// The token is `place.user`: nobody here tries to forge one.
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
            WaitStatus::Active
        } else {
            WaitStatus::Wait
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
            SeatState::Pending
        } else {
            SeatState::Available
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
        all.partition(|seat| seat.status == SeatState::Available);
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

fn operations(shared: Arc<Shared>) -> Router {
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
    };
    Ok(Json(answer).into_response())
}
