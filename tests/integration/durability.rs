//! `kill -9`: what was acknowledged is there after a restart on the same data.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use serde_json::json;

use crate::support::process::ServerProcess;
use crate::support::{User, eventually, profile, seed};
use concertctl::api::ops::{AdmissionChange, LookupRequest, PlaceFact, ReservationFact};

/// What the clients were told.
#[derive(Default)]
struct Told {
    places: Mutex<Vec<PlaceFact>>,
    reservations: Mutex<Vec<ReservationFact>>,
}

/// Registers users until the server is gone; notes every acknowledged place.
async fn register_all(server: &ServerProcess, users: i64, told: &Arc<Told>) -> Vec<User> {
    stream::iter(1..=users)
        .map(|id| {
            let (mut user, told) = (server.user(id), Arc::clone(told));
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
                told.places.lock().push(PlaceFact {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_kill_while_users_register_loses_no_acknowledged_place() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &[]).await;
    seed(&server.ops, &profile(1, 10, 20_000)).await;
    let closed = AdmissionChange {
        opening: Some(concertctl::api::ops::Opening::Closed),
        ..AdmissionChange::default()
    };
    server.ops.set_admission(&closed).await.unwrap();

    let told = Arc::new(Told::default());
    let server = Arc::new(server);
    let crowd = {
        let (server, told) = (Arc::clone(&server), Arc::clone(&told));
        tokio::spawn(async move { register_all(&server, 20_000, &told).await })
    };
    eventually("the crowd is in full flow", || async {
        (told.places.lock().len() > 1_500).then_some(())
    })
    .await;
    server.signal_kill();
    let users = crowd.await.unwrap();
    let places = std::mem::take(&mut *told.places.lock());
    assert!(
        (1_500..20_000).contains(&places.len()),
        "killed in the middle: {}",
        places.len()
    );

    let again = ServerProcess::start(dir.path(), &[]).await;
    let registered = again.ops.status().await.unwrap().queue.registered;
    assert!(registered >= places.len() as u64);
    for chunk in places.chunks(5_000) {
        let asked = LookupRequest {
            places: chunk.to_vec(),
            ..LookupRequest::default()
        };
        let found = again.ops.lookup(&asked).await.unwrap();
        assert_eq!(
            found.missing, 0,
            "acknowledged and lost: {:?}",
            found.examples
        );
    }
    let unique: BTreeSet<u64> = places.iter().map(|fact| fact.place).collect();
    assert_eq!(unique.len(), places.len(), "a place was given twice");
    assert_eq!(again.ops.audit().await.unwrap().duplicate_places, 0);
    // Tokens stay valid, and their holders stand where they stood.
    for user in users.iter().take(50) {
        let here = again.user_with(user);
        let entry = here.poll().await.json();
        assert_eq!(
            entry["positionInQueue"].as_u64(),
            Some(user.place),
            "{entry}"
        );
    }
    // Whoever comes now comes after everybody.
    let taken: BTreeSet<i64> = places.iter().map(|fact| fact.user_id).collect();
    let newcomer = (1..=20_000).rev().find(|id| !taken.contains(id)).unwrap();
    let mut late = again.user(newcomer);
    let answer = late.register().await;
    if answer.status == 201 {
        assert!(
            !unique.contains(&late.place),
            "place {} was given before",
            late.place
        );
        assert!(late.place > *unique.last().unwrap());
    } else {
        // Committed, but the kill came before its answer.
        assert_eq!(answer.status, 409, "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_kill_while_users_reserve_loses_no_acknowledged_reservation() {
    let dir = tempfile::tempdir().unwrap();
    let server = Arc::new(ServerProcess::start(dir.path(), &[]).await);
    seed(&server.ops, &profile(4, 1_000, 4_000)).await;
    let wide = AdmissionChange {
        batch: Some(100_000),
        every_ms: Some(100),
        ..AdmissionChange::default()
    };
    server.ops.set_admission(&wide).await.unwrap();
    let told = Arc::new(Told::default());
    let users = register_all(&server, 2_000, &told).await;
    assert_eq!(users.len(), 2_000);
    eventually("everybody is admitted", || async {
        (server.ops.status().await.unwrap().queue.admitted_mark == 2_000).then_some(())
    })
    .await;

    let crowd = {
        let told = Arc::clone(&told);
        tokio::spawn(async move {
            stream::iter(users)
                .map(|user| {
                    let told = Arc::clone(&told);
                    async move {
                        for seat in [user.id * 2 - 1, user.id * 2] {
                            let body = json!({ "userId": user.id, "seatId": seat });
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
                                seat_id: seat,
                            };
                            told.reservations.lock().push(fact);
                        }
                    }
                })
                .buffer_unordered(64)
                .collect::<Vec<()>>()
                .await
        })
    };
    eventually("reservations are in full flow", || async {
        (told.reservations.lock().len() > 600).then_some(())
    })
    .await;
    server.signal_kill();
    crowd.await.unwrap();
    let reservations = std::mem::take(&mut *told.reservations.lock());
    assert!(
        (600..4_000).contains(&reservations.len()),
        "in the middle: {}",
        reservations.len()
    );

    let again = ServerProcess::start(dir.path(), &[]).await;
    let places = std::mem::take(&mut *told.places.lock());
    let asked = LookupRequest {
        reservations,
        places,
        ..LookupRequest::default()
    };
    let found = again.ops.lookup(&asked).await.unwrap();
    assert_eq!(
        found.missing, 0,
        "acknowledged and lost: {:?}",
        found.examples
    );
    let audit = again.ops.audit().await.unwrap();
    assert_eq!(audit.violations(), 0, "{audit:?}");
    assert_eq!(audit.seats_pending, audit.reservations);
}
