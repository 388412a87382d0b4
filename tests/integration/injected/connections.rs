//! The fault `pool_exhaustion`.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use concertctl::api::ops::Fault;

use super::LONG;
use crate::needs;
use crate::support::backend::{Backend, Embedded, MySqlEmbedded, PostgresEmbedded};
use crate::support::server::Server;
use crate::support::{eventually, profile, seed};

async fn exhausted<B: Backend>(server: &Server<B>, connections: Option<u32>) {
    let fault = Fault::PoolExhaustion { connections };
    server.inject(LONG, fault).await;
    let all = server.metric("db_client_connection_max").await.unwrap();
    let wanted = connections.map_or(all, f64::from);
    eventually("the connections are taken", || async {
        let used = server
            .metric("db_client_connection_count{state=\"used\"}")
            .await;
        (used.unwrap() >= wanted).then_some(())
    })
    .await;
}

async fn an_exhausted_pool_is_reported_and_recovers<B: Backend>() {
    let server = Server::<B>::seeded(1, 10, 10).await;
    let user = server.admitted(1).await;
    exhausted(&server, None).await;
    let refused = user.reserve(1).await;
    // The time-out of the whole request would leave the outcome unknown.
    let (status, code) = refused.problem();
    assert!(
        status == 503 && ["service.overloaded", "service.timeout"].contains(&code.as_str()),
        "{}",
        refused.text
    );
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(user.poll().await.status, 200, "a poll needs no database");
    let up = server.metric("concert_database_up").await;
    assert_eq!(up, Some(1.0), "a busy database counts as up");

    server.ops.end_faults(None).await.unwrap();
    server.assert_no_faults().await;
    eventually("seats can be had again", || async {
        let answer = user.reserve(2).await;
        (answer.status == 201).then_some(())
    })
    .await;
    eventually("the connections are given back", || async {
        let used = server
            .metric("db_client_connection_count{state=\"used\"}")
            .await;
        (used.unwrap() <= 1.0).then_some(())
    })
    .await;
    assert_eq!(server.audit().await.violations(), 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exhausted_embedded_database_is_reported_and_recovers() {
    Box::pin(an_exhausted_pool_is_reported_and_recovers::<Embedded>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exhausted_pool_of_postgres_is_reported_and_recovers() {
    needs!(Server<PostgresEmbedded>);
    Box::pin(an_exhausted_pool_is_reported_and_recovers::<PostgresEmbedded>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exhausted_pool_of_mysql_is_reported_and_recovers() {
    needs!(Server<MySqlEmbedded>);
    Box::pin(an_exhausted_pool_is_reported_and_recovers::<MySqlEmbedded>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_without_a_connection_counts_in_the_histogram_of_waits() {
    needs!(Server<PostgresEmbedded>);
    let server = Server::<PostgresEmbedded>::seeded(1, 10, 10).await;
    let user = server.admitted(1).await;
    exhausted(&server, None).await;
    let long = || async {
        let count = "db_client_connection_wait_time_seconds_";
        let within = format!("{count}bucket{{le=\"0.75\"}}");
        let all = server.metric(&format!("{count}count")).await.unwrap();
        all - server.metric(&within).await.unwrap()
    };
    let before = long().await;
    assert_eq!(user.get("/accounts/1").await.status, 503);
    assert!(long().await > before);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_some_connections_taken_the_others_serve() {
    needs!(Server<PostgresEmbedded>);
    let server = Server::<PostgresEmbedded>::seeded(1, 10, 10).await;
    let user = server.admitted(1).await;
    exhausted(&server, Some(15)).await;
    for seat in 1..=4 {
        user.reserved(seat).await;
    }
    server.stop().await;
}

async fn the_next_dataset_is_exhausted_too<B: Backend>() {
    let server = Server::<B>::seeded(1, 10, 10).await;
    exhausted(&server, None).await;
    let begun = Instant::now();
    seed(&server.ops, &profile(1, 20, 1_000)).await;
    let took = begun.elapsed();
    assert_eq!(server.status().await.dataset.unwrap().seats, 40);
    // Each request is from another user, because a user who got a place before the fault keeps it without the database.
    let users = AtomicI64::new(1);
    eventually("the new connections are taken", || async {
        let user = users.fetch_add(1, Ordering::Relaxed);
        let answer = server.stranger(user).register().await;
        (answer.status == 503).then_some(())
    })
    .await;
    println!("seeded in {took:.1?} while the pool was exhausted");
    let stopping = Instant::now();
    server.stop().await;
    assert!(
        stopping.elapsed() < LONG / 2,
        "a fault ends with its server: {:?}",
        stopping.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fault_also_takes_the_connections_of_the_next_embedded_dataset_and_a_stop_frees_them() {
    the_next_dataset_is_exhausted_too::<Embedded>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fault_also_takes_the_connections_of_the_next_postgres_dataset_and_a_stop_frees_them() {
    needs!(Server<PostgresEmbedded>);
    the_next_dataset_is_exhausted_too::<PostgresEmbedded>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fault_also_takes_the_connections_of_the_next_mysql_dataset_and_a_stop_frees_them() {
    needs!(Server<MySqlEmbedded>);
    the_next_dataset_is_exhausted_too::<MySqlEmbedded>().await;
}
