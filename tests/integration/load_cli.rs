//! `concertctl load` as users run it: the binary, its embedded server, its exit codes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::support::eventually;
use super::support::process::{AT_ANY_SPEED, Guard, concertctl};

/// Settings of a run that is short but has every phase.
const SHORT: [&str; 4] = ["--set", "users=200", "--set", "admission.every=200ms"];

/// The arguments of a short run. Those of a test come last, so that they prevail.
pub(super) fn short<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&SHORT[..], &AT_ANY_SPEED, more].concat()
}

fn command(args: &[&str], tmp: &Path) -> Command {
    let mut command = concertctl();
    command.arg("load").args(args).env("TMPDIR", tmp);
    command
}

fn load(args: &[&str]) -> Output {
    let tmp = tempfile::tempdir().unwrap();
    let output = command(args, tmp.path()).output().unwrap();
    let left = std::fs::read_dir(tmp.path()).unwrap().count();
    assert_eq!(
        left, 0,
        "the run removes the embedded server's data directory"
    );
    output
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_rehearsal_on_the_embedded_server_passes_and_both_reports_agree() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("summary.json");
    let file = file.to_str().unwrap();
    let output = load(&short(&["--json", "--out", file]));
    assert_eq!(
        output.status.code(),
        Some(0),
        "{} {}",
        out(&output),
        err(&output)
    );
    let printed: Value = serde_json::from_str(&out(&output)).unwrap();
    let written: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(printed, written);
    assert_eq!(printed["verdict"], "passed");
    let (paid, sold) = (&printed["users"]["paid"], &printed["audit"]["seatsSold"]);
    assert!(paid.as_u64() > Some(0));
    assert_eq!(
        paid, sold,
        "every payment that a client saw is a sold seat in the database"
    );
    assert_eq!(printed["lookup"]["missing"], 0);
    assert!(
        err(&output).contains("register 200/200"),
        "plain progress: {}",
        err(&output)
    );
}

#[test]
fn one_of_three_hundred_users_gets_the_only_seat() {
    let output = load(&[&["hot-seat", "--json", "--quiet"], &AT_ANY_SPEED[..]].concat());
    assert_eq!(
        output.status.code(),
        Some(0),
        "{} {}",
        out(&output),
        err(&output)
    );
    assert_eq!(err(&output), "", "--quiet");
    let summary: Value = serde_json::from_str(&out(&output)).unwrap();
    let operations = summary["operations"].as_array().unwrap();
    let reserve = operations
        .iter()
        .find(|row| row["operation"] == "reserve")
        .unwrap();
    assert_eq!(
        (&reserve["ok"], &reserve["refused"], &reserve["errors"]),
        (&1.into(), &299.into(), &0.into())
    );
    assert_eq!(summary["audit"]["seatsSold"], 1);
}

#[test]
fn a_missed_threshold_and_one_without_data_exit_with_99() {
    let limits = [
        "--set",
        "thresholds.buying.p95=1us",
        "--set",
        "thresholds.cancel.p95=1s",
        "--quiet",
    ];
    let output = load(&short(&limits));
    assert_eq!(output.status.code(), Some(99), "{}", err(&output));
    let report = out(&output);
    let line = |name: &str| {
        report
            .lines()
            .find(|line| line.contains(name))
            .unwrap()
            .to_owned()
    };
    assert!(line("✗ buying.p95").ends_with("missed"), "{report}");
    assert!(line("✗ cancel.p95").ends_with("no data"), "{report}");
    assert!(line("✓ oversold").ends_with('0'), "{report}");
    assert!(!report.contains('\x1b'), "no colours without a terminal");
    let wide = report.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None, "every line fits a terminal of 80 columns");
}

#[test]
fn a_mistake_in_arguments_exits_with_2_and_one_line_of_advice() {
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("bad.yaml");
    std::fs::write(
        &bad,
        "title: t\ndataset: demo\nusers: 0\nadmission: { batch: 1, every: 1s }\n",
    )
    .unwrap();
    let bad = bad.to_str().unwrap();
    let field = format!("{bad}:3:1: users: is 0, must be 1 to 10000000");
    for (args, message) in [
        (vec![bad], field.as_str()),
        (vec!["nope"], "no such scenario. There are back-door, "),
        (vec!["hot-set"], "did you mean `hot-seat`?"),
        (vec!["--set", "admission.evry=1s"], "did you mean `every`?"),
        (
            vec!["--out", "/no/such/place/x.json"],
            "there is no directory",
        ),
        (
            vec![
                "--target",
                "http://203.0.113.1:1",
                "--ops-url",
                "http://203.0.113.1:2",
            ],
            "--allow-target 203.0.113.1",
        ),
        (
            vec![
                "--target",
                "ftp://127.0.0.1",
                "--ops-url",
                "http://127.0.0.1:2",
            ],
            "write http://host:port",
        ),
    ] {
        let output = load(&[&args[..], &["--quiet"]].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(
            (err(&output).lines().count(), out(&output).as_str()),
            (1, ""),
            "{}",
            err(&output)
        );
        assert!(err(&output).contains(message), "{}", err(&output));
    }
}

#[test]
fn an_unreachable_target_exits_with_1() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let output = load(&["--quiet", "--target", &url, "--ops-url", &url]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err(&output).contains("concertctl serve"),
        "{}",
        err(&output)
    );
}

#[test]
fn the_plan_is_printed_and_nothing_is_sent() {
    let output = load(&["onsale", "--plan"]);
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
    assert!(
        out(&output).contains("20,000 × 5 / 10 = 10,000"),
        "{}",
        out(&output)
    );
}

#[test]
fn an_interrupted_run_still_reports_and_is_inconclusive() {
    reports_after(rustix::process::Signal::TERM);
}

/// Linux only, because the system must report which signals a process ignores.
#[cfg(target_os = "linux")]
#[test]
fn a_run_whose_terminal_closes_still_reports_and_leaves_nothing() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
    // Under `nohup` the run would continue.
    if ignored & 1 == 0 {
        reports_after(rustix::process::Signal::HUP);
    }
}

/// Sends `signal` to a run whose sale is open.
fn reports_after(signal: rustix::process::Signal) {
    let tmp = tempfile::tempdir().unwrap();
    let args = [&["--set", "admission.every=10s"], &AT_ANY_SPEED[..]].concat();
    let mut command = command(&args, tmp.path());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Guard(command.spawn().unwrap());
    let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines();
    let opened = lines.any(|line| line.unwrap().contains(" s open "));
    assert!(opened, "the sale never opened");
    let pid = rustix::process::Pid::from_child(&child.0);
    rustix::process::kill_process(pid, signal).unwrap();
    // Read on, so that a full pipe does not block the process.
    let draining = std::thread::spawn(move || lines.map_while(Result::ok).count());
    let mut report = String::new();
    child
        .0
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut report)
        .unwrap();
    let status = child.0.wait().unwrap();
    draining.join().unwrap();
    assert_eq!(status.code(), Some(3), "{report}");
    assert!(
        report.contains("stopped by hand before the end"),
        "{report}"
    );
    assert!(report.contains("audit       clean"), "{report}");
    assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 0);
}

/// Starts a long run, and returns it with the data directory of its embedded server.
async fn long_run(tmp: &Path) -> (Guard, PathBuf) {
    let data = || {
        let entries = std::fs::read_dir(tmp).unwrap().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let before = data();
    let mut command = command(&short(&[]), tmp);
    command.args(["--set", "admission.every=1h", "--quiet"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let run = Guard(command.spawn().unwrap());
    let own = eventually("its server is up", || async {
        let mut new = data().into_iter().filter(|path| !before.contains(path));
        new.find(|path| path.join("server.json").exists())
    })
    .await;
    (run, own)
}

#[tokio::test]
async fn a_run_removes_the_data_of_a_killed_run_and_of_no_other() {
    let tmp = tempfile::tempdir().unwrap();
    let (_goes_on, of_a_running) = long_run(tmp.path()).await;
    let (killed, of_a_killed) = long_run(tmp.path()).await;
    // Dropping the guard sends SIGKILL.
    drop(killed);
    assert!(of_a_killed.exists(), "nobody could remove it");
    let (_later, of_a_later) = long_run(tmp.path()).await;
    assert!(!of_a_killed.exists());
    assert!(of_a_running.exists() && of_a_later.exists());
}
