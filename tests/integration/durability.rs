//! `kill -9`: acknowledged writes are present after a restart on the same data.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use serde_json::json;

use crate::support::process::ServerProcess;
use crate::support::{User, eventually, profile, seed};
use concertctl::api::ops::{AdmissionChange, LookupRequest, Opening, PlaceFact, ReservationFact};

/// The writes that were acknowledged to clients.
#[derive(Default)]
struct Acknowledged {
    places: Mutex<Vec<PlaceFact>>,
    reservations: Mutex<Vec<ReservationFact>>,
    /// The server to kill as soon as this number of writes is acknowledged. If an answer left before its commit, the
    /// kill then comes between them.
    doomed: Mutex<Option<(usize, Arc<ServerProcess>)>>,
}

impl Acknowledged {
    fn doom(&self, after: usize, server: &Arc<ServerProcess>) {
        let count = self.places.lock().len() + self.reservations.lock().len();
        *self.doomed.lock() = Some((count + after, Arc::clone(server)));
    }

    fn place(&self, fact: PlaceFact) {
        self.places.lock().push(fact);
        self.strike();
    }

    fn reservation(&self, fact: ReservationFact) {
        self.reservations.lock().push(fact);
        self.strike();
    }

    fn strike(&self) {
        let count = self.places.lock().len() + self.reservations.lock().len();
        if let Some((_, server)) = self.doomed.lock().take_if(|(at, _)| count >= *at) {
            server.signal_kill();
        }
    }
}

/// Registers users until the server is killed; notes every acknowledged place.
async fn register_all(
    server: &ServerProcess,
    users: RangeInclusive<i64>,
    acknowledged: &Arc<Acknowledged>,
) -> Vec<User> {
    stream::iter(users)
        .map(|id| {
            let (mut user, acknowledged) = (server.user(id), Arc::clone(acknowledged));
            async move {
                let body = json!({ "userId": id });
                let response = user
                    .call(reqwest::Method::POST, "/queue")
                    .json(&body)
                    .send()
                    .await
                    .ok()?;
                let token = response
                    .headers()
                    .get("wait-token")?
                    .to_str()
                    .ok()?
                    .to_owned();
                let entry: serde_json::Value = response.json().await.ok()?;
                user.place = entry["waitId"].as_u64()?;
                user.token = Some(token);
                acknowledged.place(PlaceFact {
                    place: user.place,
                    user_id: id,
                });
                Some(user)
            }
        })
        .buffer_unordered(64)
        .filter_map(|user| async { user })
        .collect()
        .await
}

/// The number of kills. Each hits the writer in another state.
const KILLS: usize = 3;
/// Delays commits, so that the kill detects an answer that leaves before its commit even on a fast disk.
const SLOW_DISK: [&str; 2] = ["--commit-delay", "5ms"];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_kill_while_users_register_loses_no_acknowledged_place() {
    let dir = tempfile::tempdir().unwrap();
    let acknowledged = Arc::new(Acknowledged::default());
    let mut users = Vec::new();
    for round in 0..KILLS {
        let server = Arc::new(ServerProcess::start(dir.path(), &SLOW_DISK).await);
        if round == 0 {
            seed(&server.ops, &profile(1, 10, 60_000)).await;
            let closed = AdmissionChange {
                opening: Some(Opening::Closed),
                ..AdmissionChange::default()
            };
            server.ops.set_admission(&closed).await.unwrap();
        }
        acknowledged.doom(500, &server);
        let from = 10_000 * i64::try_from(round).unwrap();
        let registered = register_all(&server, from + 1..=from + 10_000, &acknowledged).await;
        assert!(
            (500..10_000).contains(&registered.len()),
            "the kill must come in the middle: {}",
            registered.len()
        );
        users.extend(registered);
    }

    let places = std::mem::take(&mut *acknowledged.places.lock());
    let again = ServerProcess::start(dir.path(), &[]).await;
    assert!(again.ops.status().await.unwrap().queue.registered >= places.len() as u64);
    assert_all_there(
        &again,
        LookupRequest {
            places: places.clone(),
            ..LookupRequest::default()
        },
    )
    .await;
    let unique: BTreeSet<u64> = places.iter().map(|fact| fact.place).collect();
    assert_eq!(unique.len(), places.len(), "a place was given twice");
    // Tokens stay valid, and their users keep their places.
    for user in users.iter().step_by(100) {
        let entry = again.user_with(user).poll().await.json();
        assert_eq!(
            entry["positionInQueue"].as_u64(),
            Some(user.place),
            "{entry}"
        );
    }
    // New users come after all others.
    let mut late = again.user(60_000);
    assert_eq!(late.register().await.status, 201);
    assert!(
        late.place > *unique.last().unwrap(),
        "{} is not at the end",
        late.place
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_kill_while_users_reserve_loses_no_acknowledged_reservation() {
    let dir = tempfile::tempdir().unwrap();
    let acknowledged = Arc::new(Acknowledged::default());
    let mut users = Vec::new();
    for round in 0..KILLS {
        let server = Arc::new(ServerProcess::start(dir.path(), &SLOW_DISK).await);
        if round == 0 {
            seed(&server.ops, &profile(6, 1_000, 3_000)).await;
            let wide = AdmissionChange {
                batch: Some(100_000),
                every_ms: Some(100),
                ..AdmissionChange::default()
            };
            server.ops.set_admission(&wide).await.unwrap();
            users = register_all(&server, 1..=3_000, &acknowledged).await;
            eventually("everybody is admitted", || async {
                (server.ops.status().await.unwrap().queue.admitted_mark == 3_000).then_some(())
            })
            .await;
        }
        let here = users[round * 500..][..500]
            .iter()
            .map(|user| server.user_with(user))
            .collect();
        let before = acknowledged.reservations.lock().len();
        acknowledged.doom(200, &server);
        reserve_all(here, &acknowledged).await;
        let reserved = acknowledged.reservations.lock().len() - before;
        assert!(
            (200..1_000).contains(&reserved),
            "the kill must come in the middle: {reserved}"
        );
    }

    let again = ServerProcess::start(dir.path(), &[]).await;
    let reservations = std::mem::take(&mut *acknowledged.reservations.lock());
    let places = std::mem::take(&mut *acknowledged.places.lock());
    assert_all_there(
        &again,
        LookupRequest {
            reservations,
            places,
            ..LookupRequest::default()
        },
    )
    .await;
    let audit = again.ops.audit().await.unwrap();
    assert_eq!(audit.violations(), 0, "{audit:?}");
    assert_eq!(audit.seats_pending, audit.reservations);
}

/// Each user reserves two seats of their own until the server is killed; notes every acknowledged reservation.
async fn reserve_all(users: Vec<User>, acknowledged: &Arc<Acknowledged>) {
    let reserve = |user: User| {
        let acknowledged = Arc::clone(acknowledged);
        async move {
            for seat_id in [user.id * 2 - 1, user.id * 2] {
                let body = json!({ "userId": user.id, "seatId": seat_id });
                let call = user
                    .call(reqwest::Method::POST, "/reservations")
                    .json(&body);
                let Ok(response) = call.send().await else {
                    return;
                };
                if response.status() != 201 {
                    return;
                }
                let Ok(held) = response.json::<serde_json::Value>().await else {
                    return;
                };
                let reservation_id = held["reservationId"].as_i64().unwrap();
                let fact = ReservationFact {
                    reservation_id,
                    user_id: user.id,
                    seat_id,
                };
                acknowledged.reservation(fact);
            }
        }
    };
    stream::iter(users)
        .map(reserve)
        .buffer_unordered(64)
        .collect::<Vec<()>>()
        .await;
}

async fn assert_all_there(server: &ServerProcess, wanted: LookupRequest) {
    let chunks = |length: usize| (0..length.div_ceil(5_000)).map(|at| at * 5_000);
    let mut asked: Vec<LookupRequest> = Vec::new();
    for from in chunks(wanted.places.len()) {
        let places = wanted
            .places
            .iter()
            .skip(from)
            .take(5_000)
            .copied()
            .collect();
        asked.push(LookupRequest {
            places,
            ..LookupRequest::default()
        });
    }
    for from in chunks(wanted.reservations.len()) {
        let reservations = wanted
            .reservations
            .iter()
            .skip(from)
            .take(5_000)
            .copied()
            .collect();
        asked.push(LookupRequest {
            reservations,
            ..LookupRequest::default()
        });
    }
    assert!(!asked.is_empty());
    for request in asked {
        let found = server.ops.lookup(&request).await.unwrap();
        assert_eq!(
            found.missing, 0,
            "acknowledged and lost: {:?}",
            found.examples
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_refuses_writes_and_loses_no_acknowledged_write() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &[]).await;
    seed(&server.ops, &profile(1, 10, 20_000)).await;
    server.signal_kill();

    // No file may grow beyond 1 MiB: after at most about 80 commits of 64 requests, the write-ahead log of the database
    // reaches the limit.
    let server = Arc::new(ServerProcess::start_limited(dir.path(), 1024).await);
    let acknowledged = Arc::new(Acknowledged::default());
    let mut first = server.user(1);
    assert_eq!(first.register().await.status, 201);
    let users = register_all(&server, 2..=20_000, &acknowledged).await;
    assert!(
        (100..8_000).contains(&users.len()),
        "the disk must become full in the middle: {}",
        users.len()
    );
    let answer = server.user(19_999).register().await;
    crate::assert_refused!(&answer, 503, "service.store-unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(
        !answer.text.contains("disk") && !answer.text.contains("SQL"),
        "{}",
        answer.text
    );
    assert_eq!(first.poll().await.status, 200, "polls go on");
    server.signal_kill();

    let again = ServerProcess::start(dir.path(), &[]).await;
    let places = std::mem::take(&mut *acknowledged.places.lock());
    assert_all_there(
        &again,
        LookupRequest {
            places,
            ..LookupRequest::default()
        },
    )
    .await;
    let mut late = again.user(19_999);
    assert_eq!(
        late.register().await.status,
        201,
        "with free space, writes succeed again"
    );
}
