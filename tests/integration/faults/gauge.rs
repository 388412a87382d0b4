//! The metric `concert_database_up`.

use std::time::{Duration, Instant};

use concertctl::api::ops::Fault;
use concertctl::store::mysql::{Database as MySqlDatabase, MySqlOptions};
use concertctl::store::postgres::{Database as PgDatabase, PgOptions};

use crate::needs;
use crate::support::database::Kind;
use crate::support::{Backend, PATIENCE, Server, User, eventually};

on_each_database!(
    the_gauge_shows_the_state_of_the_database_without_any_traffic,
    the_gauge_shows_a_database_that_is_down_although_a_fault_slows_it_down,
);

/// Waits until the gauge has the value `up`, and returns how long that took. Sends only requests for metrics.
async fn turns<B: Backend>(server: &Server<B>, up: u8) -> Duration {
    let since = Instant::now();
    let kind = server.parts.shared().kind().name();
    let wanted = format!("concert_database_up{{backend=\"{kind}\"}} {up}\n");
    eventually(&wanted, || async {
        let text = User::new(&server.ops_url, 0).get("/metrics").await.text;
        text.contains(&wanted).then_some(())
    })
    .await;
    since.elapsed()
}

async fn the_gauge_shows_the_state_of_the_database_without_any_traffic<B: Backend>() {
    needs!(Server<B>);
    let mut server = Server::<B>::seeded(1, 10, 10).await;
    turns(&server, 1).await;
    server.parts.shared_mut().kill();
    let killed = turns(&server, 0).await;
    server.parts.shared_mut().restart().await;
    let restarted = turns(&server, 1).await;
    server.parts.shared_mut().stall();
    let stalled = turns(&server, 0).await;
    server.parts.shared_mut().resume();
    let resumed = turns(&server, 1).await;
    println!(
        "gauge: 0 {killed:.2?} after a kill, 1 {restarted:.2?} after the restart, \
         0 {stalled:.2?} after a stall, 1 {resumed:.2?} after its end"
    );
    server.stop().await;
}

/// Only the embedded database has one writer, which a fault keeps busy.
async fn the_gauge_shows_a_database_that_is_down_although_a_fault_slows_it_down<B: Backend>() {
    needs!(Server<B>);
    let mut server = Server::<B>::seeded(1, 10, 10).await;
    turns(&server, 1).await;
    let slow = Fault::SlowStatement {
        delay: Duration::from_millis(1),
        statement: None,
    };
    let length = Duration::from_secs(120);
    let injected = server.ops.inject_fault(&slow, length, None);
    injected.await.unwrap();
    server.parts.shared_mut().kill();
    turns(&server, 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_check_of_a_database_that_hangs_ends_within_its_time_out() {
    let soon = Duration::from_millis(20);
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let Some(mut server) = kind.start().await else {
            return;
        };
        let url = server.url();
        let answered = match kind {
            Kind::Postgres => {
                let connecting = PgDatabase::connect(&url, PgOptions::default());
                let database = connecting.await.unwrap();
                assert!(database.answers(PATIENCE).await);
                server.stall();
                tokio::time::timeout(PATIENCE, database.answers(soon)).await
            }
            Kind::MariaDb => {
                let connecting = MySqlDatabase::connect(&url, MySqlOptions::default());
                let database = connecting.await.unwrap();
                assert!(database.answers(PATIENCE).await);
                server.stall();
                tokio::time::timeout(PATIENCE, database.answers(soon)).await
            }
        };
        assert_eq!(answered, Ok(false), "{kind:?}");
        server.resume();
    }
}
