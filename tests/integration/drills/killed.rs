//! A drill that is killed leaves nothing behind.

use std::cell::Cell;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::drill;
use super::endless::{Endless, busy_guard_threads, operations, servers, stopped_servers};
use super::on_server::OnServer;
use crate::support::process::Guard;
use crate::support::{eventually, ops_client};

/// The point at which a drill is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Point {
    /// The drill waits for the moment of its fault.
    Before,
    /// The fault has just begun.
    AtInjection,
    /// The drill knows that the fault is active.
    During,
    /// The fault is about to end.
    AtClearing,
    /// The fault has ended, and the drill waits for the rest of the response.
    After,
}

const POINTS: [Point; 5] = [
    Point::Before,
    Point::AtInjection,
    Point::During,
    Point::AtClearing,
    Point::After,
];

/// The length of the faults in the table.
const LASTS: Duration = Duration::from_secs(4);
/// A fault that is still active this long after its time has not ended by itself.
const LATE: Duration = Duration::from_secs(5);

impl Point {
    /// Returns whether a drill at this `step`, whose fault began at `since`, has reached this point.
    fn is_reached(self, step: &str, since: Option<Instant>) -> bool {
        match self {
            Point::Before => step == "waiting",
            Point::AtInjection => since.is_some(),
            Point::During => step == "fault" && since.is_some(),
            Point::AtClearing => {
                since.is_some_and(|since| since.elapsed() + Duration::from_millis(200) >= LASTS)
            }
            Point::After => step == "following",
        }
    }
}

/// The step in the last line of progress of the drill in `dir`.
fn step(dir: &Path) -> String {
    let text = std::fs::read_to_string(dir.join("progress")).unwrap_or_default();
    let lines = text.lines().rev();
    let step = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let step = step.filter_map(|line| Some(line["progress"]["step"].as_str()?.to_owned()));
    step.take(1).collect()
}

/// Kills a drill of `fault` at each point, and checks that its running server does not have the fault longer than its
/// length.
async fn ends_in_its_time(fault: &str) {
    let on = OnServer::start().await;
    for point in POINTS {
        let _ = std::fs::remove_file(on.dir.path().join("progress"));
        let few = drill(fault, "{ recovered: 30s }")
            .replace("set: {", "set: { users: 300,")
            .replace("at: 1s", "at: 3s");
        let mut command = on.drill(&few);
        command
            .arg("--progress")
            .arg(on.dir.path().join("progress"));
        let mut running = Guard(command.stderr(Stdio::null()).spawn().unwrap());
        let of = format!("{fault}, {point:?}");
        let since = killed_at(point, &mut running, on.dir.path(), &of, || async {
            Some(on.faults().await? > 0)
        })
        .await;
        eventually(&format!("the fault is over: {of}"), || async {
            (on.faults().await? == 0).then_some(())
        })
        .await;
        let lasted = since.map(|since| since.elapsed());
        // After the fault, the drill itself has ended it.
        assert!(
            point == Point::After || lasted.is_none_or(|lasted| lasted < LASTS + LATE),
            "{of}: {lasted:?}"
        );
    }
}

/// Kills the drill when it has reached the point. Returns the time at which its fault was first seen.
async fn killed_at<F: Future<Output = Option<bool>>>(
    point: Point,
    drill: &mut Guard,
    dir: &Path,
    of: &str,
    is_on: impl Fn() -> F,
) -> Option<Instant> {
    let since = Cell::new(None);
    eventually(&format!("the sale is open: {of}"), || async {
        let is_open = matches!(step(dir).as_str(), "waiting" | "fault" | "following");
        is_open.then_some(())
    })
    .await;
    eventually(&format!("the point is reached: {of}"), || async {
        if since.get().is_none() && is_on().await == Some(true) {
            since.set(Some(Instant::now()));
        }
        point.is_reached(&step(dir), since.get()).then_some(())
    })
    .await;
    drill.0.kill().unwrap();
    drill.0.wait().unwrap();
    since.get()
}

/// Kills a drill of its own server at each point of `fault`, and checks that nothing is left.
async fn leaves_nothing_at_any_point(fault: &str, is_on: impl Fn(&Path) -> bool) {
    for point in POINTS {
        let mut running = Endless::short(fault);
        let dir = running.dir().to_owned();
        let of = format!("{fault}, {point:?}");
        killed_at(point, &mut running.process, &dir, &of, || async {
            Some(is_on(&dir))
        })
        .await;
        running.leaves_nothing().await;
    }
}

macro_rules! killed_at_each_point {
    ($($name:ident: $fault:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            ends_in_its_time($fault).await;
        })*
    };
}

killed_at_each_point! {
    errors_end_in_their_time_although_the_drill_is_killed: "{ kind: errors, share: 1, for: 4s }";
    telemetry_comes_back_although_the_drill_is_killed: "{ kind: telemetry_gone, how: refuse, for: 4s }";
    the_disk_has_room_again_although_the_drill_is_killed: "{ kind: disk_full, for: 4s }";
    the_clock_is_right_again_although_the_drill_is_killed: "{ kind: clock_step, seconds: 3600, for: 4s }";
}

#[tokio::test]
async fn no_cpu_hog_outlasts_its_drill() {
    let fault = "{ kind: cpu_hog, cores: 1, for: 4s }";
    leaves_nothing_at_any_point(fault, |dir| busy_guard_threads(dir) > 0).await;
}

#[tokio::test]
async fn a_cpu_hog_ends_in_its_time_while_its_drill_goes_on() {
    let drill = Endless::following("{ kind: cpu_hog, cores: 1, for: 4s }");
    drill
        .until("a processor is busy", |dir| {
            step(dir) == "fault" && busy_guard_threads(dir) > 0
        })
        .await;
    drill
        .until("it is free again", |dir| busy_guard_threads(dir) == 0)
        .await;
    // At its end a drill undoes its faults. This drill has not reached its end.
    drill
        .until("the drill goes on", |dir| step(dir) == "following")
        .await;
    drill.killed().await;
}

#[tokio::test]
async fn no_server_outlasts_a_drill_that_kills_it() {
    let fault = "{ kind: kill_server, for: 4s }";
    leaves_nothing_at_any_point(fault, |dir| servers(dir).is_empty()).await;
}

#[tokio::test]
async fn no_frozen_server_outlasts_its_drill() {
    let fault = "{ kind: freeze_server, for: 4s }";
    leaves_nothing_at_any_point(fault, |dir| !stopped_servers(dir).is_empty()).await;
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

#[tokio::test]
async fn a_kill_of_the_whole_process_group_undoes_a_command() {
    let marks = tempfile::tempdir().unwrap();
    let (done, undone) = (marks.path().join("done"), marks.path().join("undone"));
    let mut drill = Endless::start(&format!(
        "{{ kind: command, run: 'touch {}', undo: 'touch {}', for: 5m }}",
        done.display(),
        undone.display()
    ));
    drill.until("the command has run", |_| done.exists()).await;
    let group = Pid::from_child(&drill.process.0);
    rustix::process::kill_process_group(group, Signal::KILL).unwrap();
    drill.process.0.wait().unwrap();
    drill.leaves_nothing().await;
    assert!(undone.exists());
}
