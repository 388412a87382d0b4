//! Runs in parts and their merge, the comparison with an earlier run, and the schemas of summaries, profiles and
//! scenarios.

use std::path::Path;

use serde_json::Value;

use crate::support::process::{Ended, Running, ServerProcess, concertctl, finish};
use crate::support::{profile, seed, token_of};

const SCENARIO: &str = "\
title: parts
dataset: test
users: 300
admission: { batch: 60, every: 200ms }
think: { dates: 0s..50ms, reserve: exp 20ms }
generator: { lag_p99: 60s }
http: { request_timeout: 60s }
limits: { duration: 2m }
traffic:
  others: { executor: closed, users: 6, lasts: 1s, journeys: [{ steps: [{ call: concerts, think: 10ms }] }] }
thresholds:
  buying: { operations: [dates, seats, reserve, charge, pay], p95: 60s, error_rate: 0 }
  others: { requests: 6, error_rate: 0 }
  oversold: 0
  lost: 0
  unfinished: 0
";

struct Place {
    dir: tempfile::TempDir,
    server: ServerProcess,
}

impl Place {
    async fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let server = ServerProcess::start(dir.path(), &[]).await;
        let place = Place { dir, server };
        place.fresh().await;
        std::fs::write(place.path("parts.yaml"), SCENARIO).unwrap();
        place
    }

    /// Seeds an unused dataset.
    async fn fresh(&self) {
        seed(&self.server.ops, &profile(4, 100, 400)).await;
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn begin(&self, args: &[&str]) -> Running {
        let mut command = concertctl();
        command.arg("load").arg(self.path("parts.yaml"));
        command.args(["--quiet", "--target", &self.server.api]);
        command.args(["--ops-url", &self.server.ops_url]).args(args);
        command.env("CONCERTCTL_OPS_TOKEN", token_of(self.dir.path()));
        Running::start(command)
    }

    async fn merge(&self, parts: &[&str], more: &[&str]) -> Ended {
        let mut command = concertctl();
        command.args(["load", "merge"]);
        command
            .args(parts.iter().map(|part| self.path(part)))
            .args(more);
        finish(command).await
    }
}

fn read(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn ok(summary: &Value, operation: &str) -> u64 {
    let rows = summary["operations"].as_array().unwrap().iter();
    let rows = rows.filter(|row| row["operation"] == operation);
    rows.map(|row| row["ok"].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_share_a_run_and_their_summaries_merge() {
    let place = Place::new().await;
    let names = ["1.json", "2.json", "3.json"];
    let mut running = Vec::new();
    // The last part starts first, because the parts wait for each other in any order.
    for (at, name) in names.iter().enumerate().rev() {
        let shard = format!("{}/3", at + 1);
        running.push(place.begin(&["--shard", &shard, "--out", &place.path(name)]));
    }
    for run in running {
        let ended = run.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let out = place.path("whole.json");
    let merged = place.merge(&names, &["--out", &out]).await;
    assert_eq!(merged.code, Some(0), "{merged:?}");
    let (whole, parts) = (read(&out), names.map(|name| read(&place.path(name))));
    assert_eq!(whole["shards"].as_array().unwrap().len(), 3);
    for operation in ["register", "poll", "reserve", "pay", "concerts"] {
        let sum: u64 = parts.iter().map(|part| ok(part, operation)).sum();
        assert_eq!(ok(&whole, operation), sum, "{operation}");
    }
    assert_eq!(ok(&whole, "register"), 300);
    assert_eq!(whole["users"]["paid"], whole["audit"]["seatsSold"]);
    let missing = place.merge(&["1.json", "3.json"], &[]).await;
    missing.failed_with(2, &["the part 2/3 is missing"]);
    let twice = place.merge(&["1.json", "1.json", "2.json"], &[]).await;
    twice.failed_with(2, &["1/3 is there twice"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_compared_with_an_earlier_one_of_its_kind() {
    let place = Place::new().await;
    let (before, after) = (place.path("before.json"), place.path("after.json"));
    let ended = place.begin(&["--out", &before]).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // Makes the baseline a thousand times faster than it was.
    let mut quick = read(&before);
    for row in quick["operations"].as_array_mut().unwrap() {
        for field in ["p50", "p95", "p99"] {
            let value = &mut row["latency"][field];
            *value = (value.as_f64().unwrap_or(0.0) / 1e3).into();
        }
    }
    std::fs::write(place.path("quick.json"), quick.to_string()).unwrap();
    place.fresh().await;
    let quick = place.path("quick.json");
    let args = [
        "--baseline",
        &quick,
        "--fail-on-regression",
        "--out",
        &after,
    ];
    let ended = place.begin(&args).ended().await;
    assert_eq!(ended.code, Some(99), "{ended:?}");
    assert!(
        ended.stdout.contains("worse than the baseline"),
        "{ended:?}"
    );
    let compared = read(&after)["baseline"]["compared"].clone();
    let worse = compared.as_array().unwrap().iter();
    let worse: Vec<&str> = worse
        .filter(|it| it["change"] == "worse")
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert!(worse.contains(&"poll.p50"), "{worse:?}");

    place.fresh().await;
    let other = ["--set", "users=200", "--baseline", &before];
    let ended = place.begin(&other).ended().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("another kind of run"), "{ended:?}");
}

#[tokio::test]
async fn a_baseline_that_is_not_a_summary_is_refused_before_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.json");
    for (text, mistake) in [("{", "no summary"), ("{\"schema\": 1}", "version 1")] {
        std::fs::write(&file, text).unwrap();
        let mut command = concertctl();
        command.args(["load", "--baseline"]).arg(&file);
        finish(command)
            .await
            .failed_with(2, &["--baseline", mistake]);
    }
}

fn schema(path: &str) -> (Value, String) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(file).unwrap();
    (serde_json::from_str(&text).unwrap(), text)
}

#[test]
fn the_kept_schema_of_summaries_is_current_and_a_summary_matches_it() {
    let (kept, text) = schema("docs/schema/summary.schema.json");
    let made = concertctl::load::summary::json_schema();
    assert!(
        text == made,
        "regenerate it: concertctl load --summary-schema > docs/schema/summary.schema.json"
    );
    let server = super::load_mimic::Mimic::start(super::load_mimic::Manner::Good);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let summary = runtime.block_on(super::load_run::run(&server, &["users=20"]));
    let summary: Value = serde_json::from_str(&summary.to_json()).unwrap();
    let validator = jsonschema::validator_for(&kept).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&summary)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let mut wrong = summary.clone();
    wrong["verdict"] = "splendid".into();
    assert!(!validator.is_valid(&wrong));
}

#[test]
fn the_kept_schema_of_profiles_is_current() {
    let (_, text) = schema("seed/profile.schema.json");
    assert!(
        text == concertctl::seeding::Profile::json_schema(),
        "regenerate it: concertctl seed --profile-schema > seed/profile.schema.json"
    );
}

#[test]
fn the_kept_schema_of_scenarios_is_current_and_the_shipped_ones_match_it() {
    let (kept, text) = schema("scenarios/scenario.schema.json");
    let made = concertctl::load::scenario::json_schema();
    assert!(
        text == made,
        "regenerate it: concertctl load --scenario-schema > scenarios/scenario.schema.json"
    );
    let validator = jsonschema::validator_for(&kept).unwrap();
    let instance = |text: &str| -> Value { serde_saphyr::from_str(text).unwrap() };
    for shipped in concertctl::load::scenario::builtins() {
        let errors: Vec<String> = validator
            .iter_errors(&instance(shipped.text))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", shipped.name);
    }
    let staged = "{ title: t, dataset: d, users: 1, admission: { batch: 1, every: 1m30s },
        arrival: { shape: ramp, rate: 0, stages: [{ to: 10, over: 1m }] },
        thresholds: { pay: { p90: 1s, p99.9: 2s } } }";
    assert!(validator.is_valid(&instance(staged)));
    for wrong in [
        "{ title: t, dataset: demo, users: 1, admission: { batch: 1, every: 15 } }",
        "{ title: t, dataset: demo, users: 1, admission: { batch: 1, every: 1s }, think: { fly: 1s } }",
        "{ title: t, dataset: demo, users: 1, admission: { batch: 1, every: 1s }, thresholds: { oversold: none } }",
    ] {
        assert!(!validator.is_valid(&instance(wrong)), "{wrong}");
    }
}
