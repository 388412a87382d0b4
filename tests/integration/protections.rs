//! The protections of seats, places and money, each tested alone: without it, its test fails.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};

use super::TestServer;
use crate::assert_refused;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_seat_lock_keeps_contention_away_from_the_database() {
    crate::needs!(TestServer);
    let server = TestServer::slow(1, 5, 40, Duration::from_millis(50)).await;
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

#[tokio::test]
async fn the_unique_index_refuses_a_second_live_reservation_of_a_seat_marked_free() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 5, 5).await;
    let holder = server.admitted(1).await;
    holder.reserved(1).await;
    // A defect or a manual change frees the seat but not its reservation.
    let freed = server.tamper("UPDATE seats SET status = 0 WHERE id = 1");
    freed.await.unwrap();
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
async fn a_write_that_fails_halfway_changes_nothing() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 5, 5).await;
    let user = server.admitted(1).await;
    // The balance is written first. Then the ledger entry fails, because its table is missing.
    let broken = server.tamper("ALTER TABLE ledger RENAME TO away");
    broken.await.unwrap();
    assert_refused!(
        user.charge(serde_json::json!(500)).await,
        503,
        "service.store-unavailable"
    );
    let mended = server.tamper("ALTER TABLE away RENAME TO ledger");
    mended.await.unwrap();
    assert_eq!(
        user.get("/accounts/1").await.json(),
        serde_json::json!({ "balance": 0 })
    );
    assert_eq!(
        user.charge(serde_json::json!(500)).await.status,
        200,
        "the server continues"
    );
    assert_eq!(server.audit().await.violations(), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_user_cannot_be_given_two_live_places() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 5, 5).await;
    let user = server.registered(1).await;
    // Try to give the user a second place, and to give the user's place to another user.
    for (place, user_id) in [(user.place + 1, 1), (user.place, 2)] {
        let twice = format!(
            "INSERT INTO queue_places (place, user_id, issued_at) VALUES ({place}, {user_id}, 0)"
        );
        let refused = server.tamper(&twice).await.unwrap_err();
        assert!(refused.to_lowercase().contains("unique"), "{refused}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_token_used_up_by_a_payment_stays_used_up_after_a_restart() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 5, 5).await;
    let user = server.admitted(1).await;
    let waiting = server.admitted(2).await;
    user.charge(serde_json::json!(1_000)).await;
    let reservation = user.reserved(1).await;
    assert_eq!(user.pay(reservation).await.status, 200);
    let again = server.restarted().await;
    assert_eq!(user.at(&again.api).queue_status().await, "EXPIRED");
    assert_refused!(user.at(&again.api).reserve(2).await, 403, "queue.expired");
    assert_eq!(
        waiting.at(&again.api).queue_status().await,
        "ACTIVE",
        "no other user is affected"
    );
    again.stop().await;
}

#[tokio::test]
async fn the_audit_finds_each_kind_of_damage() {
    crate::needs!(TestServer);
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
             CREATE TABLE twin AS SELECT * FROM reservations;
             UPDATE twin SET id = 99, user_id = 2, status = 0;
             INSERT INTO reservations SELECT * FROM twin;
             DROP TABLE twin;",
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
        server.tamper(wrong).await.unwrap();
        let audit = server.audit().await;
        assert_eq!(count(&audit), 1, "{wrong}: {audit:?}");
        server.tamper(undo).await.unwrap();
        assert_eq!(server.audit().await.violations(), 0, "undone: {undo}");
    }
    server.stop().await;
}

/// A change of the database, its reversal, and the count of the audit that must find it.
type Wrong = (
    &'static str,
    &'static str,
    fn(&concertctl::api::ops::Audit) -> u64,
);
