//! Steering a run: by its control, and over its own listener.

use concertctl::load::model::{Operation, UserState};
use concertctl::load::summary::MarkKind;
use concertctl::load::{Command, Ending, RunHandle, Summary, Verdict};

use super::load_mimic::{Manner, Mimic};
use super::load_run::{begin, counts, until, users};
use crate::support::port::Port;
use crate::support::process::{ServerProcess, concertctl};
use crate::support::{User, eventually, profile, seed, token_of};

/// Settings with think times long enough for a test to act meanwhile.
const SLOWLY: [&str; 2] = ["think.dates=50ms..400ms", "users=200"];

fn requests(run: &RunHandle) -> u64 {
    run.progress.borrow().requests
}

async fn admitted(run: &RunHandle) {
    until("a user reserves", || {
        run.progress.borrow().seats_reserved > 0
    })
    .await;
}

fn marks(summary: &Summary, kind: MarkKind) -> Vec<&str> {
    let marks = summary.marks.iter().filter(|mark| mark.kind == kind);
    marks.map(|mark| mark.text.as_str()).collect()
}

#[tokio::test]
async fn a_paused_run_sends_nothing_and_the_pause_does_not_count_as_latency() {
    let server = Mimic::start(Manner::Good);
    let run = begin(&server, &SLOWLY);
    admitted(&run).await;
    assert!(run.control.send(Command::Pause));
    until("it is paused", || run.progress.borrow().paused).await;
    // Requests in flight are answered; then several snapshots have the same count.
    let mut seen = run.progress.clone();
    let (mut before, mut quiet) = (0, 0);
    while quiet < 4 {
        seen.changed().await.unwrap();
        let now = seen.borrow_and_update().requests;
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
    }
    assert!(run.control.send(Command::Resume));
    until("it goes on", || requests(&run) > before).await;
    let summary = run.join().await.unwrap();
    assert_eq!(summary.ending, Ending::Complete);
    assert_eq!(marks(&summary, MarkKind::Control), ["pause", "resume"]);
    // The pause was longer than this, and did not count for the requests that became due in it.
    let dates = summary
        .operations
        .iter()
        .find(|row| row.operation == Operation::Dates);
    let latency = dates.unwrap().latency.unwrap();
    assert!(latency.p99 < 900.0, "{latency:?}");
    assert_eq!(
        summary.verdict,
        Verdict::Inconclusive,
        "the run sent fewer requests"
    );
    assert!(
        summary.reasons[0].contains("reduced by hand"),
        "{:?}",
        summary.reasons
    );
}

#[tokio::test]
async fn a_phase_that_is_ended_by_hand_sends_its_users_on() {
    let server = Mimic::start(Manner::Good);
    // Admission is so slow that no user would buy unless the phase is ended by hand.
    let run = begin(&server, &["admission.every=1h", "admission.batch=10"]);
    until("the sale is open", || {
        run.progress.borrow().users_in(UserState::Waiting) > 0
            && run.progress.borrow().seats_paid > 0
    })
    .await;
    assert!(run.control.send(Command::Next));
    let summary = run.join().await.unwrap();
    assert_eq!(summary.ending, Ending::Complete);
    assert_eq!(users(&summary, UserState::Paid), 10);
    assert_eq!(users(&summary, UserState::PhaseDone), 90);
    assert_eq!(marks(&summary, MarkKind::Control), ["next: open ended"]);
    assert_eq!(summary.verdict, Verdict::Inconclusive);
}

#[tokio::test]
async fn faster_and_slower_change_the_pauses() {
    let server = Mimic::start(Manner::Good);
    let run = begin(&server, &SLOWLY);
    admitted(&run).await;
    for _ in 0..4 {
        assert!(run.control.send(Command::Slower));
    }
    until("it is slower", || run.progress.borrow().pace < 0.5).await;
    for _ in 0..12 {
        assert!(run.control.send(Command::Faster));
    }
    until("it is faster", || run.progress.borrow().pace > 5.0).await;
    let summary = run.join().await.unwrap();
    assert_eq!(summary.ending, Ending::Complete);
    assert_eq!(counts(&summary, Operation::Dates).0, 200);
    assert_eq!(marks(&summary, MarkKind::Control).len(), 16);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_runs_own_listener_serves_metrics_and_takes_commands_with_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &[]).await;
    seed(&server.ops, &profile(2, 100, 300)).await;
    let scenario = dir.path().join("long.yaml");
    let text = "{ title: long, dataset: test, users: 300, admission: { batch: 10, every: 1s } }";
    std::fs::write(&scenario, text).unwrap();
    let (port, token) = (Port::claim(), token_of(dir.path()));
    let mut command = concertctl();
    command
        .args(["load", scenario.to_str().unwrap(), "--quiet"])
        .args(["--target", &server.api, "--ops-url", &server.ops_url])
        .args(["--metrics-addr", &port.addr().to_string()])
        .env("CONCERTCTL_OPS_TOKEN", &token);
    let running = crate::support::process::Running::start(command);
    let url = format!("http://{}", port.addr());
    let client = crate::support::client();
    let get = async |path: &str| {
        let answer = client.get(format!("{url}{path}")).send().await.ok()?;
        answer.text().await.ok()
    };
    eventually("people poll", || async {
        let text = get("/metrics").await?;
        let polled = "loadgen_requests_total{operation=\"poll\",phase=\"open\",status=\"200\"}";
        let waiting = "loadgen_users{state=\"waiting\"}";
        (text.contains(polled) && text.contains(waiting)).then_some(())
    })
    .await;
    // Progress is published several times a second; metrics are current.
    eventually("progress counts requests", || async {
        let progress: serde_json::Value = serde_json::from_str(&get("/ops/v1/load").await?).ok()?;
        assert_eq!(progress["scenario"], "long");
        (progress["requests"].as_u64() > Some(0)).then_some(())
    })
    .await;
    let send = async |command: &str, token: &str| {
        let call = client.post(format!("{url}/ops/v1/load/{command}"));
        let answer = call.bearer_auth(token).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(send("stop", "").await, 401);
    assert_eq!(send("stop", "guess").await, 401);
    assert_eq!(send("fly", &token).await, 400);
    assert_eq!(send("pause", &token).await, 200);
    eventually("it is paused", || async {
        let text = get("/ops/v1/load").await?;
        text.contains("\"paused\":true").then_some(())
    })
    .await;
    assert_eq!(send("stop", &token).await, 200);
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("stopped by hand"), "{ended:?}");
    let probe = User::new(&server.api, 0);
    assert_eq!(probe.get("/health/ready").await.status, 200);
}

#[tokio::test]
async fn a_missed_abort_threshold_ends_the_run() {
    let server = Mimic::start(Manner::Good);
    let overrides = [
        "admission.every=1h",
        "admission.batch=10",
        "thresholds.queue.p95=1us",
        "thresholds.queue.abort=1s",
    ];
    let summary = begin(&server, &overrides).join().await.unwrap();
    assert_eq!(summary.ending, Ending::Aborted);
    assert_eq!(summary.verdict, Verdict::Failed);
    assert_eq!(marks(&summary, MarkKind::Alert), ["queue.p95 missed"]);
}
