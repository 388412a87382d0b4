//! A server in a process of its own that can be killed, stalled and restarted. Its processes end with the test, even if
//! the test itself is killed (see `keeper.sh`).

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::PATIENCE;

/// The programs that this needs.
pub const NEEDED: [&str; 1] = ["pgrep"];

/// A running server and its children.
pub struct Kept {
    keeper: Child,
    /// The keeper ends the server when this is closed or written to.
    leash: Option<ChildStdin>,
    server: Pid,
    dir: PathBuf,
}

impl Kept {
    /// Starts `program` in `dir`; its output goes to the file `log` there.
    pub fn start<I: IntoIterator<Item: AsRef<std::ffi::OsStr>>>(dir: &Path, program: I) -> Kept {
        let keeper = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/integration/support/keeper.sh"
        );
        let mut keeper = Command::new("sh")
            .arg(keeper)
            .arg(log_of(dir))
            .args(program)
            .current_dir(dir)
            // A process group of its own, because the test runner ends a test by a signal to the test's group.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = keeper.stdout.take().expect("standard output is piped");
        BufReader::new(output).read_line(&mut line).unwrap();
        let server = line.trim().parse().ok().and_then(Pid::from_raw);
        Kept {
            leash: keeper.stdin.take(),
            server: server.unwrap_or_else(|| panic!("no process id: {line:?}")),
            keeper,
            dir: dir.to_owned(),
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.keeper.try_wait().unwrap().is_none()
    }

    /// The output of the server since its first start.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(log_of(&self.dir)).unwrap_or_default()).into_owned()
    }

    /// Sends a signal to the server, not to its children.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            kill_process(self.server, signal).unwrap();
        }
    }

    /// Kills the server and its children with SIGKILL, as a power cut would. Returns when all have ended.
    pub fn kill(&mut self) {
        let family = self.family();
        self.let_go();
        self.await_end(PATIENCE);
        let gone = || !family.iter().any(|pid| lives(*pid));
        assert!(within(PATIENCE, gone), "still there: {family:?}");
    }

    /// Makes the keeper end the server, which may have ended already.
    fn let_go(&mut self) {
        if let Some(mut leash) = self.leash.take() {
            let _ = leash.write_all(b"end\n");
        }
    }

    /// Waits for the end of the server; returns whether it ended in time.
    pub fn await_end(&mut self, time_out: Duration) -> bool {
        within(time_out, || !self.is_running())
    }

    /// Stops the server and its children with SIGSTOP: connections stay open, nothing answers.
    pub fn stall(&mut self) {
        // The server first, so that it starts no more children.
        self.signal(Signal::STOP);
        for pid in self.children() {
            let _ = kill_process(pid, Signal::STOP);
        }
    }

    /// Continues the server with SIGCONT after [`Kept::stall`].
    pub fn resume(&mut self) {
        for pid in self.children() {
            let _ = kill_process(pid, Signal::CONT);
        }
        self.signal(Signal::CONT);
    }

    /// The server and its children.
    pub fn family(&mut self) -> Vec<Pid> {
        if !self.is_running() {
            return Vec::new();
        }
        let mut family = self.children();
        family.push(self.server);
        family
    }

    fn children(&mut self) -> Vec<Pid> {
        if !self.is_running() {
            return Vec::new();
        }
        let server = self.server.as_raw_nonzero().to_string();
        let found = Command::new("pgrep").args(["-P", &server]).output();
        let found = String::from_utf8(found.unwrap().stdout).unwrap();
        let pids = found.lines().filter_map(|line| line.parse().ok());
        pids.filter_map(Pid::from_raw).collect()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (log, dir) = (self.log(), self.dir.display());
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(80)..];
            eprintln!(
                "the last output of the server in {dir}:\n{}",
                last.join("\n")
            );
        }
        self.let_go();
        let _ = self.keeper.wait();
    }
}

/// Returns whether a process is running. A zombie stays listed until its parent reads its status.
pub fn lives(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let dead = stat.is_ok_and(|stat| stat.contains(") Z "));
    !dead && test_kill_process(pid).is_ok()
}

/// Returns whether a condition becomes true in time, for code that cannot await.
pub fn within(time_out: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if begun.elapsed() > time_out {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn log_of(dir: &Path) -> PathBuf {
    dir.join("log")
}
