//! Compares the polls per second of an embedded server with those of a server on PostgreSQL and Redis. The rates should
//! be equal, because a poll asks neither of them.

use std::time::Duration;

use bytes::Bytes;
use concertctl::api::ops::{AdmissionChange, Opening};
use http::Request;
use http_body_util::Full;

use crate::client::{addr, drive};
use crate::median;
use crate::support::{Postgres, Redis, TestServer, profile, seed};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
const CONNECTIONS: usize = 32;

/// The polls per second of a waiting user.
async fn polls(server: &TestServer, token: &str) -> f64 {
    let token = token.to_owned();
    drive(addr(&server.api), CONNECTIONS, ROUND, 200, move |_| {
        let poll = Request::get("/queue")
            .header("host", "bench")
            .header("wait-token", &token);
        Some(poll.body(Full::new(Bytes::new())).unwrap())
    })
    .await
}

async fn waiting(server: &TestServer) -> String {
    seed(&server.ops, &profile(1, 10, 1_000)).await;
    server
        .admission(AdmissionChange {
            opening: Some(Opening::Closed),
            ..AdmissionChange::default()
        })
        .await;
    server.registered(1).await.token.unwrap()
}

pub async fn run() {
    let (Some(postgres), Some(redis)) = (Postgres::start().await, Redis::start().await) else {
        return;
    };
    let alone = TestServer::empty().await;
    let shared = TestServer::with(|settings| {
        settings.database_url = Some(postgres.url().parse().unwrap());
        settings.redis_url = Some(redis.url().parse().unwrap());
    })
    .await;
    let tokens = (waiting(&alone).await, waiting(&shared).await);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.push(polls(&alone, &tokens.0).await);
        with.push(polls(&shared, &tokens.1).await);
    }
    let (without, with) = (median(without), median(with));
    println!("polls a second, {CONNECTIONS} connections, client beside the server:");
    println!("  embedded            {without:>10.0}");
    println!(
        "  PostgreSQL + Redis  {with:>10.0}   ratio {:.2}",
        with / without
    );
    alone.stop().await;
    shared.stop().await;
}
