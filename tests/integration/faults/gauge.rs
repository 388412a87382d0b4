//! The metric `concert_database_up`.

use std::time::{Duration, Instant};

use concertctl::api::ops::Fault;
use concertctl::store::postgres::{Database, PgOptions};

use crate::needs;
use crate::support::server::Server;
use crate::support::{PATIENCE, Postgres, PostgresEmbedded, User, eventually};

type PgServer = Server<PostgresEmbedded>;

/// Waits until the gauge has the value `up`, and returns how long that took. Sends only requests for metrics.
async fn turns(server: &PgServer, up: u8) -> Duration {
    let since = Instant::now();
    let wanted = format!("concert_database_up{{backend=\"postgres\"}} {up}\n");
    eventually(&wanted, || async {
        let text = User::new(&server.ops_url, 0).get("/metrics").await.text;
        text.contains(&wanted).then_some(())
    })
    .await;
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gauge_shows_the_state_of_the_database_without_any_traffic() {
    needs!(PgServer);
    let mut server = PgServer::seeded(1, 10, 10).await;
    turns(&server, 1).await;
    server.parts.postgres.as_mut().unwrap().kill();
    let killed = turns(&server, 0).await;
    server.parts.postgres.as_mut().unwrap().restart().await;
    let restarted = turns(&server, 1).await;
    server.parts.postgres.as_mut().unwrap().stall();
    let stalled = turns(&server, 0).await;
    server.parts.postgres.as_mut().unwrap().resume();
    let resumed = turns(&server, 1).await;
    println!(
        "gauge: 0 {killed:.2?} after a kill, 1 {restarted:.2?} after the restart, \
         0 {stalled:.2?} after a stall, 1 {resumed:.2?} after its end"
    );
    // The interval of the check, plus time for a busy machine.
    for took in [killed, restarted, stalled, resumed] {
        assert!(took < Duration::from_secs(4), "{took:?}");
    }
    server.stop().await;
}

/// Only the embedded database has one writer, which a fault keeps busy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gauge_shows_a_database_that_is_down_although_a_fault_slows_it_down() {
    needs!(PgServer);
    let mut server = PgServer::seeded(1, 10, 10).await;
    turns(&server, 1).await;
    let slow = Fault::SlowStatement {
        delay: Duration::from_millis(1),
        statement: None,
    };
    let length = Duration::from_secs(120);
    let injected = server.ops.inject_fault(&slow, length, None);
    injected.await.unwrap();
    server.parts.postgres.as_mut().unwrap().kill();
    turns(&server, 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_check_of_a_database_that_hangs_ends_within_its_time_out() {
    let Some(mut postgres) = Postgres::start().await else {
        return;
    };
    let database = Database::connect(&postgres.url(), PgOptions::default())
        .await
        .unwrap();
    assert!(database.answers(PATIENCE).await);
    postgres.stall();
    let asked = tokio::time::timeout(PATIENCE, database.answers(Duration::from_millis(20)));
    assert_eq!(asked.await, Ok(false));
    postgres.resume();
}
