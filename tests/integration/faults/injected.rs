//! Injected faults under traffic: the promises are the same as with real failures.

use std::time::{Duration, Instant};

use concertctl::api::ops::{Fault, FaultKind, LinkCut};

use super::shared_queue::{goes_on_with_the_queue, goes_on_without_the_queue};
use super::{BOUND, Rehearsal, Step};
use crate::support::{PostgresRedis, User, eventually};

async fn redis_is_cut(fault: &str, how: LinkCut) {
    let Some(rehearsal) = Rehearsal::<PostgresRedis>::begin().await else {
        return;
    };
    let from = Instant::now();
    let cut = Fault::RedisCut { how };
    let ops = &rehearsal.server.ops;
    let length = Duration::from_secs(120);
    ops.inject_fault(&cut, length, None).await.unwrap();
    goes_on_without_the_queue(&rehearsal, Duration::from_secs(5)).await;
    ops.end_faults(Some(FaultKind::RedisCut)).await.unwrap();
    let to = Instant::now();
    let recovered = goes_on_with_the_queue(&rehearsal).await;
    eventually("the gauge comes back", || async {
        let text = User::new(&rehearsal.server.ops_url, 0)
            .get("/metrics")
            .await
            .text;
        text.contains("concert_coordination_up{backend=\"redis\"} 1")
            .then_some(())
    })
    .await;
    assert!(ops.faults().await.unwrap().faults.is_empty());
    let report = rehearsal.end(fault, from, to).await;
    println!("  admission went on {recovered:.1?} after the fault was ended");
    assert_eq!(report.failed(&[Step::Poll, Step::Register]), 0);
    assert_eq!(report.failed(&Step::ADMITTED), 0);
    assert!(report.longest() < BOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_to_redis_that_is_cut_and_hangs_costs_admission_and_nothing_else() {
    Box::pin(redis_is_cut("Redis cut, hanging", LinkCut::Hang)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_to_redis_that_is_cut_and_refuses_costs_admission_and_nothing_else() {
    Box::pin(redis_is_cut("Redis cut, refusing", LinkCut::Refuse)).await;
}
