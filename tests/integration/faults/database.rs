//! The database is killed, restarted or stalled, its connections are ended, or all of them are in use.

use std::time::{Duration, Instant};

use super::traffic::Report;
use super::{BOUND, Rehearsal, Step};
use crate::support::{Backend, User, eventually};

on_each_database!(
    the_database_killed_for_10_s_is_reported_at_once_and_survived_without_a_restart,
    a_restart_of_the_database_is_survived_without_a_restart,
    a_database_that_hangs_is_reported_within_the_time_out,
    an_exhausted_pool_slows_admission_down_and_is_reported,
    connections_ended_one_by_one_cost_nothing_but_the_requests_that_they_carry,
);

/// Asserts that requests are refused with `Retry-After` and that the server is not ready.
async fn refuses_clearly<B: Backend>(rehearsal: &Rehearsal<B>) {
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

async fn recovers<B: Backend>(rehearsal: &Rehearsal<B>) -> Duration {
    let took = is_ready(rehearsal).await;
    goes_on(rehearsal).await;
    took
}

/// Waits until the server is ready again. Returns how long that took.
async fn is_ready<B: Backend>(rehearsal: &Rehearsal<B>) -> Duration {
    let back = Instant::now();
    eventually("it is ready again, without a restart", || async {
        (rehearsal.readiness().await.0 == 200).then_some(())
    })
    .await;
    back.elapsed()
}

async fn goes_on<B: Backend>(rehearsal: &Rehearsal<B>) {
    rehearsal.until(Step::Register, 201, 20).await;
    rehearsal.until(Step::Reserve, 201, 20).await;
}

/// Asserts that users in the queue noticed nothing, and that all others got an answer in time: the expected one, or a
/// 503.
fn nothing_worse_than_503(report: &Report, from: Instant, to: Instant) {
    assert_eq!(report.failed(&[Step::Poll]), 0);
    let answers = report.by_status(from, to);
    let worse = |status: u16| status == 0 || status == 500 || status > 503;
    let other = answers.keys().find(|(_, status)| worse(*status));
    assert_eq!(other, None, "{answers:?}");
    assert!(report.longest() < BOUND);
}

async fn the_database_killed_for_10_s_is_reported_at_once_and_survived_without_a_restart<
    B: Backend,
>() {
    let Some(mut rehearsal) = Rehearsal::<B>::begin().await else {
        return;
    };
    rehearsal.people_wait().await;
    let from = Instant::now();
    rehearsal.database().kill();
    refuses_clearly(&rehearsal).await;
    let down = Duration::from_secs(10).saturating_sub(from.elapsed());
    let until = Instant::now() + down;
    while Instant::now() < until {
        // Users in the queue get their answers without the database.
        rehearsal.until(Step::Poll, 200, 5).await;
    }
    rehearsal.database().restart().await;
    let to = Instant::now();
    let recovered = is_ready(&rehearsal).await;
    rehearsal.admit_in_batches_of(20).await;
    goes_on(&rehearsal).await;
    let report = rehearsal.end("database killed, 10 s", from, to).await;
    println!("  ready {recovered:.1?} after it was back");
    nothing_worse_than_503(&report, from, to);
}

async fn a_restart_of_the_database_is_survived_without_a_restart<B: Backend>() {
    let Some(mut rehearsal) = Rehearsal::<B>::begin().await else {
        return;
    };
    let from = Instant::now();
    rehearsal.database().shut_down();
    rehearsal.database().restart().await;
    let to = Instant::now();
    let recovered = recovers(&rehearsal).await;
    let report = rehearsal.end("database restarted", from, to).await;
    println!("  ready {recovered:.1?} after it was back");
    nothing_worse_than_503(&report, from, to);
}

async fn a_database_that_hangs_is_reported_within_the_time_out<B: Backend>() {
    let Some(mut rehearsal) = Rehearsal::<B>::begin().await else {
        return;
    };
    let from = Instant::now();
    rehearsal.database().stall();
    refuses_clearly(&rehearsal).await;
    rehearsal.database().resume();
    let to = Instant::now();
    let recovered = recovers(&rehearsal).await;
    let report = rehearsal.end("database hangs", from, to).await;
    println!("  ready {recovered:.1?} after it went on");
    nothing_worse_than_503(&report, from, to);
}

async fn an_exhausted_pool_slows_admission_down_and_is_reported<B: Backend>() {
    let begun = Rehearsal::<B>::begin_with(|settings| settings.database_connections = 2);
    let Some(mut rehearsal) = begun.await else {
        return;
    };
    rehearsal.people_wait().await;
    let from = Instant::now();
    // A write waits for these locks and holds a connection.
    let tables = ["admissions", "reservations", "queue_places"];
    let held = rehearsal.database().hold_tables(&tables).await;
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
    let recovered = is_ready(&rehearsal).await;
    rehearsal.admit_in_batches_of(20).await;
    goes_on(&rehearsal).await;
    let report = rehearsal
        .end("the pool of 2 connections used up", from, to)
        .await;
    println!("  ready {recovered:.1?} after the lock was gone");
    nothing_worse_than_503(&report, from, to);
}

async fn connections_ended_one_by_one_cost_nothing_but_the_requests_that_they_carry<B: Backend>() {
    let Some(mut rehearsal) = Rehearsal::<B>::begin().await else {
        return;
    };
    let from = Instant::now();
    // Each of these sessions is ended, whatever its purpose. New sessions replace them.
    let sessions = rehearsal.database().sessions().await;
    for session in &sessions {
        rehearsal.database().end_session(*session).await;
        rehearsal.until(Step::Register, 201, 2).await;
        rehearsal.until(Step::Reserve, 201, 2).await;
    }
    let to = Instant::now();
    let left = rehearsal.database().sessions().await;
    let survivors = left.iter().filter(|session| sessions.contains(session));
    assert_eq!(survivors.count(), 0, "{sessions:?}, then {left:?}");
    let recovered = recovers(&rehearsal).await;
    let report = rehearsal
        .end("connections ended one by one", from, to)
        .await;
    println!("  {} ended, ready {recovered:.1?} later", sessions.len());
    nothing_worse_than_503(&report, from, to);
    let answered = report.by_status(from, to);
    let failed: usize = answered
        .iter()
        .filter(|((_, status), _)| *status >= 500)
        .map(|(_, count)| count)
        .sum();
    // A batch of registrations shares a connection.
    assert!(failed <= sessions.len() * 48, "{answered:?}");
}
