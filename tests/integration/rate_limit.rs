//! The rate limit of tokens: one token does not slow down the others.

use std::time::Duration;

use concertctl::http::TokenLimit;
use futures_util::stream::{self, StreamExt as _};

use crate::assert_refused;
use crate::support::process::ServerProcess;
use crate::support::{TestServer, User, profile, seed};

async fn limited(limit: TokenLimit) -> TestServer {
    let server = TestServer::with(|settings| settings.limits.token = Some(limit)).await;
    seed(&server.ops, &profile(1, 20, 20)).await;
    server.admit_everybody().await;
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_with_too_many_requests_gets_retry_after_and_others_are_served() {
    // The limit is so low that the speed of the machine does not matter.
    let server = limited(TokenLimit {
        per_second: 0.1,
        burst: 5.0,
        at_once: 100,
    })
    .await;
    let (one, other) = (server.admitted(1).await, server.admitted(2).await);
    let calls = stream::iter(0..50).map(|_| one.get("/accounts/1"));
    let answers: Vec<_> = calls.buffer_unordered(50).collect().await;
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    assert!((3..=5).contains(&served), "{served}");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_refused!(answer, 429, "token.rate-limited");
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=10).contains(&after), "{after}");
    }
    // Every route with a token.
    for answer in [
        one.get("/concerts/1/performanceDates").await,
        one.get("/concerts/1/performanceDates/1/seats").await,
        one.reserve(1).await,
        one.cancel(1).await,
        one.charge(1.into()).await,
        one.pay(1).await,
    ] {
        assert_refused!(&answer, 429, "token.rate-limited");
    }
    assert_eq!(other.get("/accounts/2").await.status, 200);
    assert_eq!(
        one.get("/concerts").await.status,
        200,
        "this route needs no token"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_cost_less_but_are_limited_too() {
    let server = limited(TokenLimit {
        per_second: 0.01,
        burst: 2.0,
        at_once: 8,
    })
    .await;
    let user = server.registered(1).await;
    let mut served = 0;
    let refused = loop {
        let answer = user.poll().await;
        match answer.status {
            200 => served += 1,
            _ => break answer,
        }
        assert!(served <= 60, "never refused");
    };
    assert!((40..=50).contains(&served), "{served}");
    assert_refused!(refused, 429, "token.rate-limited");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_requests_of_a_token_in_flight_are_bounded() {
    let limit = TokenLimit {
        per_second: 1_000.0,
        burst: 1_000.0,
        at_once: 3,
    };
    let server = TestServer::with(|settings| {
        settings.limits.token = Some(limit);
        settings.store.commit_delay = Duration::from_millis(300);
    })
    .await;
    seed(&server.ops, &profile(1, 20, 20)).await;
    server.admit_everybody().await;
    let user = server.admitted(1).await;
    let charges = stream::iter(0..30).map(|_| user.charge(1.into()));
    let answers: Vec<_> = charges.buffer_unordered(30).collect().await;
    let refused = answers.iter().filter(|answer| answer.status == 429);
    assert!(refused.count() >= 20, "{answers:?}");
    for answer in &answers {
        assert!([200, 429].contains(&answer.status), "{}", answer.text);
    }
    // The requests have ended, so the next one is served.
    assert_eq!(user.charge(1.into()).await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_sets_the_limit_or_turns_it_off() {
    for (flags, limited) in [
        (&["--token-rate", "1", "--token-burst", "2"][..], true),
        (&["--token-rate", "0"][..], false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let server = ServerProcess::start(dir.path(), flags).await;
        seed(&server.ops, &profile(1, 5, 5)).await;
        let mut user: User = server.user(1);
        assert_eq!(user.register().await.status, 201);
        let mut refused = 0;
        for _ in 0..60 {
            refused += usize::from(user.get("/accounts/1").await.status == 429);
        }
        assert_eq!(refused > 0, limited, "{flags:?}: {refused} of 60 refused");
    }
}
