//! A server in a process of its own which can be killed, stalled and started again, and of which
//! nothing outlives the test, not even when the test itself is killed (see `keeper.sh`).

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::PATIENCE;

/// The programs without which no server can be kept.
pub const NEEDED: [&str; 1] = ["pgrep"];

/// A running server and its children.
pub struct Kept {
    keeper: Child,
    /// While this is open, and nothing was written to it, the server may live.
    leash: Option<ChildStdin>,
    server: Pid,
    dir: PathBuf,
}

impl Kept {
    /// Starts `program` in `dir`; what it says goes to the file `log` there.
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
            // A group of its own, for the test runner ends a test by a signal to the test's group.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let said = keeper.stdout.take().expect("it is piped");
        BufReader::new(said).read_line(&mut line).unwrap();
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

    /// What the server said since it first ran.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(log_of(&self.dir)).unwrap_or_default()).into_owned()
    }

    /// Sends a signal to the server, not to its children.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            kill_process(self.server, signal).unwrap();
        }
    }

    /// SIGKILL to the server and its children, as a power cut would end them. Returns when all are
    /// gone.
    pub fn kill(&mut self) {
        let family = self.family();
        self.let_go();
        self.await_end(PATIENCE);
        let gone = || !family.iter().any(|pid| lives(*pid));
        assert!(within(PATIENCE, gone), "still there: {family:?}");
    }

    /// Has the keeper end the server. It need not be there any more.
    fn let_go(&mut self) {
        if let Some(mut leash) = self.leash.take() {
            let _ = leash.write_all(b"end\n");
        }
    }

    /// Awaits the end of the server; whether it came in time.
    pub fn await_end(&mut self, patience: Duration) -> bool {
        within(patience, || !self.is_running())
    }

    /// SIGSTOP to the server and its children: connections stay open, nothing answers.
    pub fn stall(&mut self) {
        // The server first, so that it bears no more children.
        self.signal(Signal::STOP);
        for pid in self.children() {
            let _ = kill_process(pid, Signal::STOP);
        }
    }

    /// SIGCONT: the end of [`Kept::stall`].
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
            eprintln!("the server in {dir} said last:\n{}", last.join("\n"));
        }
        self.let_go();
        let _ = self.keeper.wait();
    }
}

/// Whether a process is there and not dead: a dead one stays listed until somebody asks for its status.
pub fn lives(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let dead = stat.is_ok_and(|stat| stat.contains(") Z "));
    !dead && test_kill_process(pid).is_ok()
}

/// Whether a condition comes true in time; for where nothing can be awaited.
pub fn within(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if begun.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn log_of(dir: &Path) -> PathBuf {
    dir.join("log")
}
