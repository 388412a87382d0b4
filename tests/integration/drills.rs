//! `concertctl drill` as users run it: it starts a server, makes real traffic, injects real faults, and exits with a
//! code for the verdict.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

use super::support::port::Port;
use super::support::process::{Guard, ServerProcess, concertctl, finish};
use super::support::{eventually, ops_client};

/// A short drill, even on a busy machine, with the fault `fault` and these expectations.
pub(super) fn drill(fault: &str, expect: &str) -> String {
    format!(
        "title: A test\nload: onsale-short\nhost_busy: 1\n\
         may_fire: [ServerDown, DatabaseUnreachable, QueueStalled, SlowBuying, SlowStatements, ConnectionWaitHigh, HostCpuBusy, HostLoadHigh]\n\
         set: {{ admission.batch: 10, admission.every: 1s, limits.duration: 3m, generator.lag_p99: 10s }}\n\
         hypothesis: {{ buying.p95: 20s, buying.error_rate: 0.001, for: 2s }}\n\
         injects:\n  - at: 1s\n    fault: {fault}\n    cause: {{ component: c, mechanism: m }}\n    expect: {expect}\n"
    )
}

pub fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = concertctl();
    command.arg("drill").args(args).env("TMPDIR", dir);
    command.env("CONCERTCTL_DATA_DIR", dir.join("data"));
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

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The number of data directories that drills left in `dir`.
fn left_behind(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("concertctl-drill-"))
        .count()
}

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
        "the server's data goes with the drill"
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
fn an_alert_that_does_not_come_fails_the_drill_with_the_place_of_its_rule() {
    let dir = tempfile::tempdir().unwrap();
    // The shipped rules, with one changed so that it queries a missing metric.
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
    assert_eq!(output.status.code(), Some(99), "{}", stderr(&output));
    let reason = reports[0]["reasons"][0].as_str().unwrap();
    assert!(
        reason.starts_with("HighErrorRate fires: did not happen"),
        "{reason}"
    );
    assert!(reason.contains("rules.yml:"), "{reason}");
    // A drill of another rule passes.
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

/// A drill that runs until the test ends it.
struct Endless {
    dir: TempDir,
    process: Guard,
}

impl Endless {
    fn start(fault: &str) -> Endless {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("drill.yaml");
        std::fs::write(&file, drill(fault, "{ recovered: 30s }")).unwrap();
        let mut command = command(dir.path(), &[file.to_str().unwrap(), "--allow-commands"]);
        // A process group, as a shell with job control makes it: signals of the terminal reach the whole group.
        command.process_group(0).stderr(Stdio::null());
        let process = Guard(command.spawn().unwrap());
        Endless { dir, process }
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    async fn until(&self, what: &str, is_there: impl Fn(&Path) -> bool) {
        eventually(what, || async { is_there(self.dir()).then_some(()) }).await;
    }

    /// Kills only the drill process, and waits until its server and its data are removed.
    async fn killed(mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
        self.leaves_nothing().await;
    }

    async fn leaves_nothing(&self) {
        self.until("server and data are removed", |dir| {
            left_behind(dir) == 0 && processes(dir).is_empty()
        })
        .await;
    }
}

#[tokio::test]
async fn nothing_outlasts_a_drill_that_is_killed_while_its_server_starts() {
    let drill = Endless::start("{ kind: errors, share: 1, for: 5m }");
    drill
        .until("the server starts", |dir| !servers(dir).is_empty())
        .await;
    drill.killed().await;
}

#[tokio::test]
async fn nothing_outlasts_a_drill_that_is_killed_before_its_fault() {
    let drill = Endless::start("{ kind: errors, share: 1, for: 5m }");
    drill
        .until("the server serves", |dir| operations(dir).is_some())
        .await;
    drill.killed().await;
}

#[tokio::test]
async fn nothing_outlasts_a_drill_that_is_killed_during_a_fault_in_its_server() {
    let drill = Endless::start("{ kind: errors, share: 1, for: 5m }");
    eventually("the fault is on", || async {
        let (url, token) = operations(drill.dir())?;
        let faults = ops_client(&url, &token).faults().await.ok()?;
        (!faults.faults.is_empty()).then_some(())
    })
    .await;
    drill.killed().await;
}

#[tokio::test]
async fn nothing_outlasts_a_drill_that_is_killed_during_any_other_fault_in_its_server() {
    for fault in [
        "{ kind: telemetry_gone, for: 5m }",
        "{ kind: disk_full, for: 5m }",
        "{ kind: clock_step, seconds: -3600, for: 5m }",
    ] {
        let drill = Endless::start(fault);
        drill
            .until("the server serves", |dir| operations(dir).is_some())
            .await;
        eventually(&format!("the fault is on: {fault}"), || async {
            let (url, token) = operations(drill.dir())?;
            let faults = ops_client(&url, &token).faults().await.ok()?;
            (!faults.faults.is_empty()).then_some(())
        })
        .await;
        drill.killed().await;
    }
}

/// A drill of a running server. The server continues after it.
struct OnServer {
    dir: TempDir,
    server: ServerProcess,
    notified_at: Port,
}

impl OnServer {
    async fn start() -> OnServer {
        let (dir, notified_at) = (tempfile::tempdir().unwrap(), Port::claim());
        let webhook = format!("http://{}/", notified_at.addr());
        let data = dir.path().join("server");
        let server = ServerProcess::start(&data, &["--webhook", &webhook]).await;
        std::fs::write(dir.path().join("token"), &server.ops_token).unwrap();
        OnServer {
            dir,
            server,
            notified_at,
        }
    }

    fn drill(&self, text: &str) -> Command {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        std::fs::write(path("drill.yaml"), text).unwrap();
        let mut command = command(self.dir.path(), &[&path("drill.yaml"), "--reseed"]);
        command.args(["--target", &self.server.api]);
        command.args(["--ops-url", &self.server.ops_url]);
        command.args(["--ops-token-file", &path("token")]);
        command.args(["--notified-at", &self.notified_at.addr().to_string()]);
        command.args(["--report", &path("report.json")]);
        command
    }

    /// The number of active faults; `None` if the server does not answer in time.
    async fn faults(&self) -> Option<usize> {
        let answer = self.server.ops.faults().await;
        answer.ok().map(|answer| answer.faults.len())
    }
}

#[tokio::test]
async fn a_fault_of_a_running_server_ends_in_its_time_although_its_drill_is_killed() {
    let on = OnServer::start().await;
    for fault in [
        "{ kind: errors, share: 1, for: 4s }",
        "{ kind: telemetry_gone, how: refuse, for: 4s }",
        "{ kind: disk_full, for: 4s }",
        "{ kind: clock_step, seconds: 3600, for: 4s }",
    ] {
        let few = drill(fault, "{ recovered: 30s }").replace("set: {", "set: { users: 300,");
        let mut command = on.drill(&few);
        let mut running = Guard(command.stderr(Stdio::null()).spawn().unwrap());
        eventually(&format!("the fault is on: {fault}"), || async {
            (on.faults().await? > 0).then_some(())
        })
        .await;
        running.0.kill().unwrap();
        running.0.wait().unwrap();
        eventually(&format!("the fault is over: {fault}"), || async {
            (on.faults().await? == 0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_stop_condition_ends_a_drill_at_once_and_takes_its_fault_back() {
    let on = OnServer::start().await;
    let text = drill("{ kind: errors, share: 1, for: 5m }", "{ recovered: 30s }");
    let mut command = on.drill(&format!("{text}stop: {{ buying.failed: 3 }}\n"));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("stop.buying.failed: 3"),
        "{}",
        stderr(&output)
    );
    assert_eq!(on.faults().await, Some(0));
    let report = std::fs::read(on.dir.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let report = &report["drills"][0];
    assert_eq!(report["verdict"], "inconclusive");
    let seconds = report["seconds"].as_array().unwrap();
    let last = seconds.last().unwrap()[0].as_f64().unwrap();
    assert!(last < 120.0, "it did not wait for the end of its fault");
}

/// No fault loses an acknowledged payment, so the test removes one from the database.
#[tokio::test]
async fn a_lost_payment_ends_a_drill_at_once() {
    let drill = Endless::start("{ kind: clock_step, seconds: 60, for: 5m }");
    drill
        .until("the server serves", |dir| operations(dir).is_some())
        .await;
    let payments = "SELECT count(*) FROM reservations WHERE status = 1";
    let removed = eventually("payments are removed", || async {
        let data = data_directory(drill.dir())?;
        let datasets = std::fs::read_dir(data.join("datasets")).ok()?.flatten();
        let mut files = datasets.map(|entry| entry.path());
        let file = files.find(|path| path.extension().is_some_and(|it| it == "db"))?;
        let connection = rusqlite::Connection::open(file).ok()?;
        let paid: i64 = connection.query_row(payments, [], |row| row.get(0)).ok()?;
        let removal = "UPDATE reservations SET status = 3 WHERE status = 1";
        (paid > 3)
            .then(|| connection.execute(removal, []))
            .transpose()
            .ok()?
    })
    .await;
    assert!(removed > 3);
    let mut drill = drill;
    let code = drill.process.0.wait().unwrap().code();
    assert_eq!(code, Some(3));
    drill.leaves_nothing().await;
}

#[tokio::test]
async fn nothing_outlasts_a_drill_that_is_killed_while_its_server_is_frozen() {
    let drill = Endless::start("{ kind: freeze_server, for: 5m }");
    drill
        .until("the server is frozen", |dir| {
            !stopped_servers(dir).is_empty()
        })
        .await;
    drill.killed().await;
}

#[tokio::test]
async fn nothing_outlasts_a_drill_that_is_killed_while_its_server_is_away() {
    let drill = Endless::start("{ kind: kill_server, for: 3s }");
    drill
        .until("the server serves", |dir| operations(dir).is_some())
        .await;
    drill
        .until("the server is killed", |dir| servers(dir).is_empty())
        .await;
    drill.killed().await;
}

#[tokio::test]
async fn the_effect_of_a_command_is_undone_when_its_drill_is_killed() {
    let marks = tempfile::tempdir().unwrap();
    let (done, undone) = (marks.path().join("done"), marks.path().join("undone"));
    let drill = Endless::start(&format!(
        "{{ kind: command, run: 'touch {}', undo: 'touch {}', for: 5m }}",
        done.display(),
        undone.display()
    ));
    drill.until("the command runs", |_| done.exists()).await;
    assert!(!undone.exists());
    drill.killed().await;
    assert!(undone.exists());
}

#[tokio::test]
async fn a_signal_to_the_whole_process_group_leaves_no_frozen_server() {
    let drill = Endless::start("{ kind: freeze_server, for: 5m }");
    drill
        .until("the server is frozen", |dir| {
            !stopped_servers(dir).is_empty()
        })
        .await;
    let group = Pid::from_child(&drill.process.0);
    rustix::process::kill_process_group(group, Signal::INT).unwrap();
    drill.leaves_nothing().await;
}

#[test]
fn a_command_is_run_only_where_that_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let text = drill(
        "{ kind: command, run: 'true', undo: 'true', for: 2s }",
        "{ recovered: 30s }",
    );
    let (output, _) = run(dir.path(), &text, &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("--allow-commands"),
        "{}",
        stderr(&output)
    );
    let (output, _) = run(dir.path(), &text, &["--allow-commands"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_command_that_fails_is_inconclusive_and_undone() {
    let dir = tempfile::tempdir().unwrap();
    let undone = dir.path().join("undone");
    let text = drill(
        &format!(
            "{{ kind: command, run: 'exit 7', undo: 'touch {}', for: 2s }}",
            undone.display()
        ),
        "{ recovered: 30s }",
    );
    let (output, reports) = run(dir.path(), &text, &["--allow-commands"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let reason = reports[0]["reasons"].to_string();
    assert!(reason.contains("exit status: 7"), "{reason}");
    assert!(undone.exists());
}

/// The data directory of the server of a drill in `dir`.
fn data_directory(dir: &Path) -> Option<PathBuf> {
    let mut entries = std::fs::read_dir(dir).ok()?.flatten();
    let data = entries.find(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("concertctl-drill-")
    });
    data.map(|data| data.path())
}

/// Operations listener and token of the server of a drill in `dir`.
fn operations(dir: &Path) -> Option<(String, String)> {
    let data = data_directory(dir)?;
    let file = std::fs::read(data.join("server.json")).ok()?;
    let file: Value = serde_json::from_slice(&file).ok()?;
    let token = std::fs::read_to_string(data.join("ops-token")).ok()?;
    let url = format!("http://{}", file["ops_addr"].as_str()?);
    Some((url, token.trim().to_owned()))
}

/// The guards and servers of a drill in `dir`.
fn processes(dir: &Path) -> Vec<u32> {
    running(|id| {
        let of_guard = || {
            let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            let environment = String::from_utf8_lossy(&environment).into_owned();
            let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            environment.contains(&format!("TMPDIR={}\0", dir.display()))
                && String::from_utf8_lossy(&line).contains("--guard")
        };
        serves(id, dir) || of_guard()
    })
}

/// The processes whose command line names a directory in `dir`.
fn servers(dir: &Path) -> Vec<u32> {
    running(|id| serves(id, dir))
}

fn serves(id: u32, dir: &Path) -> bool {
    let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).into_owned();
    line.contains("serve\0") && line.contains(dir.to_str().unwrap())
}

fn running(wanted: impl Fn(u32) -> bool) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| wanted(*id)).collect()
}

fn stopped_servers(dir: &Path) -> Vec<u32> {
    let is_stopped = |id: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        status.contains("State:\tT")
    };
    servers(dir).into_iter().filter(is_stopped).collect()
}

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
            "delayMs is no setting of this fault",
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
fn a_drill_without_evidence_about_the_response_is_inconclusive() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.yml");
    let always = "groups:\n- name: a\n  rules:\n  - alert: HighErrorRate\n    expr: vector(1)\n";
    std::fs::write(&rules, always).unwrap();
    let rules = ["--rules", rules.to_str().unwrap()];
    let fault = "{ kind: errors, share: 0.5, for: 5s }";
    let fires = drill(fault, "{ fires: { HighErrorRate: 10s } }");
    let recovers = drill(fault, "{ recovered: 30s }");
    let too_late = recovers
        .replace("set: {", "set: { users: 2,")
        .replace("at: 1s", "at: 5m");
    for (text, more, reason) in [
        (fires, &rules[..], "HighErrorRate fired before the fault"),
        (too_late, &[], "the traffic ended before the drill"),
    ] {
        let (output, reports) = run(dir.path(), &text, more);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let reasons = reports[0]["reasons"].to_string();
        assert!(reasons.contains(reason), "{reasons}");
    }
}

#[test]
fn load_of_a_drill_does_the_same_as_drill() {
    let dir = tempfile::tempdir().unwrap();
    let quiet = "title: Quiet\nload: onsale-short\nwatch: 2s\nhost_busy: 1\n\
         set: { users: 200, admission.batch: 2, admission.every: 1s, generator.lag_p99: 10s }\n\
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
            "a drill, which --shard is not for",
        ),
        (&[wrong], "wrong.yaml:8:"),
    ] {
        let output = load(args);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(problem), "{}", stderr(&output));
    }
}

#[test]
fn the_shipped_drills_for_real_programs_are_valid() {
    let dir = tempfile::tempdir().unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/real-stack");
    let files = std::fs::read_dir(folder).unwrap();
    let files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
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
fn a_fault_that_the_server_cannot_have_is_inconclusive() {
    let dir = tempfile::tempdir().unwrap();
    let text = drill("{ kind: redis_cut, for: 5s }", "{ recovered: 30s }");
    let (output, reports) = run(dir.path(), &text, &[]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let reason = reports[0]["reasons"][0].as_str().unwrap();
    assert!(reason.contains("there is no Redis to cut off"), "{reason}");
}

#[test]
fn the_schema_of_drills_matches_its_file_and_the_shipped_drills() {
    let kept = include_str!("../../scenarios/drill.schema.json");
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

/// Runs `concertctl load` on a short sale with `faults`. Returns its exit code and its summary.
async fn rehearse(dir: &Path, faults: &str) -> (Option<i32>, Value) {
    let file = dir.join("scenario.yaml");
    let short = include_str!("../../scenarios/onsale-short.yaml");
    std::fs::write(&file, format!("{short}\nfaults:\n{faults}")).unwrap();
    let mut command = concertctl();
    command
        .arg("load")
        .arg(&file)
        .args(["--embedded", "--json", "--quiet"]);
    for setting in ["users=300", "admission.batch=20", "generator.lag_p99=10s"] {
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

#[test]
fn the_schema_of_reports_matches_its_file() {
    let kept = include_str!("../../docs/schema/drill-report.schema.json");
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
