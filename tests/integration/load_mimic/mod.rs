//! A small server that behaves like the real one towards the load generator, and fails where a test wants it to. It has
//! a separate runtime, so that it can be killed like a process.

mod operations;
mod ticketing;

use std::collections::HashMap;
use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use concertctl::api::ops::Dataset;
use concertctl::api::{ErrorCode, Problem};
use concertctl::load::Target;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use operations::operations;
use ticketing::{mute, ticketing};

pub(crate) const TOKEN: &str = "the operations token";
const SEATS_PER_DATE: i64 = 50;
pub(crate) const SEATS: i64 = 200;

/// The behaviour of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    #[default]
    Good,
    /// Answers 500 to every ticketing call.
    Fails,
    /// Reads ticketing calls and never answers.
    Hangs,
    /// Reads ticketing calls and closes the connection.
    Closes,
    /// Answers everything at once, except for one poll, which takes a second.
    StallsOnce,
    /// Acknowledges reservations that it does not keep.
    Forgets,
    /// Admits all users before the first one.
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

/// The running server. It ends when this is dropped.
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
            api_urls: vec![format!("http://{}", self.api)],
            ops_url: format!("http://{}", self.ops),
            ops_token: Some(TOKEN.to_owned()),
        }
    }

    /// Ends the server like `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Wait on another thread, because the runtime of the test must not block.
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

    /// The most that a poll came before the time that the server asked for.
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

fn problem(code: ErrorCode) -> Response {
    let status = StatusCode::from_u16(code.status()).unwrap();
    (status, Json(Problem::new(code, "because", "0"))).into_response()
}
