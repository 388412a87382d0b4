//! Requests that are repeated at another server, or after `kill -9`.

use concertctl::api::ops::AdmissionChange;
use futures_util::future::join_all;
use serde_json::json;

use crate::assert_refused;
use crate::repeats::register_keyed;
use crate::support::process::ServerProcess;
use crate::support::{Fleet, User, eventually, profile, seed};

fn token(answer: &crate::support::Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.header("wait-token").unwrap().to_owned()
}

/// A registered and admitted user, known to every server.
async fn admitted(fleet: &Fleet, id: i64) -> User {
    let mut user = fleet.servers()[0].user(id);
    user.token = Some(token(&register_keyed(&user, "q").await));
    for server in fleet.servers() {
        user.at(&server.api).until_active().await;
    }
    user
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_on_two_servers_get_one_answer() {
    if Fleet::skipped() {
        return;
    }
    let fleet = Fleet::seeded(2, 1, 40, 40).await;
    let apis: Vec<String> = fleet.servers().iter().map(|at| at.api.clone()).collect();
    let at = |user: &User, copy: usize| user.at(&apis[copy % 2]);
    for id in 1..=20 {
        let stranger = fleet.servers()[0].user(id);
        let registering = (0..6).map(|copy| {
            let user = at(&stranger, copy);
            async move { register_keyed(&user, "k").await }
        });
        let registered = join_all(registering).await;
        let tokens: Vec<_> = registered.iter().map(token).collect();
        assert!(tokens.iter().all(|other| *other == tokens[0]), "{id}");
        let mut user = stranger;
        user.token = Some(tokens[0].clone());
        for api in &apis {
            user.at(api).until_active().await;
        }
        let wish = json!({ "userId": id, "seatId": id });
        let reserving = (0..10).map(|copy| {
            let (user, wish) = (at(&user, copy), wish.clone());
            async move { user.post_keyed("/reservations", "r", wish).await }
        });
        let reserved = join_all(reserving).await;
        for copy in &reserved {
            assert_eq!((copy.status, &copy.text), (201, &reserved[0].text), "{id}");
        }
    }
    assert_eq!(
        fleet.servers()[0].ops.audit().await.unwrap().violations(),
        0
    );
}

/// Without Redis the database gives the places, and one copy waits there for the other's commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_on_two_servers_get_one_answer_while_redis_is_down() {
    if Fleet::skipped() {
        return;
    }
    let mut fleet = Fleet::seeded(2, 1, 10, 10).await;
    fleet.parts.redis.as_mut().unwrap().kill();
    let postgres = fleet.parts.postgres().unwrap();
    let epoch = postgres.sql("SELECT epoch FROM concertctl.current").await;
    let row = format!("SELECT 1 FROM concertctl_{epoch}.meta WHERE key = 'places' FOR UPDATE");
    let held = postgres.hold(&row).await;
    let user = fleet.servers()[0].user(1);
    let copies: Vec<_> = fleet
        .servers()
        .iter()
        .map(|server| user.at(&server.api))
        .collect();
    let copies = join_all(copies.iter().map(|copy| register_keyed(copy, "k")));
    let release = async {
        eventually("both servers wait for the row", || async {
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
            (postgres.sql(waiting).await == "2").then_some(())
        })
        .await;
        drop(held);
    };
    let (answers, ()) = tokio::join!(copies, release);
    assert_eq!(token(&answers[0]), token(&answers[1]));
    let other = user
        .post_keyed("/queue", "other-key", json!({ "userId": 1 }))
        .await;
    assert_refused!(other, 409, "queue.already-registered");
}

/// Requests that find the seat lock of a server that was killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lock_of_a_dead_server_refuses_others_until_its_lease_ends_but_not_a_copy() {
    if Fleet::skipped() {
        return;
    }
    let fleet = Fleet::seeded(1, 1, 10, 10).await;
    let (user, other) = (admitted(&fleet, 1).await, admitted(&fleet, 2).await);
    let postgres = fleet.parts.postgres().unwrap();
    let redis = fleet.parts.redis.as_ref().unwrap();
    let epoch = postgres.sql("SELECT epoch FROM concertctl.current").await;
    let lock = format!("{{concertctl:{epoch}}}:lock:3");
    redis.cli(&["SET", &lock, "1:dead.0.1/r", "PX", "60000"]);
    let wish = |id: i64| json!({ "userId": id, "seatId": 3 });
    let refused = other.post_keyed("/reservations", "r", wish(2)).await;
    assert_refused!(refused, 409, "seat.locked");
    let held = user.post_keyed("/reservations", "r", wish(1)).await;
    assert_eq!(held.status, 201, "{}", held.text);
    let id = held.json()["reservationId"].as_i64().unwrap();
    assert_eq!(user.cancel(id).await.status, 204);
    // The refusal was caused by the lock, so it is not stored under the key.
    redis.cli(&["DEL", &lock]);
    let again = other.post_keyed("/reservations", "r", wish(2)).await;
    assert_eq!(again.status, 201, "{}", again.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_gives_a_lost_token_again_even_after_the_queue_was_emptied() {
    if Fleet::skipped() {
        return;
    }
    let fleet = Fleet::seeded(2, 1, 10, 10).await;
    let user = fleet.servers()[0].user(1);
    let first = token(&register_keyed(&user, "k").await);
    let redis = fleet.parts.redis.as_ref().unwrap();
    let users = redis.cli(&["KEYS", "*:users"]);
    // A server gave this place and was killed before the place became durable.
    redis.cli(&["HSET", users.trim(), "2", "2"]);
    let queue = users.trim().replace(":users", ":queue");
    redis.cli(&["HSET", &queue, "seq", "2"]);
    let orphan = fleet.servers()[1].user(2);
    let taken_over = register_keyed(&orphan, "k").await;
    assert_eq!(taken_over.json()["waitId"], 2, "{}", taken_over.text);
    // The same, with a place that the database has for another user.
    redis.cli(&["HSET", users.trim(), "3", "1"]);
    let other = fleet.servers()[1].user(3);
    let placed = register_keyed(&other, "k").await;
    assert_eq!(placed.json()["waitId"], 3, "{}", placed.text);
    assert_eq!(token(&register_keyed(&other, "k").await), token(&placed));

    fleet.kill(0);
    let elsewhere = user.at(&fleet.servers()[1].api);
    assert_eq!(token(&register_keyed(&elsewhere, "k").await), first);
    redis.cli(&["FLUSHALL"]);
    assert_eq!(token(&register_keyed(&elsewhere, "k").await), first);
    eventually("it is the same when the queue is back", || async {
        let back = !redis.cli(&["KEYS", "*:users"]).trim().is_empty();
        let answer = register_keyed(&elsewhere, "k").await;
        assert_eq!(token(&answer), first);
        back.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whose_answer_was_lost_to_kill_9_is_not_locked_out() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &[]).await;
    seed(&server.ops, &profile(1, 10, 200)).await;
    let open = AdmissionChange {
        batch: Some(1_000_000),
        every_ms: Some(100),
        ..AdmissionChange::default()
    };
    server.ops.set_admission(&open).await.unwrap();
    let users: Vec<User> = (1..=200).map(|id| server.user(id)).collect();
    let registering = users.iter().enumerate().map(|(nth, user)| {
        let (body, server) = (json!({ "userId": user.id }), &server);
        let call = user.call(reqwest::Method::POST, "/queue");
        let call = call.header("idempotency-key", "k").json(&body);
        async move {
            let answer = call.send().await.ok()?;
            if nth == 60 {
                server.signal_kill();
            }
            let token = answer.headers().get("wait-token")?;
            Some(token.to_str().unwrap().to_owned())
        }
    });
    let answers = join_all(registering).await;
    drop(server);
    let server = ServerProcess::start(dir.path(), &[]).await;
    for (user, answer) in users.iter().zip(&answers) {
        let again = register_keyed(&user.at(&server.api), "k").await;
        let again = token(&again);
        assert!(
            answer.as_ref().is_none_or(|first| *first == again),
            "{}",
            user.id
        );
    }
    assert_eq!(server.ops.audit().await.unwrap().violations(), 0);
    assert_eq!(server.ops.status().await.unwrap().queue.registered, 200);
}
