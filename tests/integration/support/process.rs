//! The real binary, in a process of its own that can be killed.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use concertctl::clients::ops::Ops;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{User, eventually, ops_client, token_of};

/// The program under test.
pub fn concertctl() -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_concertctl")))
}

/// The program after a line of shell. A process that ignores `XFSZ` sees a write beyond the file size
/// limit fail, as on a full disk.
pub fn after(shell: &str) -> Command {
    let mut command = without_settings(Command::new("bash"));
    let script = format!("{shell}; exec \"$@\"");
    command.args(["-c", &script, "limited", env!("CARGO_BIN_EXE_concertctl")]);
    command
}

/// A rehearsal of 200 users on a server of its own, told as JSON: a few seconds, however busy the
/// machine.
pub fn small_rehearsal() -> Command {
    let mut command = concertctl();
    command.args(["load", "onsale-short", "--json", "--quiet"]);
    for setting in [
        "users=200",
        "admission.every=200ms",
        "generator.lag_p99=10s",
    ] {
        command.args(["--set", setting]);
    }
    command
}

/// A command that sees nothing of what the tester has set for servers of their own.
fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CONCERTCTL_") || name_text.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    // Nor of a server of theirs: commands look for one at the default place.
    command.env(
        "XDG_DATA_HOME",
        std::env::temp_dir().join("concertctl-tests-have-none"),
    );
    command.stdin(Stdio::null());
    command
}

/// A child that does not outlive the test.
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const SERVE: [&str; 5] = [
    "serve",
    "--api-addr",
    "127.0.0.1:0",
    "--ops-addr",
    "127.0.0.1:0",
];
/// What is logged where the test does not say.
const QUIET: [&str; 2] = ["--log", "warn"];

/// `concertctl serve` on free ports.
pub struct ServerProcess {
    child: parking_lot::Mutex<Guard>,
    pub api: String,
    pub ops: Ops,
    pub ops_url: String,
    pub ops_token: String,
}

impl ServerProcess {
    pub async fn start(dir: &Path, more: &[&str]) -> ServerProcess {
        ServerProcess::with(concertctl(), dir, more).await
    }

    /// The same by a prepared [`concertctl`].
    pub async fn with(command: Command, dir: &Path, more: &[&str]) -> ServerProcess {
        ServerProcess::with_stdout(command, dir, more, Stdio::null()).await
    }

    /// The same with this standard output.
    pub async fn with_stdout(
        mut command: Command,
        dir: &Path,
        more: &[&str],
        stdout: Stdio,
    ) -> ServerProcess {
        command.stdout(stdout);
        command.args(SERVE).arg("--data-dir").arg(dir).args(more);
        if !more.contains(&"--log") {
            command.args(QUIET);
        }
        ServerProcess::spawn(dir, command).await
    }

    /// The same, where no file may grow beyond `kibibytes`.
    pub async fn start_limited(dir: &Path, kibibytes: u32) -> ServerProcess {
        let command = after(&format!("ulimit -f {kibibytes}"));
        ServerProcess::with(command, dir, &[]).await
    }

    async fn spawn(dir: &Path, mut command: Command) -> ServerProcess {
        let address = dir.join("server.json");
        let _ = std::fs::remove_file(&address);
        command.stderr(Stdio::null());
        let mut child = Guard(command.spawn().unwrap());
        let file: Value = eventually("the server is up", || {
            let ended = child.0.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended at once: {ended:?}");
            let text = std::fs::read(&address).ok();
            async move { text.and_then(|text| serde_json::from_slice(&text).ok()) }
        })
        .await;
        let url = |name: &str| format!("http://{}", file[name].as_str().unwrap());
        let ops = ops_client(&url("ops_addr"), &token_of(dir));
        let server = ServerProcess {
            child: child.into(),
            api: url("api_addr"),
            ops,
            ops_url: url("ops_addr"),
            ops_token: token_of(dir),
        };
        eventually("the server answers", || async {
            server.ops.status().await.ok()
        })
        .await;
        server
    }

    pub async fn active_requests(&self) -> i64 {
        super::active_requests(&self.ops_url).await
    }

    pub fn user(&self, id: i64) -> User {
        User::new(&self.api, id)
    }

    /// A user of an earlier server, here with the same token.
    pub fn user_with(&self, user: &User) -> User {
        user.at(&self.api)
    }

    /// SIGKILL: the process gets no chance to tidy up. Returns when it is gone.
    pub fn signal_kill(&self) {
        let mut child = self.child.lock();
        child.0.kill().unwrap();
        child.0.wait().unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Sends a signal that the process outlives, or may answer.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child.lock().0)
    }

    /// Awaits the end of the process.
    pub async fn exited(&self) -> std::process::ExitStatus {
        eventually("the server ends", || async {
            self.child.lock().0.try_wait().unwrap()
        })
        .await
    }
}

/// A device of the test's own that is always full, as /dev/full is: a defect replaces this one and not
/// the machine's. `None` without the right to make devices.
pub fn full_device(dir: &Path) -> Option<std::path::PathBuf> {
    let path = dir.join("full");
    let made = Command::new("mknod")
        .arg(&path)
        .args(["c", "1", "7"])
        .status();
    made.is_ok_and(|status| status.success()).then_some(path)
}

/// How a run of the program ended.
#[derive(Debug)]
pub struct Ended {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Asserts a failure that is said in one line, which names all of `named`.
    pub fn failed_with(&self, code: i32, named: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        for part in named {
            assert!(self.stderr.contains(part), "no {part:?} in {self:?}");
        }
    }
}

/// Runs the program to its end.
pub async fn run(args: &[&str]) -> Ended {
    let mut command = concertctl();
    command.args(args);
    finish(command).await
}

/// Runs a command to its end.
pub async fn finish(command: Command) -> Ended {
    Running::start(command).ended().await
}

/// A run of the program, its output in files that no reader needs to empty.
pub struct Running {
    child: parking_lot::Mutex<Guard>,
    stdout: File,
    stderr: File,
}

impl Running {
    pub fn start(mut command: Command) -> Running {
        let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        command.stdout(stdout.try_clone().unwrap());
        command.stderr(stderr.try_clone().unwrap());
        let child = Guard(command.spawn().unwrap()).into();
        Running {
            child,
            stdout,
            stderr,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.lock().0.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child.lock().0);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub fn is_running(&self) -> bool {
        self.child.lock().0.try_wait().unwrap().is_none()
    }

    /// SIGKILL. Returns when it is gone.
    pub fn kill_9(self) {
        drop(self);
    }

    pub async fn ended(self) -> Ended {
        let status = eventually("the program ends", || async {
            self.child.lock().0.try_wait().unwrap()
        })
        .await;
        Ended {
            code: status.code(),
            stdout: text(self.stdout),
            stderr: text(self.stderr),
        }
    }
}

fn text(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
