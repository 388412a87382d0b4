//! Traffic groups beside the buyers: open and closed executors, and the shipped scenarios of abuse against the
//! real server.

use std::time::Duration;

use concertctl::load::model::{Class, Operation, UserState};
use concertctl::load::traffic_only::measure_traffic;
use concertctl::load::{Outcome, RunOptions, Scenario, Summary, Verdict};
use serde_json::Value;

use super::load_mimic::{Manner, Mimic};
use super::load_run::{outcome, run, users};
use crate::support::process::{AT_ANY_SPEED, concertctl, finish};

/// Runs a shipped scenario with so few users that a debug build beside its server can serve them.
async fn shipped(name: &str, sets: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("summary.json");
    let mut command = concertctl();
    command.args(["load", name, "--quiet", "--out"]).arg(&out);
    command.env("TMPDIR", dir.path());
    command.args(AT_ANY_SPEED);
    for set in sets {
        command.args(["--set", set]);
    }
    let ended = finish(command).await;
    let summary: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(summary["verdict"], "passed", "{}", ended.stdout);
    assert_eq!(ended.code, Some(0));
    summary
}

fn row<'a>(summary: &'a Value, traffic: &str, operation: &str) -> &'a Value {
    let rows = summary["operations"].as_array().unwrap().iter();
    let mut rows = rows.filter(|row| row["traffic"] == traffic && row["operation"] == operation);
    rows.next().expect("the operation was called")
}

#[tokio::test]
async fn users_who_bypass_the_queue_get_nothing_but_a_place() {
    let sets = [
        "users=400",
        "admission.batch=40",
        "traffic.strangers.users=20",
        "thresholds.back_door.requests=100",
    ];
    let summary = shipped("back-door", &sets).await;
    for operation in ["dates", "seats", "reserve", "pay", "account"] {
        let row = row(&summary, "strangers", operation);
        assert_eq!(
            (&row["ok"], &row["errors"]),
            (&0.into(), &0.into()),
            "{row}"
        );
        assert!(row["refused"].as_u64() > Some(0));
    }
    assert!(row(&summary, "strangers", "register")["ok"].as_u64() > Some(0));
}

#[tokio::test]
async fn a_used_up_token_is_refused_everywhere() {
    let sets = ["users=300", "admission.batch=60"];
    let summary = shipped("token-replay", &sets).await;
    let pay = row(&summary, "replayers", "pay");
    assert_eq!((&pay["ok"], &pay["refused"]), (&100.into(), &100.into()));
    assert_eq!(
        summary["audit"]["seatsSold"],
        summary["audit"]["reservationsPaid"]
    );
}

#[tokio::test]
async fn latecomers_come_after_earlier_users() {
    let sets = [
        "users=300",
        "admission.batch=60",
        "traffic.latecomers.users=220",
        "traffic.latecomers.arrival.to=80",
        "thresholds.latecomers.requests=200",
    ];
    let summary = shipped("late-surge", &sets).await;
    assert_eq!(summary["fairness"]["inversions"], 0);
    // The scenario's schedule: 20 users at 20 per second, 160 at 80, 40 at 20, whatever the server does.
    let registered = &row(&summary, "latecomers", "register")["ok"];
    assert_eq!(registered.as_u64(), Some(220));
}

#[tokio::test]
async fn a_storm_of_polls_causes_no_errors() {
    let sets = [
        "users=300",
        "admission.batch=60",
        "traffic.refreshers.users=50",
        "traffic.refreshers.lasts=4s",
        "thresholds.refreshers.requests=500",
    ];
    let summary = shipped("refresh-storm", &sets).await;
    let polls = row(&summary, "refreshers", "poll");
    assert_eq!(polls["errors"], 0);
}

fn options_of(crowd: &str) -> RunOptions {
    let scenario = format!(
        "{{ title: t, dataset: none, users: 0, admission: {{ batch: 1, every: 1s }}, \
         limits: {{ duration: 20s }}, http: {{ request_timeout: 2s }}, traffic: {{ crowd: {crowd} }} }}"
    );
    RunOptions::new(Scenario::parse("t", &scenario, &[]).unwrap())
}

#[tokio::test]
async fn an_open_executor_keeps_its_schedule_and_drops_what_it_cannot_begin() {
    // The server never answers, so no more than `at_once` arrivals can begin.
    let server = Mimic::start(Manner::Hangs);
    let arrivals = "{ executor: open, users: 100, at_once: 10, lasts: 1s, \
        arrival: { shape: constant, rate: 100 }, journeys: [{ steps: [{ call: concerts }] }] }";
    let url = &server.target().api_urls[0];
    let measured = measure_traffic(url, &options_of(arrivals)).await.unwrap();
    assert_eq!(measured.frame.dropped, [0, 90]);
    let errors = measured
        .frame
        .count(1, &[Operation::Concerts], Class::Error);
    assert_eq!(errors, 10);
}

#[tokio::test]
async fn dropped_arrivals_fail_the_run() {
    let server = Mimic::start(Manner::Good);
    let traffic = "traffic: { crowd: { executor: open, users: 50, at_once: 1, lasts: 500ms, \
        arrival: { shape: constant, rate: 100 }, \
        journeys: [{ steps: [{ call: register, expect: [201, 409] }, { call: poll, think: 300ms }] }] } }";
    let summary = with_traffic(&server, traffic).await;
    assert_eq!(outcome(&summary, "dropped"), Outcome::Missed);
    assert_eq!(summary.verdict, Verdict::Failed);
    assert!(summary.dropped["crowd"] > 10, "{:?}", summary.dropped);
}

async fn with_traffic(server: &Mimic, traffic: &str) -> Summary {
    let text = format!("{}{traffic}\n", super::load_run::SCENARIO);
    let mut options = super::load_run::options(&[]);
    options.scenario = Scenario::parse("test", &text, &[]).unwrap();
    concertctl::load::start(server.target(), options)
        .join()
        .await
        .unwrap()
}

#[tokio::test]
async fn buyers_who_arrive_on_schedule_complete_their_journeys() {
    for phase in ["register", "open"] {
        let server = Mimic::start(Manner::Good);
        let arrival = [
            "users=60",
            "arrival.shape=poisson",
            "arrival.rate=200",
            &format!("arrival.phase={phase}"),
        ];
        let summary = run(&server, &arrival).await;
        assert_eq!(summary.verdict, Verdict::Passed, "{:?}", summary.reasons);
        let through = users(&summary, UserState::Paid) + users(&summary, UserState::WithoutSeat);
        assert_eq!(through, 60, "{phase}");
    }
}

#[tokio::test]
async fn the_self_check_detects_the_stall() {
    let check = concertctl::load::self_check::self_check().await.unwrap();
    assert!(check.problems().is_empty(), "{check:?}");
    assert!(check.service_p99 < Duration::from_millis(500), "{check:?}");
}
