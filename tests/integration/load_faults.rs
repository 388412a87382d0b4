//! Runs against servers that fail, hang, forget and die.

use concertctl::load::model::{Operation, UserState};
use concertctl::load::{Ending, LoadError, Outcome, Verdict, start};

use super::load_mimic::{Manner, Mimic};
use super::load_run::{begin, counts, options, outcome, run, until, users};

#[tokio::test]
async fn a_server_that_fails_every_request_fails_the_run() {
    let server = Mimic::start(Manner::Fails);
    let summary = run(&server, &["http.retries=1"]).await;
    assert_eq!(
        (summary.verdict, summary.verdict.exit_code()),
        (Verdict::Failed, 99)
    );
    assert_eq!(outcome(&summary, "queue.error_rate"), Outcome::Missed);
    assert_eq!(outcome(&summary, "buying.p95"), Outcome::NoData);
    assert_eq!(
        counts(&summary, Operation::Register),
        (0, 0, 200),
        "each user tries twice"
    );
    assert_eq!(users(&summary, UserState::GaveUp), 100);
}

#[tokio::test]
async fn a_server_that_never_answers_fails_the_run_within_its_time_outs() {
    let server = Mimic::start(Manner::Hangs);
    let summary = run(&server, &["http.request_timeout=200ms"]).await;
    assert_eq!(
        (summary.verdict, summary.ending),
        (Verdict::Failed, Ending::ServerLost)
    );
    let register = &summary.operations[0];
    assert!(
        register.error_counts["timeout"] > 0,
        "{:?}",
        register.error_counts
    );
    assert!(
        register.error_latency.unwrap().max < 1_500.0,
        "{:?}",
        register.error_latency
    );
}

#[tokio::test]
async fn a_server_that_closes_connections_fails_the_run() {
    let server = Mimic::start(Manner::Closes);
    let summary = run(&server, &["http.retries=0"]).await;
    assert_eq!(summary.verdict, Verdict::Failed);
    assert_eq!(summary.operations[0].error_counts["broken"], 100);
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_fails_the_run_in_bounded_time() {
    let mut server = Mimic::start(Manner::Good);
    let handle = begin(
        &server,
        &["admission.every=1s", "http.request_timeout=300ms"],
    );
    let progress = handle.progress.clone();
    until("a payment", || {
        progress.borrow().users_in(UserState::Paid) > 0
    })
    .await;
    server.kill();
    let summary = handle.join().await.unwrap();
    assert_eq!(
        (summary.verdict, summary.ending),
        (Verdict::Failed, Ending::ServerLost)
    );
    assert!(summary.audit.is_none() && summary.audit_problem.is_some());
    assert_eq!(outcome(&summary, "oversold"), Outcome::NoData);
}

#[tokio::test]
async fn without_a_server_nothing_runs_and_the_message_gives_advice() {
    let mut server = Mimic::start(Manner::Good);
    server.kill();
    let error = begin(&server, &[]).join().await.unwrap_err();
    assert!(matches!(error, LoadError::Unreachable { .. }), "{error:?}");
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("concertctl serve"), "{error}");
}

#[tokio::test]
async fn a_wrong_operations_token_is_reported() {
    let server = Mimic::start(Manner::Good);
    let mut target = server.target();
    target.ops_token = Some("another".to_owned());
    let error = start(target, options(&[])).join().await.unwrap_err();
    assert!(
        error.to_string().contains("CONCERTCTL_OPS_TOKEN"),
        "{error}"
    );
    assert!(!error.to_string().contains("another"), "{error}");
    assert_eq!((error.exit_code(), server.registered()), (1, 0));
}

/// One slow answer on the only connection delays every user whose request was due meanwhile. If latency counted from
/// the time of sending, only one request would be slow.
#[tokio::test]
async fn a_stall_shows_in_the_latency_of_all_requests_that_waited() {
    let server = Mimic::start(Manner::StallsOnce);
    let overrides = [
        "http.connections=1",
        "generator.workers=1",
        "admission.batch=1",
        "admission.every=100ms",
        "users=40",
        "contention.attempts=1",
    ];
    let summary = run(&server, &overrides).await;
    let poll = summary
        .operations
        .iter()
        .find(|row| row.operation == Operation::Poll)
        .unwrap();
    let (latency, service) = (poll.latency.unwrap(), poll.service.unwrap());
    assert!(service.max >= 990.0, "{service:?}");
    assert!(
        service.p99 < 500.0,
        "one slow request among {}: {service:?}",
        poll.count
    );
    assert!(latency.p99 >= 900.0, "{latency:?}");
    assert!(summary.generator.connection_wait.is_some());
}

#[tokio::test]
async fn an_acknowledged_write_that_the_server_lacks_counts_as_lost() {
    let server = Mimic::start(Manner::Forgets);
    let summary = run(&server, &[]).await;
    assert_eq!(outcome(&summary, "lost"), Outcome::Missed);
    assert!(summary.lookup.unwrap().missing > 0);
    assert_eq!(summary.verdict, Verdict::Failed);
}

#[tokio::test]
async fn an_admission_out_of_order_counts_as_an_inversion() {
    let server = Mimic::start(Manner::Unfair);
    let summary = run(&server, &["admission.batch=100"]).await;
    assert!(summary.fairness.inversions > 0);
    assert_eq!(outcome(&summary, "inversions"), Outcome::Missed);
}

#[tokio::test]
async fn a_write_without_an_answer_is_repeated_with_its_key_and_done_once() {
    let server = Mimic::start(Manner::AnswersLate);
    let summary = run(&server, &["http.request_timeout=400ms"]).await;
    let (reserved, _, errors) = counts(&summary, Operation::Reserve);
    assert_eq!(errors, 1, "the time-out counts as a failure");
    assert_eq!(
        server.reservations() as u64,
        reserved,
        "the repeat reserves nothing new"
    );
    assert_eq!(summary.lookup.unwrap().missing, 0);
    assert_eq!(
        summary.verdict,
        Verdict::Failed,
        "error_rate is 0 in this scenario"
    );
}
