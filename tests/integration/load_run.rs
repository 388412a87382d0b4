//! Runs of the load generator over real sockets against a server whose behaviour each test chooses.

use std::time::{Duration, Instant};

use concertctl::load::model::{Operation, UserState};
use concertctl::load::{
    Ending, Outcome, PhaseName, Reseed, RunHandle, RunOptions, Scenario, Summary, Verdict, start,
};

use super::load_mimic::{Manner, Mimic, SEATS};

pub(super) const SCENARIO: &str = "\
title: test
dataset: demo
users: 100
admission: { batch: 25, every: 100ms }
register: { connections: 8 }
think: { dates: 0s..20ms, reserve: 1ms..10ms }
http: { request_timeout: 20s, retry_pause: 10ms }
generator: { lag_p99: 60s, cpu: 1 }
limits: { duration: 2m, silence: 500ms }
thresholds:
  buying: { operations: [dates, seats, reserve, charge, pay], p95: 60s, error_rate: 0 }
  queue: { operations: [register, poll], error_rate: 0 }
  oversold: 0
  audit_violations: 0
  lost: 0
  inversions: 0
  unfinished: 0
";

pub(super) fn options(overrides: &[&str]) -> RunOptions {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    let scenario = Scenario::parse("test", SCENARIO, &overrides).unwrap();
    RunOptions {
        embedded: true,
        ..RunOptions::new(scenario)
    }
}

pub(super) fn begin(server: &Mimic, overrides: &[&str]) -> RunHandle {
    start(server.target(), options(overrides))
}

pub(super) async fn run(server: &Mimic, overrides: &[&str]) -> Summary {
    begin(server, overrides).join().await.unwrap()
}

pub(super) fn users(summary: &Summary, state: UserState) -> u64 {
    summary.users.get(state.as_str()).copied().unwrap_or(0)
}

pub(super) fn outcome(summary: &Summary, name: &str) -> Outcome {
    summary
        .thresholds
        .iter()
        .find(|judged| judged.name == name)
        .unwrap()
        .outcome
}

pub(super) fn counts(summary: &Summary, operation: Operation) -> (u64, u64, u64) {
    let row = summary
        .operations
        .iter()
        .find(|row| row.operation == operation);
    row.map_or((0, 0, 0), |row| (row.ok, row.refused, row.errors))
}

/// Waits until a condition holds; fails the test after a time-out.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn every_journey_ends_and_the_clients_counts_match_the_server() {
    let server = Mimic::start(Manner::Good);
    let summary = run(&server, &[]).await;
    assert_eq!(
        (summary.verdict, summary.ending),
        (Verdict::Passed, Ending::Complete),
        "{:?}",
        summary.reasons
    );
    let (paid, without) = (
        users(&summary, UserState::Paid),
        users(&summary, UserState::WithoutSeat),
    );
    assert_eq!(paid + without, 100);
    assert_eq!(
        (
            server.registered(),
            server.reservations() as u64,
            server.paid() as u64
        ),
        (100, paid, paid)
    );
    assert_eq!(counts(&summary, Operation::Register), (100, 0, 0));
    assert_eq!(counts(&summary, Operation::Pay), (paid, 0, 0));
    let (reserved, refused, errors) = counts(&summary, Operation::Reserve);
    assert_eq!((reserved, errors), (paid, 0));
    assert!(
        refused > 0,
        "80 users choose among 40 popular seats, so some must conflict"
    );
    let lookup = summary.lookup.unwrap();
    assert_eq!((lookup.checked, lookup.missing), (100 + 3 * paid, 0));
    assert_eq!(
        server.most_polled_early(),
        Duration::ZERO,
        "no poll comes before the time that the server asked for"
    );
    assert!(summary.fairness.eta_error.is_some(), "waits were promised");
}

#[tokio::test]
async fn choosing_from_the_seat_map_sells_every_seat_once() {
    let server = Mimic::start(Manner::Good);
    let overrides = [
        "contention.choice=map",
        "contention.seats=50",
        "contention.attempts=200",
        "users=100",
    ];
    let summary = run(&server, &overrides).await;
    assert_eq!(server.paid(), 50, "{:?}", summary.users);
    assert_eq!(users(&summary, UserState::WithoutSeat), 50);
    assert_eq!(summary.verdict, Verdict::Passed, "{:?}", summary.reasons);
}

#[tokio::test]
async fn exactly_one_user_gets_the_only_seat() {
    let server = Mimic::start(Manner::Good);
    let overrides = [
        "contention.seats=1",
        "contention.attempts=1",
        "admission.batch=100",
    ];
    let summary = run(&server, &overrides).await;
    assert_eq!(counts(&summary, Operation::Reserve), (1, 99, 0));
    assert_eq!(summary.verdict, Verdict::Passed, "{:?}", summary.reasons);
}

#[tokio::test]
async fn a_threshold_on_an_operation_that_never_ran_has_no_data_and_fails() {
    let server = Mimic::start(Manner::Good);
    let summary = run(&server, &["thresholds.cancel.p95=1s"]).await;
    assert_eq!(outcome(&summary, "cancel.p95"), Outcome::NoData);
    assert_eq!(
        (summary.verdict, summary.reasons),
        (Verdict::Failed, vec!["cancel.p95: no data".to_owned()])
    );
}

#[tokio::test]
async fn a_missed_threshold_fails_the_run() {
    let server = Mimic::start(Manner::Good);
    let summary = run(&server, &["thresholds.buying.p95=1us"]).await;
    assert_eq!(outcome(&summary, "buying.p95"), Outcome::Missed);
    assert_eq!(summary.verdict.exit_code(), 99);
}

#[tokio::test]
async fn a_run_stopped_by_hand_still_reports_and_does_not_pass() {
    let server = Mimic::start(Manner::Good);
    let handle = begin(&server, &["admission.every=1h"]);
    let progress = handle.progress.clone();
    until("a payment", || {
        progress.borrow().users_in(UserState::Paid) > 0
    })
    .await;
    handle.control.stop();
    let summary = handle.join().await.unwrap();
    assert_eq!(
        (summary.verdict, summary.ending),
        (Verdict::Inconclusive, Ending::Stopped),
        "{:?}",
        summary.reasons
    );
    assert!(summary.audit.is_some() && users(&summary, UserState::Waiting) > 0);
}

#[tokio::test]
async fn a_dropped_handle_ends_the_run() {
    let server = Mimic::start(Manner::Good);
    let handle = begin(&server, &["admission.every=5s"]);
    let progress = handle.progress.clone();
    until("the opening", || {
        progress.borrow().users_in(UserState::Paid) > 0
    })
    .await;
    drop(handle);
    // The sender of progress is dropped at the end of the run.
    until("the end of the run", || progress.has_changed().is_err()).await;
}

#[tokio::test]
async fn a_run_longer_than_its_limit_is_cut_and_does_not_pass() {
    let server = Mimic::start(Manner::Good);
    let summary = run(&server, &["admission.every=5s", "limits.duration=600ms"]).await;
    assert_eq!(
        (summary.verdict, summary.ending),
        (Verdict::Failed, Ending::TimeOver)
    );
    assert_eq!(outcome(&summary, "unfinished"), Outcome::Missed);
}

#[tokio::test]
async fn one_phase_alone_measures_only_that_phase() {
    for (phase, operations, reserves) in [
        (PhaseName::Register, vec![Operation::Register], false),
        (
            PhaseName::Open,
            vec![
                Operation::Poll,
                Operation::Dates,
                Operation::Seats,
                Operation::Reserve,
            ],
            true,
        ),
        (
            PhaseName::Pay,
            vec![Operation::Charge, Operation::Pay],
            true,
        ),
    ] {
        let server = Mimic::start(Manner::Good);
        let options = RunOptions {
            phase: Some(phase),
            ..options(&[])
        };
        let summary = start(server.target(), options).join().await.unwrap();
        let measured: Vec<Operation> = summary.operations.iter().map(|row| row.operation).collect();
        assert_eq!(measured, operations);
        assert_eq!(
            summary.verdict,
            Verdict::Passed,
            "{phase}: {:?}",
            summary.reasons
        );
        assert_eq!(server.registered(), 100);
        assert_eq!(
            (server.reservations() > 0, server.paid() > 0),
            (reserves, phase == PhaseName::Pay)
        );
    }
}

#[tokio::test]
async fn a_dataset_that_does_not_fit_is_refused_or_on_request_replaced() {
    let server = Mimic::start(Manner::Good);
    server.use_dataset(Some("onsale"));
    let error = begin(&server, &[]).join().await.unwrap_err().to_string();
    assert!(
        error.contains("`onsale`") && error.contains("`demo`") && error.contains("--reseed"),
        "{error}"
    );
    // Without a dataset nothing can be lost.
    server.use_dataset(None);
    let first = begin(&server, &[]).join().await.unwrap();
    assert_eq!((first.verdict, server.seedings()), (Verdict::Passed, 1));

    let reseeding = RunOptions {
        reseed: Reseed::WhenUnfit,
        ..options(&[])
    };
    let summary = start(server.target(), reseeding.clone())
        .join()
        .await
        .unwrap();
    assert_eq!(
        (summary.verdict, server.seedings()),
        (Verdict::Passed, 2),
        "{:?}",
        summary.reasons
    );
    let used = begin(&server, &[]).join().await.unwrap_err().to_string();
    assert!(used.contains("100 people are in its queue"), "{used}");
    start(server.target(), reseeding).join().await.unwrap();
    assert_eq!(server.seedings(), 3);

    let error = begin(&server, &["users=5000"])
        .join()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("has 1000 users, the scenario wants 5000"),
        "{error}"
    );
}

#[tokio::test]
async fn progress_counts_up_to_the_figures_of_the_summary() {
    let server = Mimic::start(Manner::Good);
    let handle = begin(&server, &["admission.every=300ms"]);
    let mut progress = handle.progress.clone();
    let watching = tokio::spawn(async move {
        let mut seen = Vec::new();
        while progress.changed().await.is_ok() {
            seen.push(progress.borrow_and_update().clone());
        }
        seen
    });
    let summary = handle.join().await.unwrap();
    let seen = watching.await.unwrap();
    assert!(
        seen.is_sorted_by_key(|progress| progress.requests),
        "requests never go down"
    );
    assert!(seen.iter().any(|progress| progress.tps > 0.0));
    let last = seen.last().unwrap();
    let all: u64 = summary.operations.iter().map(|row| row.count).sum();
    assert_eq!(
        (last.requests, last.seats_paid),
        (all, server.paid() as u64)
    );
    assert!(last.seats_paid <= SEATS as u64);
}

#[tokio::test]
async fn the_summary_is_written_whole_and_read_back() {
    let server = Mimic::start(Manner::Good);
    let summary = run(&server, &["users=10"]).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("summary.json");
    summary.write(&path).unwrap();
    let read: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(
        (read["schema"].as_u64(), read["verdict"].as_str()),
        (Some(2), Some("passed"))
    );
    assert_eq!(read["operations"][0]["operation"], "register");
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "no temporary file is left"
    );
    assert!(
        summary
            .write(&dir.path().join("no/such/place.json"))
            .is_err()
    );
}
