//! Requests that are repeated because their answer was lost: with a key they get the first answer and change nothing.
//! Admissions that end with their last hold.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::TestServer;
use crate::assert_refused;
use crate::support::{Answer, User, eventually};

/// `POST /queue` with a key.
pub async fn register_keyed(user: &User, key: &str) -> Answer {
    user.post_keyed("/queue", key, json!({ "userId": user.id }))
        .await
}

fn token(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.header("wait-token").unwrap().to_owned()
}

pub async fn pay_keyed(user: &User, reservation: i64, key: &str) -> Answer {
    let path = format!("/users/{}/reservations/{reservation}/pay", user.id);
    let call = user.call(Method::POST, &path);
    User::send(call.header("idempotency-key", key)).await
}

/// Registers again and waits for admission.
async fn admitted_again(user: &mut User) {
    eventually("the user may register again", || {
        let mut again = user.clone();
        async move { (again.register().await.status == 201).then_some(again) }
    })
    .await
    .clone_into(user);
    user.until_active().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_registration_with_the_same_key_gets_the_same_token() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 5, 5).await;
    let mut user = server.stranger(1);
    let first = register_keyed(&user, "k").await;
    user.token = Some(token(&first));
    let copies = join_all((0..20).map(|_| register_keyed(&user, "k"))).await;
    for copy in &copies {
        assert_eq!(token(copy), token(&first));
        assert_eq!(copy.json()["waitId"], first.json()["waitId"]);
    }
    let all_at_once = server.stranger(3);
    let copies = join_all((0..20).map(|_| register_keyed(&all_at_once, "k"))).await;
    assert!(copies.iter().all(|copy| token(copy) == token(&copies[0])));

    let without = user.post("/queue", json!({ "userId": 1 })).await;
    assert_refused!(without, 409, "queue.already-registered");
    let other_key = register_keyed(&user, "other").await;
    assert_refused!(other_key, 409, "queue.already-registered");
    let other_body = json!({ "userId": 1, "more": true });
    let other_body = user.post_keyed("/queue", "k", other_body).await;
    assert_refused!(other_body, 409, "idempotency.mismatch");
    let other_user = register_keyed(&server.stranger(2), "k").await;
    assert_ne!(token(&other_user), token(&first));
    for bad in ["", "with space"] {
        let bad = register_keyed(&user, bad).await;
        assert_refused!(bad, 400, "idempotency.malformed");
    }

    let server = server.restarted().await;
    let user = user.at(&server.api);
    assert_eq!(token(&register_keyed(&user, "k").await), token(&first));
    user.until_active().await;
    let standing = register_keyed(&user, "k").await.json();
    assert_eq!(
        standing["status"], "ACTIVE",
        "the status is the current one"
    );

    // The place ends, and with it the stored answer of the key.
    user.charge(json!(1_000)).await;
    let reservation = user.reserved(1).await;
    assert_eq!(user.pay(reservation).await.status, 200);
    assert_eq!(user.queue_status().await, "EXPIRED");
    let again = register_keyed(&user, "k").await;
    assert_ne!(token(&again), token(&first));
    assert_eq!(token(&register_keyed(&user, "k").await), token(&again));
    assert_eq!(server.audit().await.violations(), 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_of_a_keyed_request_get_one_answer() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 10, 5).await;
    let user = server.admitted(1).await;
    let wish = json!({ "userId": 1, "seatId": 3 });
    let copies = (0..40).map(|_| user.post_keyed("/reservations", "r", wish.clone()));
    let copies = join_all(copies).await;
    for copy in &copies {
        assert_eq!((copy.status, &copy.text), (201, &copies[0].text));
    }
    let amount = json!({ "amount": 5_000 });
    let copies = (0..40).map(|_| user.post_keyed("/accounts/1/charge", "c", amount.clone()));
    let charged = join_all(copies).await;
    assert!(charged.iter().all(|copy| copy.json()["balance"] == 5_000));

    let given_back = user.reserved(4).await;
    let cancel = || {
        let call = user.call(Method::DELETE, &format!("/reservations/{given_back}"));
        User::send(call.header("idempotency-key", "d"))
    };
    let cancelled = join_all((0..10).map(|_| cancel())).await;
    assert!(
        cancelled.iter().all(|copy| copy.status == 204),
        "{cancelled:?}"
    );
    assert_refused!(user.cancel(given_back).await, 404, "reservation.unknown");

    let reservation = charged_reservation(&user).await;
    let paid = join_all((0..20).map(|_| pay_keyed(&user, reservation, "p"))).await;
    assert!(paid.iter().all(|copy| copy.status == 200), "{paid:?}");
    let audit = server.audit().await;
    assert_eq!((audit.violations(), audit.reservations_paid), (0, 1));
    server.stop().await;
}

/// The copies arrive while the first request is in progress.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_of_a_slow_reservation_wait_for_its_answer() {
    crate::needs!(TestServer);
    let server = TestServer::slow(1, 10, 5, std::time::Duration::from_millis(50)).await;
    let user = server.admitted(1).await;
    let wish = json!({ "userId": 1, "seatId": 3 });
    let copies = (0..20).map(|_| user.post_keyed("/reservations", "r", wish.clone()));
    let copies = join_all(copies).await;
    for copy in &copies {
        assert_eq!((copy.status, &copy.text), (201, &copies[0].text));
    }
    server.stop().await;
}

async fn charged_reservation(user: &User) -> i64 {
    let list = user.get("/users/1/reservations").await.json();
    let rows = list["reservations"].as_array().unwrap();
    let pending = rows.iter().find(|row| row["status"] == "PENDING").unwrap();
    pending["reservationId"].as_i64().unwrap()
}

#[tokio::test]
async fn a_repeated_payment_does_not_end_a_newer_admission() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 10, 5).await;
    let mut user = server.admitted(1).await;
    user.charge(json!(9_000)).await;
    let reservation = user.reserved(1).await;
    assert_eq!(pay_keyed(&user, reservation, "k").await.status, 200);
    let ended = user.clone();
    admitted_again(&mut user).await;
    assert_eq!(pay_keyed(&user, reservation, "k").await.status, 200);
    assert_eq!(user.queue_status().await, "ACTIVE");
    for token in [&user, &ended] {
        // The state of the admission does not matter: a user who has paid is not sent back to the queue.
        assert_refused!(token.pay(reservation).await, 409, "reservation.paid");
    }
    assert_eq!(user.queue_status().await, "ACTIVE");
    let next = user.reserved(2).await;
    assert_refused!(ended.pay(next).await, 403, "queue.expired");
    assert_eq!(user.pay(next).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn one_admission_pays_several_seats_and_ends_with_the_last() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 10, 5).await;
    let user = server.admitted(1).await;
    user.charge(json!(9_000)).await;
    let mut held = Vec::new();
    for seat in 1..=4 {
        held.push(user.reserved(seat).await);
    }
    for id in &held[..2] {
        assert_eq!(user.pay(*id).await.status, 200);
        assert_eq!(user.queue_status().await, "ACTIVE");
    }
    assert_eq!(user.cancel(held[2]).await.status, 204);
    assert_eq!(user.queue_status().await, "ACTIVE");
    assert_eq!(user.pay(held[3]).await.status, 200);
    assert_eq!(user.queue_status().await, "EXPIRED");
    assert_refused!(user.reserve(5).await, 403, "queue.expired");

    // Cancelling the last hold also ends the admission.
    let other = server.admitted(2).await;
    other.charge(json!(9_000)).await;
    let (paid, given_back) = (other.reserved(6).await, other.reserved(7).await);
    assert_eq!(other.pay(paid).await.status, 200);
    assert_eq!(other.cancel(given_back).await.status, 204);
    assert_eq!(other.queue_status().await, "EXPIRED");

    // The list of reservations needs no admission, and shows only those of the user.
    let list = user.get("/users/1/reservations").await.json();
    let rows = list["reservations"].as_array().unwrap().clone();
    let statuses: Vec<_> = rows
        .iter()
        .map(|row| row["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["PAID", "PAID", "CANCELLED", "PAID"]);
    assert_eq!(
        (&rows[0]["seatId"], &rows[0]["concertId"]),
        (&json!(1), &json!(1))
    );
    let page = user.get("/users/1/reservations?limit=2").await.json();
    assert_eq!(page["next"], json!(held[1]));
    let rest = format!("/users/1/reservations?after={}", held[1]);
    let rest = user.get(&rest).await.json();
    assert_eq!(rest["reservations"], json!(rows[2..]));
    assert!(rest["next"].is_null());
    let foreign = user.get("/users/2/reservations").await;
    assert_refused!(foreign, 403, "token.foreign");
    for limit in ["0", "1001", "x"] {
        let refused = format!("/users/1/reservations?limit={limit}");
        assert_refused!(user.get(&refused).await, 400, "request.malformed");
    }
    server.stop().await;
}

/// After the end of an admission, its holds can be paid until they expire.
#[tokio::test]
async fn a_hold_outlasts_its_admission() {
    crate::needs!(TestServer);
    let server = TestServer::with(|settings| {
        settings.rules.active = std::time::Duration::from_millis(2_500);
    })
    .await;
    crate::support::seed(&server.ops, &crate::support::profile(1, 10, 5)).await;
    server.admit_everybody().await;
    let user = server.admitted(1).await;
    user.charge(json!(5_000)).await;
    let (paid, given_back) = (user.reserved(1).await, user.reserved(2).await);
    eventually("the admission ends", || async {
        (user.queue_status().await == "EXPIRED").then_some(())
    })
    .await;
    assert_refused!(user.reserve(3).await, 403, "queue.expired");
    assert_eq!(user.cancel(given_back).await.status, 204);
    assert_eq!(user.pay(paid).await.status, 200);
    assert_eq!(server.audit().await.violations(), 0);
    server.stop().await;
}
