//! The findings of a drill: alerts, recovery, the reasons why it is inconclusive, and its report. Also a killed server,
//! a closed reader of the progress, and a drill run by `concertctl load`.

use serde_json::Value;

use super::{command, drill, left_behind, run, stderr};
use crate::support::process::concertctl;

#[test]
fn a_report_has_the_times_of_detection_notification_and_recovery() {
    let dir = tempfile::tempdir().unwrap();
    let text = drill(
        "{ kind: errors, share: 0.5, for: 10s }",
        "{ fires: { HighErrorRate: 10s }, may_fire: [ErrorBudgetBurnFast, ErrorBudgetBurnSlow], notified: 5s, recovered: 60s }",
    );
    let progress = dir.path().join("progress");
    let progress = ["--progress", progress.to_str().unwrap()];
    let (output, reports) = run(dir.path(), &text, &progress);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
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
        "the drill deletes its server's data"
    );
    let kept: Vec<_> = std::fs::read_dir(dir.path().join("data/drills"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let kept: Value = serde_json::from_slice(&std::fs::read(&kept[0]).unwrap()).unwrap();
    assert_eq!(&kept, report, "the report is kept");
    let progress = std::fs::read_to_string(dir.path().join("progress")).unwrap();
    let lines: Vec<Value> = progress
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let steps = lines
        .iter()
        .filter_map(|line| line["progress"]["step"].as_str());
    let mut steps: Vec<&str> = steps.collect();
    steps.dedup();
    let all = [
        "starting",
        "opening",
        "steady",
        "waiting",
        "fault",
        "following",
        "ending",
    ];
    // A step that is shorter than the interval between two lines is not reported.
    let places = steps
        .iter()
        .map(|step| all.iter().position(|one| one == step));
    assert!(
        places.is_sorted_by_key(|place| place.expect("a step")),
        "{steps:?}"
    );
    assert!(steps.contains(&"fault"), "{steps:?}");
    assert_eq!(&lines.last().unwrap()["report"], report);
}

#[test]
fn a_drill_ends_with_its_server_when_the_reader_of_its_progress_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("drill.yaml");
    let text = drill(
        "{ kind: errors, share: 0.5, for: 5m }",
        "{ recovered: 30s }",
    );
    std::fs::write(&file, text).unwrap();
    let mut running = command(dir.path(), &["--progress", "-", file.to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(running.stdout.take().unwrap()));
    let is_fault = |line: std::io::Result<String>| line.unwrap().contains(r#""step":"fault""#);
    assert!(lines.any(is_fault));
    drop(lines);
    // The drill ended by itself, long before the end of its fault.
    assert_eq!(running.wait().unwrap().code(), Some(3));
    assert_eq!(left_behind(dir.path()), 0);
}

#[test]
fn an_alert_that_does_not_come_fails_the_drill_and_the_reason_names_its_rule() {
    let dir = tempfile::tempdir().unwrap();
    // The shipped rules, with one changed so that it queries a missing metric.
    let rules = dir.path().join("rules.yml");
    let shipped = include_str!("../../../otel/prometheus/alerts.yml");
    let broken = shipped.replace(
        "job:concert_buying_errors:rate15s / job:concert_buying_requests:rate15s > 0.01",
        "gone / job:concert_buying_requests:rate15s > 0.01",
    );
    assert_ne!(shipped, broken);
    std::fs::write(&rules, broken).unwrap();
    // The traffic ends long before the budget of `resolved`, which nothing can use any more.
    let text = drill(
        "{ kind: errors, share: 0.5, for: 5s }",
        "{ fires: { HighErrorRate: 8s }, resolved: 3m, may_fire: [ErrorBudgetBurnFast, ErrorBudgetBurnSlow] }",
    );
    let text = text.replace("admission.batch: 10,", "admission.batch: 20, users: 1200,");
    let (output, reports) = run(dir.path(), &text, &["--rules", rules.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(99), "{}", stderr(&output));
    let reason = reports[0]["reasons"][0].as_str().unwrap();
    assert!(
        reason.starts_with("HighErrorRate fires: did not happen"),
        "{reason}"
    );
    assert!(reason.contains("rules.yml:"), "{reason}");
    // With the same broken rule, a drill passes if it expects only the alert of another rule.
    let other = drill(
        "{ kind: errors, share: 0.5, for: 5s }",
        "{ fires: { ErrorBudgetBurnFast: 8s }, may_fire: [HighErrorRate, ErrorBudgetBurnSlow] }",
    );
    let (output, _) = run(dir.path(), &other, &["--rules", rules.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_killed_server_comes_back_and_serves() {
    let dir = tempfile::tempdir().unwrap();
    let text = drill(
        "{ kind: kill_server, for: 2s }",
        "{ recovered: 30s, may_fire: [ServerRestarted] }",
    );
    let (output, reports) = run(dir.path(), &text, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let seconds = reports[0]["seconds"].as_array().unwrap();
    let failed = seconds.iter().filter(|second| second[2].as_u64() > Some(0));
    assert!(
        failed.count() > 0,
        "users notice that their server was killed"
    );
}

#[test]
fn a_drill_without_evidence_about_the_response_is_inconclusive() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.yml");
    let always = "groups:\n- name: a\n  rules:\n  - alert: HighErrorRate\n    expr: vector(1)\n";
    std::fs::write(&rules, always).unwrap();
    let rules = ["--rules", rules.to_str().unwrap()];
    let fault = "{ kind: errors, share: 0.5, for: 5s }";
    let fires = drill(fault, "{ fires: { HighErrorRate: 10s } }");
    let recovers = drill(fault, "{ recovered: 30s }");
    let (setting, _) = recovers.split_once("injects:").unwrap();
    let quiet = format!("{setting}watch: 2s\n");
    let too_late = recovers
        .replace("set: {", "set: { users: 2,")
        .replace("at: 1s", "at: 5m");
    for (text, more, reason) in [
        (fires, &rules[..], "HighErrorRate fired before the fault"),
        (quiet, &rules[..], "HighErrorRate fired before the watch"),
        (too_late, &[], "the traffic ended before the drill"),
    ] {
        let (output, reports) = run(dir.path(), &text, more);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let reasons = reports[0]["reasons"].to_string();
        assert!(reasons.contains(reason), "{reasons}");
    }
    // An alert that fired before a fault makes the drill inconclusive only if the inject lists it under `fires`. This
    // one lists none.
    let (output, _) = run(dir.path(), &recovers, &rules);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn load_runs_a_drill_file_like_the_drill_command() {
    let dir = tempfile::tempdir().unwrap();
    let quiet = "title: Quiet\nload: onsale-short\nwatch: 2s\nhost_busy: 1\n\
         set: { users: 200, admission.batch: 2, admission.every: 1s, generator.lag_p99: 60s }\n\
         hypothesis: { buying.p95: 20s, buying.error_rate: 0.001, for: 2s }\n\
         may_fire: [SlowBuying, SlowStatements, ConnectionWaitHigh, HostCpuBusy, HostLoadHigh]\n";
    let file = dir.path().join("quiet.yaml");
    std::fs::write(&file, quiet).unwrap();
    let file = file.to_str().unwrap();
    let load = |args: &[&str]| {
        let mut command = concertctl();
        command.arg("load").args(args).env("TMPDIR", dir.path());
        command.env("CONCERTCTL_DATA_DIR", dir.path().join("data"));
        command.output().unwrap()
    };
    for name in [file, "slow-charge"] {
        let planned = command(dir.path(), &[name, "--plan"]).output().unwrap();
        assert!(!planned.stdout.is_empty());
        assert_eq!(load(&[name, "--plan"]).stdout, planned.stdout, "{name}");
    }
    let printed = command(dir.path(), &["--print", "slow-charge"])
        .output()
        .unwrap();
    assert_eq!(
        load(&["--print-scenario", "slow-charge"]).stdout,
        printed.stdout
    );
    let output = load(&[file]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("verdict  passed"),
        "{}",
        stderr(&output)
    );

    let wrong = dir.path().join("wrong.yaml");
    std::fs::write(&wrong, format!("{quiet}wach: 3s\n")).unwrap();
    let wrong = wrong.to_str().unwrap();
    for (args, problem) in [
        (
            &[file, "--shard", "1/2"][..],
            "a drill, to which --shard does not apply",
        ),
        (&[wrong], "wrong.yaml:8:"),
    ] {
        let output = load(args);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(problem), "{}", stderr(&output));
    }
}
