//! Drills that are refused before they send anything, and the schemas of drills and reports.

use serde_json::Value;

use super::{command, drill, run, stderr};

#[test]
fn an_expectation_that_cannot_be_judged_is_refused_before_any_request() {
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
            drill("{ kind: clock_step, for: 5s }", "{ recovered: 5s }"),
            "seconds is missing",
        ),
        (
            drill(
                "{ kind: disk_full, delay: 1s, for: 5s }",
                "{ recovered: 5s }",
            ),
            "delay is no setting of this fault",
        ),
        (
            drill("{ kind: redis_cut, for: 5s }", "{ recovered: 5s }")
                .replace("onsale-short", "nowhere"),
            "no such scenario",
        ),
    ];
    for (text, problem) in cases {
        let (output, _) = run(dir.path(), &text, &[]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(problem), "{}", stderr(&output));
    }
}

#[test]
fn a_mistake_about_the_rules_is_reported_with_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let fault = "{ kind: latency, delay: 1s, for: 20s }";
    for alert in ["SlowBuing: 30s", "SlowBuying: 2s"] {
        let text = drill(fault, &format!("{{ fires: {{ {alert} }} }}"));
        let (output, _) = run(dir.path(), &text, &[]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let line = text.lines().position(|line| line.contains(alert)).unwrap() + 1;
        let place = format!("drill.yaml:{line}:");
        let error = stderr(&output);
        assert!(error.contains(&place), "{error}");
        assert!(error.contains("injects.0.expect.fires."), "{error}");
    }
}

#[test]
fn the_shipped_drills_for_real_programs_are_valid() {
    let dir = tempfile::tempdir().unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/real-stack");
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    // Drills for several servers are in a separate folder.
    let files: Vec<_> = files.filter(|path| path.is_file()).collect();
    let mut args = vec!["--plan", "--allow-commands"];
    args.extend(files.iter().map(|path| path.to_str().unwrap()));
    let output = command(dir.path(), &args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let plans = String::from_utf8(output.stdout).unwrap();
    for path in &files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(plans.contains(&format!("{name}: ")), "{name}: {plans}");
    }
}

#[test]
fn a_fault_that_the_store_does_not_support_is_refused_with_line_and_field() {
    let dir = tempfile::tempdir().unwrap();
    for (fault, problem) in [
        (
            "{ kind: redis_cut, for: 5s }",
            "drill a running system with Redis",
        ),
        (
            "{ kind: lose_one_of_n, run: 'true', undo: 'true', for: 5s }",
            "drill a running system with PostgreSQL and Redis (--target URL,URL)",
        ),
    ] {
        let text = drill(fault, "{ recovered: 30s }");
        let line = text.lines().position(|line| line.contains(fault)).unwrap() + 1;
        for more in [&["--allow-commands"][..], &["--allow-commands", "--plan"]] {
            let (output, _) = run(dir.path(), &text, more);
            assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
            let error = stderr(&output);
            assert!(error.contains(&format!("drill.yaml:{line}:")), "{error}");
            assert!(error.contains("injects.0.fault.kind"), "{error}");
            assert!(error.contains(problem), "{error}");
        }
    }
}

#[test]
fn the_schema_of_drills_matches_its_file_and_the_shipped_drills() {
    let kept = include_str!("../../../scenarios/drill.schema.json");
    let made = concertctl::drill::file::json_schema();
    assert!(
        kept == made,
        "write it again: concertctl drill --schema > scenarios/drill.schema.json"
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
fn the_schema_of_reports_matches_its_file() {
    let kept = include_str!("../../../docs/schema/drill-report.schema.json");
    let made = concertctl::drill::report::json_schema();
    assert!(
        kept == made,
        "write it again: concertctl drill --report-schema > docs/schema/drill-report.schema.json"
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
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(problem), "{}", stderr(&output));
    }
}
