//! PostgreSQL is killed or stalled, or its connections are used up.

use std::time::{Duration, Instant};

use concertctl::api::ops::AdmissionChange;
use concertctl::settings::ServeSettings;

use super::{BOUND, Rehearsal, Step};
use crate::support::postgres::Holding;
use crate::support::{Postgres, Redis, User, eventually};

/// Asserts that requests are refused with `Retry-After` and that the server is not ready.
async fn refuses_clearly(rehearsal: &Rehearsal) {
    eventually("readiness turns red", || async {
        let (status, parts) = rehearsal.readiness().await;
        (status == 503 && parts["database"] != "ok").then_some(())
    })
    .await;
    let asked = Instant::now();
    let refused = User::new(&rehearsal.server.api, USER).register().await;
    assert_eq!(refused.problem().0, 503, "{}", refused.text);
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert!(asked.elapsed() < BOUND, "it does not hang");
}

/// A user who is not among the buyers.
const USER: i64 = super::USERS;

/// Blocks all other writes of places, batches or reservations until the returned value is dropped.
async fn hold_tables(postgres: &Postgres) -> Holding {
    let epoch = postgres.sql("SELECT epoch FROM concertctl.current").await;
    let tables = ["admissions", "reservations", "queue_places"];
    let tables = tables.map(|table| format!("concertctl_{epoch}.{table}"));
    let tables = tables.join(", ");
    let lock = format!("LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE");
    postgres.hold(&lock).await
}

async fn recovers(rehearsal: &Rehearsal) -> Duration {
    let took = is_ready(rehearsal).await;
    goes_on(rehearsal).await;
    took
}

/// Waits until the server is ready again. Returns how long that took.
async fn is_ready(rehearsal: &Rehearsal) -> Duration {
    let back = Instant::now();
    eventually("it is ready again, without a restart", || async {
        (rehearsal.readiness().await.0 == 200).then_some(())
    })
    .await;
    back.elapsed()
}

async fn goes_on(rehearsal: &Rehearsal) {
    rehearsal.until(Step::Register, 201, 20).await;
    rehearsal.until(Step::Reserve, 201, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_killed_for_10_s_is_reported_at_once_and_survived_without_a_restart() {
    let Some(mut rehearsal) = Rehearsal::begin().await else {
        return;
    };
    // Somebody must wait when the database goes: nobody else polls without it.
    let batch = |batch| AdmissionChange {
        batch: Some(batch),
        ..AdmissionChange::default()
    };
    rehearsal.server.admission(batch(1)).await;
    eventually("people wait", || async {
        let status = rehearsal.server.status().await;
        (status.queue.waiting >= 10).then_some(())
    })
    .await;
    let from = Instant::now();
    rehearsal.postgres.kill();
    refuses_clearly(&rehearsal).await;
    let down = Duration::from_secs(10).saturating_sub(from.elapsed());
    let until = Instant::now() + down;
    while Instant::now() < until {
        // Users in the queue get their answers without the database.
        rehearsal.until(Step::Poll, 200, 5).await;
    }
    rehearsal.postgres.restart().await;
    let to = Instant::now();
    let recovered = is_ready(&rehearsal).await;
    rehearsal.server.admission(batch(20)).await;
    goes_on(&rehearsal).await;
    let report = rehearsal.end("PostgreSQL killed, 10 s", from, to).await;
    println!("  ready {recovered:.1?} after it was back");
    assert_eq!(report.failed(&[Step::Poll]), 0);
    let answers = report.by_status(from, to);
    let other = answers
        .keys()
        .find(|(_, status)| *status >= 500 && *status != 503);
    assert_eq!(other, None, "{answers:?}");
    assert!(
        !answers.keys().any(|(_, status)| *status == 0),
        "{answers:?}"
    );
    assert!(report.longest() < BOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_is_reported_within_the_time_out() {
    let Some(mut rehearsal) = Rehearsal::begin().await else {
        return;
    };
    let from = Instant::now();
    rehearsal.postgres.stall();
    refuses_clearly(&rehearsal).await;
    rehearsal.postgres.resume();
    let to = Instant::now();
    let recovered = recovers(&rehearsal).await;
    let report = rehearsal.end("PostgreSQL hangs", from, to).await;
    println!("  ready {recovered:.1?} after it went on");
    assert_eq!(report.failed(&[Step::Poll]), 0);
    assert!(report.longest() < BOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exhausted_pool_slows_admission_down_and_is_reported() {
    let (Some(postgres), Some(redis)) = (Postgres::start().await, Redis::start().await) else {
        return;
    };
    let few = |settings: &mut ServeSettings| settings.database_connections = 2;
    let rehearsal = Rehearsal::with(postgres, redis, few).await;
    let from = Instant::now();
    // A write waits for this and holds a connection.
    let held = hold_tables(&rehearsal.postgres).await;
    refuses_clearly(&rehearsal).await;
    let watermark = rehearsal.watermark_at_rest().await;
    rehearsal.until(Step::Poll, 200, 20).await;
    assert_eq!(
        rehearsal.watermark().await,
        watermark,
        "no batch that is not durable"
    );
    drop(held);
    let to = Instant::now();
    let recovered = recovers(&rehearsal).await;
    let report = rehearsal
        .end("the pool of 2 connections used up", from, to)
        .await;
    println!("  ready {recovered:.1?} after the lock was gone");
    let answers = report.by_status(from, to);
    let other = answers
        .keys()
        .find(|(_, status)| *status >= 500 && *status != 503);
    assert_eq!(other, None, "{answers:?}");
    assert_eq!(report.failed(&[Step::Poll]), 0);
    assert!(report.longest() < BOUND);
}
