//! The fault `disk_full`.

use concertctl::api::ops::Fault;
use serde_json::json;

use super::LONG;
use crate::needs;
use crate::support::backend::{Backend, Embedded, MySqlEmbedded, PostgresEmbedded};
use crate::support::eventually;
use crate::support::server::Server;

async fn a_full_disk_refuses_writes_and_loses_nothing<B: Backend>() -> Server<B> {
    let server = Server::<B>::seeded(1, 10, 10).await;
    let user = server.admitted(1).await;
    assert_eq!(user.charge(json!(100)).await.status, 200);
    let before = user.get("/accounts/1").await.text;
    server.inject(LONG, Fault::DiskFull {}).await;
    for refused in [user.charge(json!(100)).await, user.reserve(1).await] {
        assert_eq!(refused.problem().0, 503, "{}", refused.text);
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    let during = user.get("/accounts/1").await;
    assert_eq!((during.status, during.text), (200, before.clone()));
    server.logged(&["the store failed", "disk is full"]).await;
    server
}

/// The database counts as down during the fault, and as up after it.
async fn readiness_follows<B: Backend>(server: &Server<B>, backend: &str) {
    let up = format!("concert_database_up{{backend=\"{backend}\"}}");
    for (value, what) in [(0.0, "it is down"), (1.0, "it is up")] {
        eventually(what, || async {
            (server.metric(&up).await == Some(value)).then_some(())
        })
        .await;
        server.ops.end_faults(None).await.unwrap();
    }
}

async fn the_next_write_succeeds<B: Backend>(server: Server<B>) {
    server.ops.end_faults(None).await.unwrap();
    server.assert_no_faults().await;
    eventually("writes are taken again", || async {
        let user = server.admitted(2).await;
        (user.reserve(1).await.status == 201).then_some(())
    })
    .await;
    assert_eq!(server.audit().await.violations(), 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_embedded_database_is_reported_and_over_with_its_fault() {
    let server = Box::pin(a_full_disk_refuses_writes_and_loses_nothing::<Embedded>()).await;
    readiness_follows(&server, "sqlite").await;
    the_next_write_succeeds(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_postgres_is_reported_and_over_with_its_fault() {
    needs!(Server<PostgresEmbedded>);
    let server = Box::pin(a_full_disk_refuses_writes_and_loses_nothing::<
        PostgresEmbedded,
    >())
    .await;
    readiness_follows(&server, "postgres").await;
    the_next_write_succeeds(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_mysql_is_reported_and_over_with_its_fault() {
    needs!(Server<MySqlEmbedded>);
    let server = Box::pin(a_full_disk_refuses_writes_and_loses_nothing::<MySqlEmbedded>()).await;
    readiness_follows(&server, "mysql").await;
    the_next_write_succeeds(server).await;
}
