//! The three protections of a seat, each on its own: taken away, its test fails.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};

use crate::assert_refused;
use crate::support::{TestServer, profile, seed};
use concertctl::domain::{Place, SeatId, Timestamp, UserId};
use concertctl::store::sqlite::{Options, SqliteStore};
use concertctl::store::{Keyed, Look, RegisterOutcome, Reserve, ReserveOutcome};

/// The database file of a server's dataset.
fn database(server: &TestServer) -> rusqlite::Connection {
    let name = std::fs::read_to_string(server.dir.path().join("CURRENT")).unwrap();
    let file = server
        .dir
        .path()
        .join("datasets")
        .join(format!("{}.db", name.trim()));
    rusqlite::Connection::open(file).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_lock_keeps_contention_for_a_seat_away_from_the_database() {
    let server = TestServer::with(|settings| {
        settings.store.commit_delay = Duration::from_millis(50);
    })
    .await;
    seed(&server.ops, &profile(1, 5, 40)).await;
    server.admit_everybody().await;
    let users: Vec<_> = stream::iter(1..=40)
        .map(|id| server.admitted(id))
        .buffer_unordered(40)
        .collect()
        .await;
    let answers: Vec<_> = stream::iter(&users)
        .map(|user| user.reserve(1))
        .buffer_unordered(40)
        .collect()
        .await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 201).count(),
        1
    );
    let metrics = users[0].metrics(&server.ops_url).await;
    let conflicts = "concert_reservations_total{outcome=\"conflict\"} 0";
    assert!(
        metrics.contains(conflicts),
        "the database had to decide: {metrics}"
    );
    assert!(!metrics.contains("concert_reservations_total{outcome=\"locked\"} 0"));
    server.stop().await;
}

/// The dataset of a stopped server, opened as a store.
async fn store_of(mut server: TestServer) -> (SqliteStore, tempfile::TempDir) {
    let file = database(&server).path().unwrap().to_owned();
    server.halt().await;
    let metrics = concertctl::telemetry::Metrics::new().unwrap();
    let store = SqliteStore::open(file.as_ref(), Options::default(), metrics).unwrap();
    (store, server.into_dir())
}

#[tokio::test]
async fn a_registration_that_was_never_told_does_not_lock_its_user_out() {
    let (store, _dir) = store_of(TestServer::seeded(1, 5, 5).await).await;
    // The first was committed, but its answer came too late; the user registers again.
    store
        .register(Place(1), UserId(1), Timestamp(1), None)
        .await
        .unwrap();
    store
        .register(Place(2), UserId(1), Timestamp(2), None)
        .await
        .unwrap();
    let places = store.queue_snapshot().await.unwrap().places;
    assert_eq!(
        places,
        [(Place(1), UserId(1), true), (Place(2), UserId(1), false)]
    );
    // A place that somebody holds is never given away.
    let refused = store.register(Place(2), UserId(2), Timestamp(3), None);
    assert_eq!(
        refused.await.unwrap(),
        RegisterOutcome::NumberTaken(Place(2))
    );
    assert_eq!(store.queue_snapshot().await.unwrap().places, places);
    store.close().await;
}

#[tokio::test]
async fn the_version_refuses_a_seat_that_changed_since_it_was_seen() {
    let (store, _dir) = store_of(TestServer::seeded(1, 5, 5).await).await;
    for id in [1_i64, 2] {
        let (place, user) = (Place(id.unsigned_abs()), UserId(id));
        let kept = store.register(place, user, Timestamp(1), None).await;
        assert_eq!(kept.unwrap(), RegisterOutcome::Kept);
    }
    let Look::Seen {
        seat: Some(seen), ..
    } = store.look(SeatId(1), UserId(1), None).await.unwrap()
    else {
        panic!("the seat is there")
    };
    let wish = |user: i64, version| Reserve {
        seat: SeatId(1),
        seen_version: Some(version),
        user: UserId(user),
        place: Place(user.unsigned_abs()),
        now: Timestamp(1),
        expires_at: Timestamp(2),
        limit: 4,
    };
    // Somebody takes the seat and gives it back: it is free, but not the seat that was seen.
    let first = store.reserve(wish(1, seen.version), None).await.unwrap();
    let Keyed::Fresh(ReserveOutcome::Reserved { id, .. }) = first else {
        panic!("{first:?}")
    };
    store.cancel(id, UserId(1), Timestamp(1)).await.unwrap();
    let late = store.reserve(wish(2, seen.version), None).await.unwrap();
    assert_eq!(late, Keyed::Fresh(ReserveOutcome::Conflict));
    store.close().await;
}

#[tokio::test]
async fn the_unique_index_refuses_a_second_live_reservation_whatever_the_seat_says() {
    let server = TestServer::seeded(1, 5, 5).await;
    let holder = server.admitted(1).await;
    holder.reserved(1).await;
    // A defect, or a hand in the database, frees the seat but not its reservation.
    let freed = database(&server).execute("UPDATE seats SET status = 0 WHERE id = 1", []);
    assert_eq!(freed.unwrap(), 1);
    let other = server.admitted(2).await;
    assert_refused!(other.reserve(1).await, 409, "seat.taken");
    let audit = server.audit().await;
    assert_eq!(
        (audit.violations(), audit.reservations),
        (0, 1),
        "{audit:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_write_that_fails_half_way_leaves_nothing_behind() {
    let server = TestServer::seeded(1, 5, 5).await;
    let user = server.admitted(1).await;
    // The balance is written first; the ledger entry then finds no table.
    database(&server)
        .execute_batch("ALTER TABLE ledger RENAME TO away")
        .unwrap();
    assert_refused!(
        user.charge(serde_json::json!(500)).await,
        503,
        "service.store-unavailable"
    );
    database(&server)
        .execute_batch("ALTER TABLE away RENAME TO ledger")
        .unwrap();
    assert_eq!(
        user.get("/accounts/1").await.json(),
        serde_json::json!({ "balance": 0 })
    );
    assert_eq!(
        user.charge(serde_json::json!(500)).await.status,
        200,
        "and work goes on"
    );
    assert_eq!(server.audit().await.violations(), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_user_cannot_be_given_two_live_places() {
    let server = TestServer::seeded(1, 5, 5).await;
    let user = server.registered(1).await;
    let twice = "INSERT INTO queue_places (place, user_id, issued_at) VALUES (?1, 1, 0)";
    let refused = database(&server)
        .execute(twice, [user.place + 1])
        .unwrap_err();
    assert!(refused.to_string().contains("UNIQUE"), "{refused}");
    let taken = "INSERT INTO queue_places (place, user_id, issued_at) VALUES (?1, 2, 0)";
    let refused = database(&server).execute(taken, [user.place]).unwrap_err();
    assert!(refused.to_string().contains("UNIQUE"), "{refused}");
    server.stop().await;
}

#[tokio::test]
async fn a_token_used_up_by_a_payment_stays_used_up_after_a_restart() {
    let mut server = TestServer::seeded(1, 5, 5).await;
    let user = server.admitted(1).await;
    let waiting = server.admitted(2).await;
    user.charge(serde_json::json!(1_000)).await;
    let reservation = user.reserved(1).await;
    assert_eq!(user.pay(reservation).await.status, 200);
    server.halt().await;
    let again = TestServer::on(server.dir).await;
    assert_eq!(user.at(&again.api).queue_status().await, "EXPIRED");
    assert_refused!(user.at(&again.api).reserve(2).await, 403, "queue.expired");
    assert_eq!(
        waiting.at(&again.api).queue_status().await,
        "ACTIVE",
        "nobody else is touched"
    );
    again.stop().await;
}

#[tokio::test]
async fn the_audit_finds_what_is_wrong_in_the_database_itself() {
    let server = TestServer::seeded(1, 5, 5).await;
    let user = server.admitted(1).await;
    user.charge(serde_json::json!(5_000)).await;
    let reservation = user.reserved(1).await;
    assert_eq!(user.pay(reservation).await.status, 200);
    assert_eq!(server.audit().await.violations(), 0);

    let wrongs: [Wrong; 7] = [
        ("UPDATE seats SET status = 1 WHERE id = 2", "UPDATE seats SET status = 0 WHERE id = 2", |a| {
            a.seats_without_reservation
        }),
        ("UPDATE seats SET status = 0 WHERE id = 1", "UPDATE seats SET status = 2 WHERE id = 1", |a| {
            a.reservations_without_seat
        }),
        (
            "UPDATE ledger SET amount = amount + 1 WHERE kind = 1",
            "UPDATE ledger SET amount = amount - 1 WHERE kind = 1",
            |a| a.paid_without_ledger,
        ),
        ("UPDATE reservations SET status = 3", "UPDATE reservations SET status = 1", |a| {
            a.ledger_without_paid
        }),
        (
            "UPDATE users SET balance = balance + 1 WHERE id = 3",
            "UPDATE users SET balance = balance - 1 WHERE id = 3",
            |a| a.wrong_balances,
        ),
        (
            "DROP INDEX one_live_reservation_per_seat;
             INSERT INTO reservations SELECT 99, seat_id, user_id, price, 0, 0, 0 FROM reservations;",
            "DELETE FROM reservations WHERE id = 99;
             CREATE UNIQUE INDEX one_live_reservation_per_seat ON reservations (seat_id) WHERE status IN (0, 1);",
            |a| a.oversold_seats,
        ),
        (
            "DROP INDEX one_live_place_per_user;
             INSERT INTO queue_places (place, user_id, issued_at) VALUES (98, 5, 0), (99, 5, 0);",
            "DELETE FROM queue_places WHERE place > 90;",
            |a| a.duplicate_places,
        ),
    ];
    for (wrong, undo, count) in wrongs {
        database(&server).execute_batch(wrong).unwrap();
        let audit = server.audit().await;
        assert_eq!(count(&audit), 1, "{wrong}: {audit:?}");
        database(&server).execute_batch(undo).unwrap();
        assert_eq!(server.audit().await.violations(), 0, "undone: {undo}");
    }
    server.stop().await;
}

/// What is done to the database, how it is undone, and the count that must find it.
type Wrong = (
    &'static str,
    &'static str,
    fn(&concertctl::api::ops::Audit) -> u64,
);
