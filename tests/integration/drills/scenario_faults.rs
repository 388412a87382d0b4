//! Faults of a rehearsal's scenario.

use std::path::Path;

use serde_json::Value;

use crate::support::process::{concertctl, finish};

/// Runs `concertctl load` on a short sale with `faults`. Returns its exit code and its summary.
async fn rehearse(dir: &Path, faults: &str) -> (Option<i32>, Value) {
    let file = dir.join("scenario.yaml");
    let short = include_str!("../../../scenarios/onsale-short.yaml");
    std::fs::write(&file, format!("{short}\nfaults:\n{faults}")).unwrap();
    let mut command = concertctl();
    command
        .arg("load")
        .arg(&file)
        .args(["--embedded", "--json", "--quiet"]);
    for setting in ["users=300", "admission.batch=20", "generator.lag_p99=60s"] {
        command.args(["--set", setting]);
    }
    let ended = finish(command).await;
    let summary = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    (ended.code, summary)
}

#[tokio::test]
async fn a_scenario_with_a_fault_shows_it_in_the_timeline() {
    let dir = tempfile::tempdir().unwrap();
    let faults = "  - { at: 1s..2s, fault: { kind: errors, share: 1, status: 503, for: 3s } }\n";
    let (code, summary) = rehearse(dir.path(), faults).await;
    assert_eq!(code, Some(99), "{}", summary["reasons"]);
    let marks = summary["marks"].as_array().unwrap();
    let mark = marks.iter().find(|mark| mark["kind"] == "fault").unwrap();
    assert_eq!(mark["text"], "errors for 3s");
    let reasons = summary["reasons"].to_string();
    assert!(reasons.contains("buying.error_rate missed"), "{reasons}");
}

#[tokio::test]
async fn a_rehearsal_without_the_fault_that_it_asks_for_is_inconclusive() {
    let dir = tempfile::tempdir().unwrap();
    let faults = "  - { at: 1s, fault: { kind: redis_cut, for: 2s } }\n\
                  \x20 - { at: 9m, fault: { kind: latency, delay: 1s, for: 2s } }\n";
    let (code, summary) = rehearse(dir.path(), faults).await;
    let reasons = summary["reasons"].to_string();
    assert_eq!(code, Some(3), "{reasons}");
    assert!(
        reasons.contains("redis_cut could not be injected"),
        "{reasons}"
    );
    assert!(
        reasons.contains("over before the fault latency"),
        "{reasons}"
    );
}
