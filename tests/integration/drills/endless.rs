//! A drill that runs until the test ends it, and the processes and files that it could leave.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use super::{command, drill, left_behind};
use crate::support::eventually;
use crate::support::process::Guard;

/// A drill that runs until the test ends it.
pub(super) struct Endless {
    dir: TempDir,
    pub(super) process: Guard,
}

impl Endless {
    pub(super) fn start(fault: &str) -> Endless {
        Endless::of(&drill(fault, "{ recovered: 30s }"))
    }

    /// The same with an alert that does not fire. After its fault the drill waits for the alert, longer than any test.
    pub(super) fn following(fault: &str) -> Endless {
        Endless::of(&drill(fault, "{ fires: { HighErrorRate: 2m } }"))
    }

    /// The same with few users, so that its fault begins soon.
    pub(super) fn short(fault: &str) -> Endless {
        let text = drill(fault, "{ recovered: 30s }");
        let few = text.replace("set: {", "set: { users: 300,");
        Endless::of(&few.replace("at: 1s", "at: 3s"))
    }

    fn of(text: &str) -> Endless {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("drill.yaml");
        std::fs::write(&file, text).unwrap();
        let mut command = command(dir.path(), &[file.to_str().unwrap(), "--allow-commands"]);
        command.arg("--progress").arg(dir.path().join("progress"));
        // The drill gets its own process group, like from a shell with job control: signals of the terminal reach the
        // whole group.
        command.process_group(0).stderr(Stdio::null());
        let process = Guard(command.spawn().unwrap());
        Endless { dir, process }
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) async fn until(&self, what: &str, is_there: impl Fn(&Path) -> bool) {
        eventually(what, || async { is_there(self.dir()).then_some(()) }).await;
    }

    /// Kills only the drill process, and waits until its server and its data are removed.
    pub(super) async fn killed(mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
        self.leaves_nothing().await;
    }

    pub(super) async fn leaves_nothing(&self) {
        self.until("server and data are removed", |dir| {
            left_behind(dir) == 0 && processes(dir).is_empty()
        })
        .await;
    }
}

/// The data directory of the server of a drill in `dir`.
pub(super) fn data_directory(dir: &Path) -> Option<PathBuf> {
    let mut entries = std::fs::read_dir(dir).ok()?.flatten();
    let data = entries.find(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("concertctl-drill-")
    });
    data.map(|data| data.path())
}

/// Operations listener and token of the server that a drill in `dir` started.
pub(super) fn operations(dir: &Path) -> Option<(String, String)> {
    let data = data_directory(dir)?;
    let file = std::fs::read(data.join("server.json")).ok()?;
    let file: Value = serde_json::from_slice(&file).ok()?;
    let token = std::fs::read_to_string(data.join("ops-token")).ok()?;
    let url = format!("http://{}", file["ops_addr"].as_str()?);
    Some((url, token.trim().to_owned()))
}

/// The guards and servers of a drill in `dir`.
fn processes(dir: &Path) -> Vec<u32> {
    running(|id| serves(id, dir) || guards(id, dir))
}

/// The number of threads of the guard of a drill in `dir` that use a processor. Threads that only wait do not count.
pub(super) fn busy_guard_threads(dir: &Path) -> usize {
    let is_busy = |thread: &PathBuf| {
        let status = std::fs::read_to_string(thread.join("status")).unwrap_or_default();
        status.contains("State:\tR")
    };
    let of = |id| {
        let threads = std::fs::read_dir(format!("/proc/{id}/task"));
        let threads = threads.into_iter().flatten().flatten();
        threads.map(|it| it.path()).filter(is_busy).count()
    };
    running(|id| guards(id, dir)).into_iter().map(of).sum()
}

fn guards(id: u32, dir: &Path) -> bool {
    let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    environment.contains(&format!("TMPDIR={}\0", dir.display()))
        && String::from_utf8_lossy(&line).contains("--guard")
}

/// The processes whose command line names a directory in `dir`.
pub(super) fn servers(dir: &Path) -> Vec<u32> {
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

pub(super) fn stopped_servers(dir: &Path) -> Vec<u32> {
    let is_stopped = |id: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        status.contains("State:\tT")
    };
    servers(dir).into_iter().filter(is_stopped).collect()
}
