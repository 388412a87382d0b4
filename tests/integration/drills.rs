//! `concertctl drill` as people run it: a server of its own, real traffic, real faults, its exit codes.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::support::eventually;
use super::support::process::concertctl;

/// A drill that is over soon: what `fault` does to the traffic, and what is expected.
pub(super) fn drill(fault: &str, expect: &str) -> String {
    format!(
        "title: A test\nload: onsale-short\n\
         set: {{ admission.batch: 10, admission.every: 1s, limits.duration: 3m, generator.lag_p99: 10s }}\n\
         hypothesis: {{ buying.p95: 500ms, buying.error_rate: 0.001, for: 2s }}\n\
         injects:\n  - at: 1s\n    fault: {fault}\n    cause: {{ component: c, mechanism: m }}\n    expect: {expect}\n"
    )
}

pub(super) fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = concertctl();
    command.arg("drill").args(args).env("TMPDIR", dir);
    command
}

fn run(dir: &Path, text: &str, more: &[&str]) -> (Output, Value) {
    let (file, json) = (dir.join("drill.yaml"), dir.join("report.json"));
    std::fs::write(&file, text).unwrap();
    let (file, json) = (file.to_str().unwrap(), json.to_str().unwrap());
    let output = command(dir, &[&[file, "--report", json], more].concat())
        .output()
        .unwrap();
    let document = std::fs::read(json).map(|bytes| serde_json::from_slice(&bytes).unwrap());
    let document: Value = document.unwrap_or_default();
    (output, document["drills"].clone())
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Names in `dir` of data directories that a drill made.
fn left_behind(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("concertctl-drill-"))
        .count()
}

#[test]
fn a_fault_is_noticed_told_and_over_and_the_report_says_when() {
    let dir = tempfile::tempdir().unwrap();
    let text = drill(
        "{ kind: errors, share: 0.5, for: 10s }",
        "{ fires: { HighErrorRate: 10s }, may_fire: [ErrorBudgetBurnFast, ErrorBudgetBurnSlow], notified: 5s, recovered: 20s }",
    );
    let (output, reports) = run(dir.path(), &text, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let report = &reports[0];
    assert_eq!(report["verdict"], "passed");
    let fires = &report["expectations"][0];
    let (measured, predicted) = (fires["measured"].as_f64(), fires["predicted"].as_f64());
    assert!(Some(0.0) < measured && predicted > Some(0.0), "{fires}");
    let rule = fires["rule"].as_str().unwrap();
    assert!(
        rule.starts_with("otel/prometheus/alerts.yml:") && !rule.ends_with(":0"),
        "{rule}"
    );
    assert_eq!(
        left_behind(dir.path()),
        0,
        "the server's data goes with the drill"
    );
}

#[test]
fn an_alert_that_does_not_come_fails_the_drill_with_the_place_of_its_rule() {
    let dir = tempfile::tempdir().unwrap();
    // The shipped rules, with one that asks for a metric that is not there.
    let rules = dir.path().join("rules.yml");
    let shipped = include_str!("../../otel/prometheus/alerts.yml");
    let broken = shipped.replace(
        "job:concert_buying_errors:rate15s / job:concert_buying_requests:rate15s > 0.01",
        "gone / job:concert_buying_requests:rate15s > 0.01",
    );
    assert_ne!(shipped, broken);
    std::fs::write(&rules, broken).unwrap();
    let text = drill(
        "{ kind: errors, share: 0.5, for: 5s }",
        "{ fires: { HighErrorRate: 8s }, may_fire: [ErrorBudgetBurnFast, ErrorBudgetBurnSlow] }",
    );
    let (output, reports) = run(dir.path(), &text, &["--rules", rules.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(99), "{}", told(&output));
    let reason = reports[0]["reasons"][0].as_str().unwrap();
    assert!(
        reason.starts_with("HighErrorRate fires: did not happen"),
        "{reason}"
    );
    assert!(reason.contains("rules.yml:"), "{reason}");
}

#[test]
fn a_killed_server_comes_back_and_serves() {
    let dir = tempfile::tempdir().unwrap();
    let text = drill(
        "{ kind: kill_server, for: 2s }",
        "{ recovered: 30s, may_fire: [ServerRestarted] }",
    );
    let (output, reports) = run(dir.path(), &text, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let seconds = reports[0]["seconds"].as_array().unwrap();
    let failed = seconds.iter().filter(|second| second[2].as_u64() > Some(0));
    assert!(failed.count() > 0, "users notice that their server is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_outlasts_a_drill_that_is_killed_while_its_server_is_frozen() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("drill.yaml");
    let text = drill("{ kind: freeze_server, for: 5m }", "{ recovered: 30s }");
    std::fs::write(&file, text).unwrap();
    let mut running = command(dir.path(), &[file.to_str().unwrap()])
        .spawn()
        .unwrap();
    eventually("the server is frozen", || async {
        stopped_servers(dir.path()).first().map(|_| ())
    })
    .await;
    running.kill().unwrap();
    running.wait().unwrap();
    eventually("server and data are gone", || async {
        let gone = left_behind(dir.path()) == 0 && servers(dir.path()).is_empty();
        gone.then_some(())
    })
    .await;
}

/// The processes whose command line names a directory in `dir`.
fn servers(dir: &Path) -> Vec<u32> {
    let dir = dir.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let names = |id: &u32| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("serve\0") && line.contains(dir)
    };
    ids.filter(names).collect()
}

fn stopped_servers(dir: &Path) -> Vec<u32> {
    let is_stopped = |id: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        status.contains("State:\tT")
    };
    servers(dir).into_iter().filter(is_stopped).collect()
}

#[test]
fn what_cannot_be_judged_is_refused_before_anything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let fault = "{ kind: latency, delay: 1s, for: 20s }";
    let cases = [
        (
            drill(fault, "{ fires: { SlowBuing: 30s } }"),
            "did you mean `SlowBuying`",
        ),
        (
            drill(fault, "{ fires: { SlowBuying: 2s } }"),
            "below the worst case",
        ),
        (drill(fault, "{}"), "expects nothing"),
        (
            drill("{ kind: redis_cut, for: 5s }", "{ recovered: 5s }")
                .replace("onsale-short", "nowhere"),
            "no such scenario",
        ),
    ];
    for (text, problem) in cases {
        let (output, _) = run(dir.path(), &text, &[]);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(told(&output).contains(problem), "{}", told(&output));
    }
}

#[test]
fn a_fault_that_the_server_cannot_have_is_inconclusive() {
    let dir = tempfile::tempdir().unwrap();
    let text = drill("{ kind: redis_cut, for: 5s }", "{ recovered: 30s }");
    let (output, reports) = run(dir.path(), &text, &[]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let reason = reports[0]["reasons"][0].as_str().unwrap();
    assert!(reason.contains("there is no Redis to cut off"), "{reason}");
}

#[test]
fn the_schema_of_drills_is_the_one_that_is_kept_and_the_shipped_ones_keep_it() {
    let kept = include_str!("../../scenarios/drill.schema.json");
    let made = concertctl::drill::file::json_schema();
    assert!(
        kept == made,
        "write it anew: concertctl drill --schema > scenarios/drill.schema.json"
    );
    let validator = jsonschema::validator_for(&serde_json::from_str(kept).unwrap()).unwrap();
    for (name, text) in concertctl::drill::file::shipped() {
        let instance: Value = serde_saphyr::from_str(text).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&instance)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

#[test]
fn the_schema_of_reports_is_the_one_that_is_kept() {
    let kept = include_str!("../../docs/schema/drill-report.schema.json");
    let made = concertctl::drill::report::json_schema();
    assert!(
        kept == made,
        "write it anew: concertctl drill --report-schema > docs/schema/drill-report.schema.json"
    );
}

#[test]
fn a_report_that_could_not_be_written_or_compared_is_refused_before_the_drill() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("none.json");
    std::fs::write(&none, "[1]").unwrap();
    let none = none.to_str().unwrap();
    for (args, problem) in [
        (
            &["quiet", "--report", "/no/such/place/x.html"][..],
            "no directory",
        ),
        (&["quiet", "--report", "x.pdf"], ".html, .md or .json"),
        (&["quiet", "--baseline", none], "holds no report of a drill"),
        (&["--from", none], "holds no report of a drill"),
        (&["--from", "/no/such/file.json"], "cannot be read"),
    ] {
        let output = command(dir.path(), args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(told(&output).contains(problem), "{}", told(&output));
    }
}
