//! The real binary in a process of its own, which can be killed.

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

/// The program, started by a shell after the line `shell`. In a process that ignores `XFSZ`, a write beyond the file
/// size limit fails as on a full disk.
pub fn after(shell: &str) -> Command {
    let mut command = without_settings(Command::new("bash"));
    let script = format!("{shell}; exec \"$@\"");
    command.args(["-c", &script, "limited", env!("CARGO_BIN_EXE_concertctl")]);
    command
}

/// Arguments of `load` for tests that judge what a rehearsal finds, not how fast the machine is: with them, a shipped
/// scenario passes on a machine that is slow, or that stands still for seconds.
pub const AT_ANY_SPEED: [&str; 8] = [
    "--set",
    "thresholds.buying.p95=60s",
    "--set",
    "generator.lag_p99=60s",
    "--set",
    "http.request_timeout=60s",
    "--set",
    "limits.duration=2m",
];

/// A rehearsal of 200 users on its own server with output as JSON.
pub fn small_rehearsal() -> Command {
    let mut command = concertctl();
    command.args(["load", "onsale-short", "--json", "--quiet"]);
    command.args(["--set", "users=200", "--set", "admission.every=200ms"]);
    command.args(AT_ANY_SPEED);
    command
}

/// Removes the settings of the user who runs the tests from a command.
fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CONCERTCTL_") || name_text.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    // This also hides a server of that user, because commands look for one in the default directory.
    command.env(
        "XDG_DATA_HOME",
        std::env::temp_dir().join("concertctl-tests-have-none"),
    );
    command.stdin(Stdio::null());
    command
}

/// A child process that ends with the test.
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
/// The default log level of servers in tests.
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

    /// The same with a prepared [`concertctl`].
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

    /// The same with a limit on the size of files, in kibibytes.
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

    /// A user of an earlier server, with the same token, at this server.
    pub fn user_with(&self, user: &User) -> User {
        user.at(&self.api)
    }

    /// Kills the process with SIGKILL. Returns when it has ended.
    pub fn signal_kill(&self) {
        let mut child = self.child.lock();
        child.0.kill().unwrap();
        child.0.wait().unwrap();
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGHUP.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Sends a signal that the process handles.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child.lock().0)
    }

    /// Waits for the end of the process.
    pub async fn exited(&self) -> std::process::ExitStatus {
        eventually("the server ends", || async {
            self.child.lock().0.try_wait().unwrap()
        })
        .await
    }
}

/// A private device that is always full, like /dev/full, so that a defect cannot replace the machine's device. `None`
/// without the right to make devices.
pub fn full_device(dir: &Path) -> Option<std::path::PathBuf> {
    let path = dir.join("full");
    let made = Command::new("mknod")
        .arg(&path)
        .args(["c", "1", "7"])
        .status();
    made.is_ok_and(|status| status.success()).then_some(path)
}

/// The end of a run of the program.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` if a signal ended the process.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Asserts a failure with this exit code and one line of error, which contains all of `named`.
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

/// A running program. Its output goes to files, so that it never blocks on a full pipe.
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

    /// Kills the process with SIGKILL. Returns when it has ended.
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
