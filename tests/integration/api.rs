//! The ticketing API over TCP: the success and every documented refusal of each call.

use reqwest::Method;
use serde_json::json;

use super::TestServer;
use crate::assert_refused;
use crate::support::{User, eventually, profile, seed};
use concertctl::api::ops::{AdmissionChange, Opening};

#[tokio::test]
async fn a_user_goes_from_the_queue_to_a_paid_seat() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(2, 10, 5).await;
    let user = server.admitted(1).await;

    let dates = user.get("/concerts/1/performanceDates").await;
    assert_eq!(dates.status, 200);
    assert_eq!(
        dates.json()["availablePerformanceDates"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    let reservation = user.reserved(3).await;
    assert_eq!(user.seat_status(1, 3).await, "PENDING");
    assert_refused!(user.pay(reservation).await, 409, "balance.too-low");

    let charged = user.charge(json!(2_500)).await;
    assert_eq!(
        (charged.status, charged.json()["balance"].as_i64()),
        (200, Some(2_500))
    );
    let paid = user.pay(reservation).await;
    assert_eq!(
        (paid.status, paid.json()),
        (200, json!({ "reservationId": reservation }))
    );

    assert_eq!(
        user.queue_status().await,
        "EXPIRED",
        "nothing is left to pay"
    );
    let other = server.admitted(2).await;
    assert_eq!(other.seat_status(1, 3).await, "UNAVAILABLE");
    let audit = server.audit().await;
    assert_eq!(
        (
            audit.violations(),
            audit.seats_sold,
            audit.reservations_paid
        ),
        (0, 1, 1)
    );
    server.stop().await;
}

#[tokio::test]
async fn the_queue_gives_every_documented_refusal() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 5, 5).await;
    let mut user = server.registered(1).await;
    assert_refused!(user.register().await, 409, "queue.already-registered");
    for unknown in [0, -1, 6, i64::MAX] {
        assert_refused!(
            server.stranger(unknown).register().await,
            400,
            "user.unknown"
        );
    }
    assert_refused!(server.stranger(2).poll().await, 400, "token.missing");
    let mut forger = server.stranger(2);
    let genuine = user.token.clone().unwrap();
    let flipped = if genuine.ends_with('A') { "B" } else { "A" };
    for forged in [
        format!("{}{flipped}", &genuine[..genuine.len() - 1]),
        "x".into(),
        "".into(),
    ] {
        forger.token = Some(forged);
        assert_refused!(forger.poll().await, 404, "token.unknown");
        assert_refused!(forger.reserve(1).await, 403, "token.refused");
    }
    server.stop().await;
}

#[tokio::test]
async fn users_are_admitted_only_after_the_opening_and_in_the_order_of_their_places() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 5, 10).await;
    let closed = AdmissionChange {
        opening: Some(Opening::Closed),
        ..AdmissionChange::default()
    };
    server.admission(closed).await;
    let mut users = Vec::new();
    for id in 1..=4 {
        users.push(server.registered(id).await);
    }
    let waiting = users[2].poll().await.json();
    assert_eq!(
        (
            waiting["status"].as_str(),
            waiting["positionInQueue"].as_u64()
        ),
        (Some("WAIT"), Some(3))
    );
    assert!(
        waiting["etaSeconds"].is_null(),
        "no estimate exists yet: {waiting}"
    );
    assert_refused!(users[0].reserve(1).await, 403, "queue.not-admitted");
    assert_refused!(
        users[0].get("/concerts/1/performanceDates").await,
        403,
        "queue.not-admitted"
    );
    assert_refused!(
        users[0].get("/concerts/1/performanceDates/1/seats").await,
        403,
        "queue.not-admitted"
    );
    assert_eq!(
        users[0].get("/accounts/1").await.json(),
        json!({ "balance": 0 }),
        "accounts take a WAIT token"
    );

    let open = AdmissionChange {
        batch: Some(2),
        every_ms: Some(3_600_000),
        opening: Some(Opening::Now),
        ..AdmissionChange::default()
    };
    server.admission(open).await;
    users[0].until_active().await;
    users[1].until_active().await;
    let third = users[2].poll().await.json();
    assert_eq!(
        (third["status"].as_str(), third["positionInQueue"].as_u64()),
        (Some("WAIT"), Some(1))
    );
    let eta = third["etaSeconds"].as_f64().unwrap();
    assert!((3_500.0..=3_600.0).contains(&eta), "{eta}");
    server.stop().await;
}

#[tokio::test]
async fn unknown_seats_and_dates_are_refused() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(2, 5, 5).await;
    let user = server.admitted(1).await;
    assert_refused!(
        user.get("/concerts/99/performanceDates").await,
        404,
        "concert.unknown"
    );
    assert_refused!(
        user.get("/concerts/x/performanceDates").await,
        400,
        "request.malformed"
    );
    assert_refused!(
        user.get("/concerts/99/performanceDates/1/seats").await,
        404,
        "concert.unknown"
    );
    assert_refused!(
        user.get("/concerts/1/performanceDates/3/seats").await,
        404,
        "date.unknown"
    );
    for unknown in [0, -1, 21, i64::MAX, i64::MIN] {
        assert_refused!(user.reserve(unknown).await, 404, "seat.unknown");
    }
    let at = |concert, date| json!({ "userId": 1, "seatId": 1, "concertId": concert, "performanceDateId": date });
    assert_refused!(
        user.post("/reservations", at(2, 1)).await,
        400,
        "seat.mismatch"
    );
    assert_refused!(
        user.post("/reservations", at(1, 2)).await,
        400,
        "seat.mismatch"
    );
    assert_eq!(user.post("/reservations", at(1, 1)).await.status, 201);
    let page = user.get("/concerts?limit=1").await.json();
    assert_eq!(
        (
            page["concerts"].as_array().unwrap().len(),
            page["next"].as_i64()
        ),
        (1, Some(1))
    );
    let rest = user.get("/concerts?after=1").await.json();
    assert_eq!(
        (rest["concerts"][0]["id"].as_i64(), rest["next"].as_i64()),
        (Some(2), None)
    );
    assert_refused!(
        user.get("/concerts?limit=0").await,
        400,
        "request.malformed"
    );
    assert_refused!(
        user.get("/concerts?after=x").await,
        400,
        "request.malformed"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_date_is_listed_as_full_exactly_while_none_of_its_seats_is_free() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(2, 3, 5).await;
    let user = server.admitted(1).await;
    let full = || async {
        let dates = user.get("/concerts/1/performanceDates").await.json();
        let full = dates["unavailablePerformanceDates"]
            .as_array()
            .unwrap()
            .clone();
        full.iter()
            .map(|date| date["id"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    let mut last = 0;
    for seat in 1..=3 {
        assert_eq!(full().await, Vec::<i64>::new(), "before seat {seat}");
        last = user.reserved(seat).await;
    }
    assert_eq!(full().await, [1]);
    assert_eq!(user.cancel(last).await.status, 204);
    assert_eq!(full().await, Vec::<i64>::new());
    server.stop().await;
}

#[tokio::test]
async fn a_token_acts_for_its_own_user_only() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 5, 5).await;
    let owner = server.admitted(1).await;
    let reservation = owner.reserved(1).await;
    let mut thief = server.admitted(2).await;
    assert_refused!(thief.cancel(reservation).await, 403, "reservation.foreign");
    assert_refused!(thief.pay(reservation).await, 403, "reservation.foreign");
    thief.id = 1;
    assert_refused!(thief.reserve(2).await, 403, "token.foreign");
    assert_refused!(thief.charge(json!(1)).await, 403, "token.foreign");
    assert_refused!(thief.pay(reservation).await, 403, "token.foreign");
    assert_refused!(thief.get("/accounts/1").await, 403, "token.foreign");
    assert_eq!(owner.seat_status(1, 1).await, "PENDING", "nothing changed");
    server.stop().await;
}

#[tokio::test]
async fn holds_are_cancelled_expire_and_are_limited() {
    crate::needs!(TestServer);
    let server = TestServer::with(|settings| {
        settings.rules.hold = std::time::Duration::from_millis(1_500);
    })
    .await;
    seed(&server.ops, &profile(1, 10, 5)).await;
    server.admit_everybody().await;
    let user = server.admitted(1).await;
    let given_back = user.reserved(1).await;
    assert_eq!(user.cancel(given_back).await.status, 204);
    assert_eq!(user.seat_status(1, 1).await, "AVAILABLE");
    assert_refused!(user.cancel(given_back).await, 404, "reservation.unknown");
    assert_refused!(user.cancel(4_711).await, 404, "reservation.unknown");
    assert_refused!(user.pay(given_back).await, 400, "reservation.expired");
    assert_refused!(user.pay(4_711).await, 400, "reservation.not-payable");

    let kept = user.reserved(1).await;
    for seat in 2..=4 {
        user.reserved(seat).await;
    }
    assert_refused!(user.reserve(5).await, 409, "reservation.limit");
    eventually("the hold runs out and the seat is free again", || async {
        (user.seat_status(1, 1).await == "AVAILABLE").then_some(())
    })
    .await;
    user.charge(json!(10_000)).await;
    assert_refused!(user.pay(kept).await, 400, "reservation.expired");
    assert_eq!(
        user.reserve(5).await.status,
        201,
        "an expired hold does not count against the limit"
    );
    assert_eq!(server.audit().await.violations(), 0);
    server.stop().await;
}

#[tokio::test]
async fn charges_outside_their_bounds_change_nothing() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 5, 5).await;
    let user = server.registered(1).await;
    for amount in [
        json!(0),
        json!(-1),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(100_000_001),
    ] {
        assert_refused!(user.charge(amount).await, 400, "amount.invalid");
    }
    for amount in [
        json!("5"),
        json!(1.5),
        json!(null),
        json!(1e300),
        json!([1]),
    ] {
        assert_refused!(user.charge(amount).await, 400, "request.malformed");
    }
    assert_eq!(
        user.get("/accounts/1").await.json(),
        json!({ "balance": 0 })
    );
    assert_eq!(user.charge(json!(100_000_000)).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_keyed_request_gets_the_same_answer_each_time() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 5, 5).await;
    let user = server.admitted(1).await;
    let wish = json!({ "userId": 1, "seatId": 1 });
    let first = user.post_keyed("/reservations", "k1", wish.clone()).await;
    let again = user.post_keyed("/reservations", "k1", wish).await;
    assert_eq!((first.status, &first.text), (201, &again.text));
    assert_eq!(again.status, 201);
    let other = json!({ "userId": 1, "seatId": 2 });
    assert_refused!(
        user.post_keyed("/reservations", "k1", other).await,
        409,
        "idempotency.mismatch"
    );

    for _ in 0..3 {
        let charged = user
            .post_keyed("/accounts/1/charge", "k2", json!({ "amount": 1_000 }))
            .await;
        assert_eq!(
            (charged.status, charged.json()["balance"].as_i64()),
            (200, Some(1_000))
        );
    }
    let pay = format!(
        "/users/1/reservations/{}/pay",
        first.json()["reservationId"]
    );
    for _ in 0..3 {
        let call = user
            .call(Method::POST, &pay)
            .header("idempotency-key", "k3");
        let paid = User::send(call).await;
        assert_eq!(
            paid.status, 200,
            "also when the admission has ended: {}",
            paid.text
        );
    }
    let call = user
        .call(Method::POST, &pay)
        .header("idempotency-key", "k4");
    assert_refused!(User::send(call).await, 409, "reservation.paid");
    for bad in ["", "with space", &"x".repeat(129)] {
        let call = user.call(Method::POST, &pay).header("idempotency-key", bad);
        assert_refused!(User::send(call).await, 400, "idempotency.malformed");
    }
    let audit = server.audit().await;
    assert_eq!(
        (
            audit.violations(),
            audit.reservations,
            audit.reservations_paid
        ),
        (0, 1, 1)
    );
    server.stop().await;
}

#[tokio::test]
async fn a_keyed_refusal_is_repeated() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 5, 5).await;
    let holder = server.admitted(1).await;
    let late = server.admitted(2).await;
    let reservation = holder.reserved(1).await;
    let wish = json!({ "userId": 2, "seatId": 1 });
    assert_refused!(
        late.post_keyed("/reservations", "k", wish.clone()).await,
        409,
        "seat.taken"
    );
    assert_eq!(holder.cancel(reservation).await.status, 204);
    assert_refused!(
        late.post_keyed("/reservations", "k", wish.clone()).await,
        409,
        "seat.taken"
    );
    assert_eq!(
        late.post_keyed("/reservations", "k-new", wish).await.status,
        201
    );
    server.stop().await;
}

#[tokio::test]
async fn a_user_whose_admission_ended_registers_again_at_the_end_of_the_queue() {
    crate::needs!(TestServer);
    let server = TestServer::with(|settings| {
        settings.rules.active = std::time::Duration::from_millis(400);
    })
    .await;
    seed(&server.ops, &profile(1, 5, 5)).await;
    server.admit_everybody().await;
    let mut user = server.registered(1).await;
    let first = user.place;
    eventually("the admission ends", || async {
        (user.queue_status().await == "EXPIRED").then_some(())
    })
    .await;
    assert_refused!(user.reserve(1).await, 403, "queue.expired");
    let again = user.register().await;
    assert_eq!(again.status, 201);
    assert!(user.place > first);
    assert_eq!(server.audit().await.duplicate_places, 0);
    server.stop().await;
}

#[tokio::test]
async fn invalid_bodies_are_refused_with_the_reason() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 5, 5).await;
    let user = server.stranger(1);
    let post = |text: String, kind: &str| {
        user.call(Method::POST, "/queue")
            .header("content-type", kind)
            .body(text)
    };
    let json_type = "application/json";
    for text in [
        "",
        "{",
        "[]",
        "{\"userId\":\"x\"}",
        "{\"userId\":1e99}",
        "\u{0}",
        "null",
        "{}",
    ] {
        assert_refused!(
            User::send(post(text.into(), json_type)).await,
            400,
            "request.malformed"
        );
    }
    assert_refused!(
        User::send(post("{\"userId\":1}".into(), "text/plain")).await,
        415,
        "request.media-type"
    );
    let huge = format!("{{\"userId\":1,\"pad\":\"{}\"}}", "x".repeat(17 * 1024));
    assert_refused!(
        User::send(post(huge, json_type)).await,
        413,
        "request.too-large"
    );
    let deep = format!("{}{}", "[".repeat(8_000), "]".repeat(8_000));
    assert_refused!(
        User::send(post(deep, json_type)).await,
        400,
        "request.malformed"
    );
    assert_refused!(user.get("/no/such/path").await, 404, "route.unknown");
    assert_refused!(
        User::send(user.call(Method::PATCH, "/queue")).await,
        405,
        "route.method"
    );
    assert_eq!(
        server.status().await.queue.registered,
        0,
        "no user was registered"
    );
    server.stop().await;
}

#[tokio::test]
async fn without_a_dataset_requests_get_an_error_and_the_server_is_not_ready() {
    crate::needs!(TestServer);
    let server = TestServer::empty().await;
    let user = server.stranger(1);
    assert_refused!(server.stranger(1).register().await, 503, "dataset.missing");
    let ready = user.get("/health/ready").await;
    assert_eq!(
        (ready.status, ready.header("retry-after")),
        (503, Some("1"))
    );
    assert!(ready.text.contains("none is loaded"), "{}", ready.text);
    assert_eq!(user.get("/health/live").await.status, 200);
    seed(&server.ops, &profile(1, 5, 5)).await;
    assert_eq!(user.get("/health/ready").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn the_trace_of_the_caller_is_continued_and_returned() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 5, 5).await;
    let user = server.stranger(1);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let call = user
        .call(Method::GET, "/concerts")
        .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    assert_eq!(User::send(call).await.header("x-trace-id"), Some(trace));
    let fresh = user.get("/concerts").await;
    let id = fresh.header("x-trace-id").unwrap().to_owned();
    assert!(id.len() == 32 && id != trace, "{id}");
    server.stop().await;
}

#[tokio::test]
async fn operations_that_change_something_need_the_token() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 5, 5).await;
    let stranger = User::new(&server.ops_url, 0);
    for (method, path) in [
        (Method::PUT, "/ops/v1/admission"),
        (Method::POST, "/ops/v1/seed"),
        (Method::DELETE, "/ops/v1/seed"),
        (Method::POST, "/ops/v1/audit/lookup"),
        (Method::POST, "/api/v2/alerts"),
        (Method::POST, "/api/v2/silences"),
    ] {
        for authorization in [
            None,
            Some("Bearer wrong"),
            Some("Bearer "),
            Some("Basic eDp5"),
        ] {
            let mut call = stranger.call(method.clone(), path).json(&json!({}));
            if let Some(value) = authorization {
                call = call.header("authorization", value);
            }
            let answer = User::send(call).await;
            // Clients of Alertmanager read another shape.
            match path.starts_with("/api/v2/") {
                true => assert_eq!(answer.status, 401, "{}", answer.text),
                false => assert_refused!(answer, 401, "ops.unauthorized"),
            }
        }
    }
    for path in [
        "/metrics",
        "/ops/v1/status",
        "/ops/v1/audit",
        "/ops/v1/seed",
        "/ops/v1/admission",
    ] {
        assert_eq!(stranger.get(path).await.status, 200, "{path}");
    }
    let mode = std::fs::metadata(server.dir.path().join("ops-token")).unwrap();
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777,
        0o600
    );
    server.stop().await;
}

#[tokio::test]
async fn invalid_admission_settings_are_refused_and_valid_ones_survive_a_restart() {
    crate::needs!(TestServer);
    let server = TestServer::seeded(1, 5, 5).await;
    for bad in [
        AdmissionChange {
            batch: Some(0),
            ..AdmissionChange::default()
        },
        AdmissionChange {
            every_ms: Some(1),
            ..AdmissionChange::default()
        },
        AdmissionChange {
            batch: Some(u64::MAX),
            ..AdmissionChange::default()
        },
    ] {
        let error = server
            .ops
            .set_admission(&bad)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("400") && error.contains("between"),
            "{error}"
        );
    }
    let change = AdmissionChange {
        batch: Some(7),
        every_ms: Some(1_700),
        paused: Some(true),
        ..AdmissionChange::default()
    };
    server.admission(change).await;
    let again = server.restarted().await;
    let admission = again.status().await.admission;
    assert_eq!(
        (admission.batch, admission.every_ms, admission.paused),
        (7, 1_700, true)
    );
    again.stop().await;
}
