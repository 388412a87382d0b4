//! Redis is killed, emptied, stalled or slow.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};

use super::{BOUND, Rehearsal, Step};
use crate::needs;
use crate::support::backend::Parts;
use crate::support::proxy::Proxy;
use crate::support::{Backend, PostgresRedis, Server, User, eventually, profile, seed};

/// Asserts that no user is refused, waits long or is admitted, and that the server reports the outage.
pub(super) async fn goes_on_without_the_queue<B: Backend>(
    rehearsal: &Rehearsal<B>,
    outage: Duration,
) {
    eventually("the server says that admission is paused", || async {
        let (status, parts) = rehearsal.readiness().await;
        assert_eq!(status, 200, "it goes on serving: {parts}");
        (parts["coordination"] != "ok").then_some(())
    })
    .await;
    eventually("the gauge shows it", || async {
        let text = User::new(&rehearsal.server.ops_url, 0)
            .get("/metrics")
            .await
            .text;
        text.contains("concert_coordination_up{backend=\"redis\"} 0")
            .then_some(())
    })
    .await;
    let watermark = rehearsal.watermark_at_rest().await;
    let until = Instant::now() + outage;
    while Instant::now() < until {
        rehearsal.until(Step::Poll, 200, 10).await;
        assert_eq!(
            rehearsal.watermark().await,
            watermark,
            "admission is paused"
        );
    }
}

pub(super) async fn goes_on_with_the_queue<B: Backend>(rehearsal: &Rehearsal<B>) -> Duration {
    let (back, watermark) = (Instant::now(), rehearsal.watermark().await);
    eventually("the next batch is admitted", || async {
        (rehearsal.watermark().await > watermark).then_some(())
    })
    .await;
    let took = back.elapsed();
    rehearsal.until(Step::Reserve, 201, 20).await;
    assert_eq!(rehearsal.readiness().await.1["coordination"], "ok");
    took
}

async fn redis_is_lost(fault: &str, outage: Duration, empty: bool) {
    let Some(mut rehearsal) = Rehearsal::<PostgresRedis>::begin().await else {
        return;
    };
    let from = Instant::now();
    rehearsal.redis().kill();
    goes_on_without_the_queue(&rehearsal, outage).await;
    match empty {
        true => rehearsal.redis().restart_empty().await,
        false => rehearsal.redis().restart().await,
    }
    let to = Instant::now();
    let recovered = goes_on_with_the_queue(&rehearsal).await;
    let report = rehearsal.end(fault, from, to).await;
    println!("  admission went on {recovered:.1?} after it was back");
    assert_eq!(report.failed(&[Step::Poll, Step::Register]), 0);
    assert_eq!(report.failed(&Step::ADMITTED), 0);
    assert!(report.longest() < BOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_killed_for_20_s_and_back_with_its_data_loses_nothing() {
    let outage = Duration::from_secs(20);
    Box::pin(redis_is_lost(
        "Redis killed, 20 s, back with data",
        outage,
        false,
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_killed_and_back_empty_gets_its_queue_from_the_database() {
    let outage = Duration::from_secs(5);
    Box::pin(redis_is_lost("Redis killed, 5 s, back empty", outage, true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_emptied_under_way_gets_its_queue_from_the_database() {
    let Some(mut rehearsal) = Rehearsal::<PostgresRedis>::begin().await else {
        return;
    };
    let from = Instant::now();
    let watermark = rehearsal.watermark().await;
    assert_eq!(rehearsal.redis().cli(&["FLUSHALL"]), "OK");
    let to = Instant::now();
    rehearsal.until(Step::Register, 201, 20).await;
    goes_on_with_the_queue(&rehearsal).await;
    assert!(
        rehearsal.watermark().await > watermark,
        "the watermark never goes back"
    );
    let report = rehearsal.end("Redis emptied by a hand", from, to).await;
    assert_eq!(report.failed(&[Step::Poll, Step::Register]), 0);
    assert_eq!(report.failed(&Step::ADMITTED), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_redis_is_bypassed_within_a_time_out() {
    let Some(mut rehearsal) = Rehearsal::<PostgresRedis>::begin().await else {
        return;
    };
    let from = Instant::now();
    rehearsal.redis().stall();
    goes_on_without_the_queue(&rehearsal, Duration::from_secs(5)).await;
    rehearsal.redis().resume();
    let to = Instant::now();
    goes_on_with_the_queue(&rehearsal).await;
    let report = rehearsal.end("Redis hangs, 5 s", from, to).await;
    assert_eq!(report.failed(&[Step::Poll, Step::Register]), 0);
    assert_eq!(report.failed(&Step::ADMITTED), 0);
    assert!(report.longest() < BOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_is_200_ms_slow_stops_neither_admission_nor_buyers() {
    needs!(Server<PostgresRedis>);
    let parts = Parts::start::<PostgresRedis>().await;
    let redis = parts.redis.as_ref().unwrap();
    let mut proxy = Proxy::to(redis.addr()).await;
    let through = redis.url_at(proxy.addr()).parse().unwrap();
    let rehearsal = Rehearsal::<PostgresRedis>::on(parts, |settings| {
        settings.redis_url = Some(through);
    })
    .await;
    let from = Instant::now();
    proxy.delay(Duration::from_millis(200));
    // More than one batch must be admitted, so that the delay affects every step of an admission.
    for _ in 0..3 {
        let watermark = rehearsal.watermark().await;
        eventually("the next batch is admitted", || async {
            (rehearsal.watermark().await > watermark).then_some(())
        })
        .await;
    }
    rehearsal.until(Step::Register, 201, 20).await;
    rehearsal.until(Step::Reserve, 201, 20).await;
    proxy.open().await;
    let to = Instant::now();
    rehearsal.until(Step::Reserve, 201, 20).await;
    let report = rehearsal.end("Redis 200 ms slow", from, to).await;
    assert_eq!(report.failed(&[Step::Poll, Step::Register]), 0);
    assert_eq!(report.failed(&Step::ADMITTED), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_locks_the_database_alone_sells_each_seat_once() {
    needs!(Server<PostgresRedis>);
    let mut server = Server::<PostgresRedis>::empty().await;
    seed(&server.ops, &profile(1, 500, 2_000)).await;
    server.admit_everybody().await;
    let users: Vec<User> = stream::iter(1..=2_000)
        .map(|id| server.registered(id))
        .buffer_unordered(64)
        .collect()
        .await;
    eventually("everybody is admitted", || async {
        (server.status().await.queue.admitted_mark == 2_000).then_some(())
    })
    .await;

    server.parts.redis.as_mut().unwrap().stall();
    let statuses: Vec<Vec<u16>> = stream::iter(users)
        .map(|user| async move {
            let mut statuses = Vec::new();
            for step in 0..20 {
                statuses.push(user.reserve((user.id * 7 + step) % 500 + 1).await.status);
                if statuses.last() == Some(&201) {
                    break;
                }
            }
            statuses
        })
        .buffer_unordered(200)
        .collect()
        .await;
    let count = |status| {
        statuses
            .iter()
            .flatten()
            .filter(|had| **had == status)
            .count()
    };
    let (sold, refused) = (count(201), count(409));
    println!("Redis stopped for the whole sale: 201 {sold}, 409 {refused}");
    assert_eq!(sold, 500, "every seat once");
    assert_eq!(
        sold + refused,
        statuses.iter().flatten().count(),
        "nothing else"
    );
    let audit = server.audit().await;
    assert_eq!((audit.violations(), audit.seats_pending), (0, 500));
    server.parts.redis.as_mut().unwrap().resume();
    server.stop().await;
}
