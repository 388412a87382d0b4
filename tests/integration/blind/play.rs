//! A blind drill from end to end: a server of its own, real traffic, a player, the graded report.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use concertctl::clients::ClientError;
use serde_json::Value;

use super::withheld::{naming, of_process};
use crate::drills::command;
use crate::support::{eventually, ops_client};

/// A drill. The player must not see its name and its file.
const DRILL: &str = "title: All requests are slow\nload: onsale-short\nhost_busy: 1\n\
    set: { generator.lag_p99: 60s }\n\
    hypothesis: { buying.p95: 20s, buying.error_rate: 0.001, for: 2s }\n\
    injects:\n  - at: 1s\n    fault: { kind: errors, share: 0.6, for: 10s }\n    \
    cause: { component: server, mechanism: errors }\n    \
    expect: { fires: { HighErrorRate: 30s }, recovered: 30s }\n";

fn player(then: &str) -> String {
    format!("rules:\n  - when: {{ alert: HighErrorRate }}\n    then:\n{then}")
}

/// The player's time: enough for an alert on a busy machine.
const WITHIN: &str = "40s";

struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new(player: &str) -> Files {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret-errors.yaml"), DRILL).unwrap();
        std::fs::write(dir.path().join("player.yaml"), player).unwrap();
        Files { dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// The drill with seed 7.
    fn command(&self, more: &[&str]) -> Command {
        let drill = self.path("secret-errors.yaml");
        let (report, page) = (self.path("report.json"), self.path("report.html"));
        let mut args = vec![&*drill, "--blind", "--seed", "7", "--within", WITHIN];
        args.extend(["--report", &report, "--report", &page]);
        args.extend(more);
        command(self.dir.path(), &args)
    }

    fn scripted(&self) -> (Output, Value) {
        let player = self.path("player.yaml");
        let output = self.command(&["--player", &player]).output().unwrap();
        (output, self.report())
    }

    fn report(&self) -> Value {
        let text = std::fs::read(self.path("report.json")).unwrap();
        let document: Value = serde_json::from_slice(&text).unwrap();
        document["drills"][0].clone()
    }
}

/// Hashes `text` with `sha256sum`, as the command in docs/drills.md hashes the salt and the plan.
fn sha256sum(text: &str) -> String {
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

#[test]
fn the_right_answer_and_mitigation_pass_and_the_plan_has_the_hash_that_was_printed() {
    let right = "      - acknowledge: HighErrorRate\n      - answer: { component: server, mechanism: errors }\n      - mitigate: { clear: errors }\n";
    let files = Files::new(&player(right));
    let (output, report) = files.scripted();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let blind = &report["blind"];
    let text = |field: &str| blind[field].as_str().unwrap().to_owned();
    assert_eq!(blind["componentIsRight"], true);
    assert_eq!(blind["mechanismIsRight"], true);
    let times = ["acknowledged", "localised", "mitigated"].map(|it| blind[it].as_f64().unwrap());
    assert!(times[0] > 0.0 && times.is_sorted(), "{times:?}");
    let lasted = report["faults"][0][1].as_f64().unwrap();
    assert!(
        (lasted - times[2]).abs() < 1.0,
        "the mitigation ended it: {lasted}"
    );

    let hash = sha256sum(&(text("salt") + &text("plan")));
    assert_eq!(hash, text("sha256"));
    let first = stderr.lines().next().unwrap();
    assert!(
        first.ends_with(&hash),
        "printed before anything ran: {first}"
    );
    let plan: Value = serde_json::from_str(&text("plan")).unwrap();
    assert_eq!(
        (&plan["drill"], &plan["seed"]),
        (&"secret-errors".into(), &7.into())
    );
    assert_eq!(plan["injects"][0]["fault"]["kind"], "errors");
    let page = std::fs::read_to_string(files.path("report.html")).unwrap();
    for said in ["The player&#39;s response", "Localised after", &hash] {
        let plain = said.replace("&#39;", "'");
        assert!(page.contains(said) || page.contains(&plain), "{said}");
    }
}

#[test]
fn a_wrong_mitigation_leaves_the_fault_and_a_wrong_answer_fails_the_drill() {
    let wrong = "      - answer: { component: server, mechanism: latency }\n      - mitigate: { clear: latency }\n";
    let files = Files::new(&player(wrong));
    let (output, report) = files.scripted();
    assert_eq!(output.status.code(), Some(99));
    let blind = &report["blind"];
    assert_eq!(blind["componentIsRight"], true);
    assert_eq!(blind["mechanismIsRight"], false);
    assert_eq!(
        (&blind["wrongAnswers"], &blind["wrongMitigations"]),
        (&1.into(), &1.into())
    );
    assert_eq!(blind["mitigated"], Value::Null);
    let lasted = report["faults"][0][1].as_f64().unwrap();
    assert!((lasted - 40.0).abs() < 1.0, "it ended by itself: {lasted}");
    let reasons = report["reasons"].to_string();
    assert!(
        reasons.contains("the mechanism was not named: errors"),
        "{reasons}"
    );
}

#[tokio::test]
async fn the_process_list_and_the_progress_say_nothing_until_the_end() {
    let files = Files::new("");
    let progress = files.path("progress");
    let mut command = files.command(&["--progress", &progress, "--player", "-"]);
    let data = files.path("data");
    // The environment of the user who runs the test may contain any name.
    command
        .env_clear()
        .env("TMPDIR", files.dir.path())
        .env("CONCERTCTL_DATA_DIR", data);
    command.stdin(Stdio::piped()).stderr(Stdio::null());
    let mut drill = crate::support::process::Guard(command.spawn().unwrap());
    let pid = i32::try_from(drill.0.id()).unwrap();
    let log = || std::fs::read_to_string(&progress).unwrap_or_default();
    eventually("people feel the fault", || async {
        log().contains(r#""met":false"#).then_some(())
    })
    .await;
    let mut said = vec![("progress".to_owned(), without_fields(&log()))];
    for pid in family(pid) {
        said.extend(of_process(pid));
    }
    for (place, text) in &said {
        assert_eq!(naming(text), [""; 0], "{place}");
        assert!(!text.contains("secret-errors"), "{place}: {text}");
    }
    let mut player = drill.0.stdin.take().unwrap();
    for line in [
        r#"{"answer":{"component":"server","mechanism":"errors"}}"#,
        r#"{"mitigate":{"clear":"errors"}}"#,
    ] {
        writeln!(player, "{line}").unwrap();
    }
    // After the drill, the same requests find the fault.
    let status = drill.0.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", files.report());
    assert!(!naming(&log()).is_empty());
    assert!(log().contains("secret-errors"));
}

/// A killed server that the guard starts again is another process, without the seal of the first one.
#[tokio::test]
async fn a_server_that_is_back_after_its_time_withholds_faults_until_the_end() {
    let files = Files::new("");
    let kill = DRILL.replace("kind: errors, share: 0.6", "kind: kill_server");
    let kill = kill.replace("mechanism: errors", "mechanism: kill_server");
    let kill = kill.replace("fires: { HighErrorRate: 30s }, ", "");
    std::fs::write(files.path("kill.yaml"), kill).unwrap();
    let (drill, progress) = (files.path("kill.yaml"), files.path("progress"));
    let args = [
        &*drill,
        "--blind",
        "--within",
        "10s",
        "--progress",
        &progress,
    ];
    let mut drill = command(files.dir.path(), &args);
    drill.stderr(Stdio::null());
    let mut drill = crate::support::process::Guard(drill.spawn().unwrap());
    let lines = || {
        let log = std::fs::read_to_string(&progress).unwrap_or_default();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines.collect::<Vec<Value>>()
    };
    let board = eventually("the drill shows where its server is", || async {
        let lines = lines();
        let board = &lines.last()?["progress"]["blind"];
        board.is_object().then(|| board.clone())
    })
    .await;
    let text = |field: &str| board[field].as_str().unwrap().to_owned();
    let token = std::fs::read_to_string(text("tokenFile")).unwrap();
    let ops = ops_client(&text("opsUrl"), token.trim());
    eventually("the server is killed", || async {
        ops.status().await.is_err().then_some(())
    })
    .await;
    eventually("it is back", || async { ops.status().await.ok() }).await;
    // The drill asks five times per second.
    eventually("it withholds faults", || async {
        let refused = ops.end_faults(None).await;
        matches!(refused, Err(ClientError::Refused { status: 409, .. })).then_some(())
    })
    .await;
    assert!(drill.0.try_wait().unwrap().is_none(), "the drill is over");
    let _ = rustix::process::kill_process(
        rustix::process::Pid::from_child(&drill.0),
        rustix::process::Signal::TERM,
    );
    drill.0.wait().unwrap();
}

/// The lines of progress without the fields that are named after faults. Those fields must be empty.
fn without_fields(log: &str) -> String {
    let mut text = String::new();
    // The last line may be incomplete.
    for line in log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        let mut progress = line["progress"].as_object().unwrap().clone();
        for (field, empty) in [
            ("sinceFault", Value::Null),
            ("faultEndsIn", Value::Null),
            ("injected", 0.into()),
            ("injects", 0.into()),
            ("falseAlarms", Value::Array(Vec::new())),
            ("clock", Value::Array(Vec::new())),
        ] {
            assert_eq!(progress.remove(field), Some(empty), "{field}");
        }
        text += &(Value::Object(progress).to_string() + "\n");
    }
    text
}

/// A process and its descendants.
fn family(pid: i32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task");
    let tasks = std::fs::read_dir(Path::new(&path))
        .into_iter()
        .flatten()
        .flatten();
    let children = tasks.flat_map(|task| {
        let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        text.split_whitespace()
            .filter_map(|it| it.parse().ok())
            .collect::<Vec<i32>>()
    });
    let mut all = vec![pid];
    all.extend(children.flat_map(family));
    all
}
