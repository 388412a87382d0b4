//! Many concurrent users: no seat is sold twice and no place is given twice, in any order of requests.

use std::collections::{BTreeSet, HashMap};

use futures_util::StreamExt as _;
use futures_util::stream;

use super::TestServer;
use crate::support::{User, eventually, profile, seed};
use concertctl::api::ops::{AdmissionChange, LookupRequest, ReservationFact};

/// Registers users 1 to `count`, `width` at a time, and awaits the admission of the last one.
async fn admitted_users(server: &TestServer, count: i64, width: usize) -> Vec<User> {
    let users: Vec<User> = stream::iter(1..=count)
        .map(|id| server.registered(id))
        .buffer_unordered(width)
        .collect()
        .await;
    eventually("everybody is admitted", || async {
        let queue = server.status().await.queue;
        (queue.admitted_mark == count.unsigned_abs()).then_some(())
    })
    .await;
    users
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_one_of_three_hundred_users_gets_the_only_seat() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 10, 300).await;
    let users = admitted_users(&server, 300, 50).await;
    let answers: Vec<_> = stream::iter(&users)
        .map(|user| user.reserve(7))
        .buffer_unordered(300)
        .collect()
        .await;

    let mut by_status: HashMap<u16, usize> = HashMap::new();
    for answer in &answers {
        *by_status.entry(answer.status).or_default() += 1;
    }
    assert_eq!(by_status, HashMap::from([(201, 1), (409, 299)]));
    for refused in answers.iter().filter(|answer| answer.status == 409) {
        let code = refused.problem().1;
        assert!(code == "seat.taken" || code == "seat.locked", "{code}");
    }
    let audit = server.audit().await;
    assert_eq!(
        (audit.violations(), audit.reservations, audit.seats_pending),
        (0, 1, 1)
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_thousand_users_get_all_five_hundred_seats_once_each() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 500, 2_000).await;
    let users = admitted_users(&server, 2_000, 100).await;
    // Each user tries seats from another starting point until one is free or all were tried.
    let got: Vec<Option<(i64, i64, i64)>> = stream::iter(users)
        .map(|user| async move {
            for step in 0..500 {
                let seat = (user.id * 7 + step) % 500 + 1;
                let answer = user.reserve(seat).await;
                match answer.status {
                    201 => {
                        return Some((
                            answer.json()["reservationId"].as_i64().unwrap(),
                            user.id,
                            seat,
                        ));
                    }
                    409 if step < 20 => {}
                    409 => return None,
                    other => panic!("{other}: {}", answer.text),
                }
            }
            None
        })
        .buffer_unordered(200)
        .collect()
        .await;

    let got: Vec<_> = got.into_iter().flatten().collect();
    let seats: BTreeSet<i64> = got.iter().map(|(_, _, seat)| *seat).collect();
    assert_eq!(seats.len(), got.len(), "a seat was given twice");
    let audit = server.audit().await;
    assert_eq!(audit.violations(), 0, "{audit:?}");
    assert_eq!(
        (audit.seats_pending, got.len()),
        (500, 500),
        "every seat is taken"
    );
    let acknowledged = LookupRequest {
        reservations: got
            .iter()
            .map(|&(reservation_id, user_id, seat_id)| ReservationFact {
                reservation_id,
                user_id,
                seat_id,
            })
            .collect(),
        ..LookupRequest::default()
    };
    let found = server.lookup(&acknowledged).await;
    assert_eq!((found.checked, found.missing), (500, 0), "{found:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn places_are_unique_and_each_is_admitted_once_while_all_users_register_at_once() {
    crate::needs!(TestServer);
    let server = TestServer::empty().await;
    seed(&server.ops, &profile(1, 10, 1_000)).await;
    let few = AdmissionChange {
        batch: Some(30),
        every_ms: Some(100),
        ..AdmissionChange::default()
    };
    server.admission(few).await;
    let users: Vec<User> = stream::iter(1..=1_000)
        .map(|id| server.registered(id))
        .buffer_unordered(200)
        .collect()
        .await;
    let places: BTreeSet<u64> = users.iter().map(|user| user.place).collect();
    assert_eq!(
        places,
        (1..=1_000).collect(),
        "the n-th to register holds place n"
    );

    eventually("everybody is admitted", || async {
        (server.status().await.queue.admitted_mark == 1_000).then_some(())
    })
    .await;
    assert_eq!(server.audit().await.duplicate_places, 0);
    let metrics = server.stranger(0).metrics(&server.ops_url).await;
    for counted in [
        "concert_queue_admitted_total 1000",
        "concert_queue_registered_total 1000",
    ] {
        assert!(metrics.contains(counted), "{counted} is missing");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_charges_and_payments_of_an_account_add_up() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 10, 5).await;
    let user = server.admitted(1).await;
    let reservation = user.reserved(1).await;
    let charges = stream::iter(0..100).map(|_| user.charge(serde_json::json!(10)));
    let charged: Vec<_> = charges.buffer_unordered(100).collect().await;
    assert!(charged.iter().all(|answer| answer.status == 200));
    let pays = stream::iter(0..20)
        .map(|_| user.pay(reservation))
        .buffer_unordered(20);
    let paid: Vec<_> = pays.collect().await;
    let successes = paid.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(successes, 1, "paid once");
    assert!(
        paid.iter()
            .all(|answer| [200, 403, 409].contains(&answer.status))
    );
    let audit = server.audit().await;
    assert_eq!((audit.violations(), audit.reservations_paid), (0, 1));
    server.stop().await;
}
