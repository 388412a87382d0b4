//! Every kind of line in a server's log matches the schema in `docs/schema`.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::Value;

use crate::support::process::{ServerProcess, concertctl};
use crate::support::{User, profile, seed};

/// The span of a caller, for the second request.
const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The log of a server that started, refused a request without a dataset (5xx), seeded, served requests with and
/// without a caller's trace, answered an unknown route, and stopped.
async fn lines() -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log");
    let mut command = concertctl();
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let flags = [
        "--log",
        "debug",
        "--slow-query",
        "0s",
        "--trace-ratio",
        "1",
        "--log-file",
    ];
    let mut flags: Vec<&str> = flags.to_vec();
    flags.push(file.to_str().unwrap());
    let server = ServerProcess::with(command, dir.path(), &flags).await;
    let mut user = server.user(1);
    assert_eq!(user.register().await.status, 503);
    seed(&server.ops, &profile(1, 10, 20)).await;
    assert_eq!(user.register().await.status, 201);
    let call = server.user(2).call(Method::POST, "/queue");
    let call = call.header("traceparent", CALLER);
    let called = User::send(call.json(&serde_json::json!({ "userId": 2 }))).await;
    assert_eq!(called.status, 201, "{called:?}");
    assert_eq!(user.get("/nowhere").await.status, 404);
    server.terminate();
    assert!(server.exited().await.success());
    let text = std::fs::read_to_string(file).unwrap();
    let parsed = text.lines().map(|line| serde_json::from_str(line).unwrap());
    parsed.collect()
}

#[tokio::test]
async fn lines_of_every_kind_match_the_schema_and_only_roots_have_no_parent() {
    let schema = include_str!("../../docs/schema/log.schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let lines = lines().await;
    for line in &lines {
        let wrong: Vec<String> = schema.iter_errors(line).map(|it| it.to_string()).collect();
        assert!(wrong.is_empty(), "{line}: {wrong:?}");
    }
    let kinds: BTreeSet<&str> = lines.iter().filter_map(|it| it["level"].as_str()).collect();
    for level in ["DEBUG", "INFO", "WARN", "ERROR"] {
        assert!(kinds.contains(level), "no line at {level}");
    }
    assert!(lines.iter().any(|it| it["message"] == "slow query"));
    parents_are_right(&lines);
}

fn parents_are_right(lines: &[Value]) {
    let mut spans: BTreeMap<&str, BTreeMap<&str, Option<&str>>> = BTreeMap::new();
    for line in lines {
        if let (Some(trace), Some(span)) = (line["trace_id"].as_str(), line["span_id"].as_str()) {
            let parent = line["parent_span_id"].as_str();
            let before = spans.entry(trace).or_default().insert(span, parent);
            assert!(
                before.is_none_or(|before| before == parent),
                "{line}: was {before:?}"
            );
        }
    }
    assert!(spans.len() >= 4, "{spans:?}");
    for (trace, spans) in spans {
        let roots: Vec<&str> = spans
            .iter()
            .filter(|it| it.1.is_none())
            .map(|it| *it.0)
            .collect();
        if trace == &CALLER[3..35] {
            assert!(roots.is_empty(), "the caller's span is the root: {spans:?}");
            assert!(
                spans
                    .values()
                    .any(|parent| *parent == Some(&CALLER[36..52])),
                "{spans:?}"
            );
        } else {
            assert_eq!(roots.len(), 1, "{trace}: {spans:?}");
            let known = |parent: &&str| spans.contains_key(*parent);
            assert!(spans.values().flatten().all(known), "{spans:?}");
        }
    }
}
