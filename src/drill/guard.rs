//! The guard process owns all that must not outlast a drill: the server that the drill started, and the faults outside
//! of that server.
//!
//! The drill starts the guard as a child, writes orders to its standard input and reads events from its standard
//! output, one JSON object a line. The input ends when the drill is over or was killed. Then the guard undoes what a
//! command did, kills the server even if it is frozen, and removes the server's data directory. The guard is not in the
//! drill's process group, because a Ctrl-C on the terminal must not end it before it has undone the faults.

use std::fs::File;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

use super::{Moment, now};

/// The longest time that a command may take. It is shorter than the drill waits for an answer.
const COMMAND: Duration = Duration::from_secs(8);

/// An order of the drill.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Starts the server.
    Start(Server),
    /// Asks whether the server's process runs.
    Status,
    /// Kills the server (SIGKILL), and starts it again later with other arguments.
    Kill {
        /// The time from the kill to the next start, in ms.
        for_ms: u64,
        /// The arguments of the next start.
        args: Vec<String>,
    },
    /// Stops the server's process (SIGSTOP), and continues it later (SIGCONT).
    Freeze {
        /// The time from SIGSTOP to SIGCONT, in ms.
        for_ms: u64,
    },
    /// Keeps processors busy.
    Hog {
        /// The number of processors.
        cores: usize,
        /// The time for which the processors are busy, in ms.
        for_ms: u64,
    },
    /// Ends all faults of the server's process, of the processors and of commands before their time.
    Release,
    /// Kills the server, if it runs, and starts it again at once.
    Restart {
        /// The arguments of the next start.
        args: Vec<String>,
    },
    /// Runs a command, and later the command that undoes it.
    Command {
        /// The command, for `sh -c`.
        run: String,
        /// The command that undoes it, for `sh -c`.
        undo: String,
        /// The time from the beginning until the second command, in ms.
        for_ms: u64,
    },
}

/// A server to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Server {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its data directory, which the guard removes at its end.
    pub dir: PathBuf,
}

/// An event of the guard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Event {
    /// The server was started.
    Started,
    /// The server's process runs.
    Runs,
    /// The server's process has exited, with this status.
    Exited(String),
    /// The fault began.
    Began(Moment),
    /// The fault ended.
    Ended(Moment),
    /// The guard has ended every fault, or tried to.
    Released,
    /// The fault could not be ended.
    NotEnded(String),
    /// An order could not be carried out.
    Failed(String),
}

#[derive(Default)]
struct Guarded {
    server: Option<Server>,
    child: Option<Child>,
    /// Tells the threads that keep processors busy to stop.
    let_go: Arc<AtomicBool>,
    /// The commands that undo commands, each with the beginning of its fault.
    undo: Vec<(Moment, String)>,
}

/// Returns whether an environment variable sets a flag of a server, other than the level of its log, or names a
/// telemetry collector.
fn is_setting(name: &str) -> bool {
    let is_ours = name.starts_with("CONCERTCTL_") && name != "CONCERTCTL_LOG";
    is_ours || name.starts_with("OTEL_")
}

impl Guarded {
    fn start(&mut self) -> std::io::Result<()> {
        let Some(server) = &self.server else {
            return Err(std::io::Error::other("no server was started yet"));
        };
        let log = File::options()
            .create(true)
            .append(true)
            .open(server.dir.join("server.stderr"))?;
        let mut command = Command::new(&server.program);
        // The user's settings are for another server. With them the drill's server would seed that server's database
        // and notify the user's team.
        let environment = std::env::vars_os().map(|(name, _)| name);
        for name in environment.filter(|name| is_setting(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        let child = command
            .args(&server.args)
            // An empty file replaces the one in the working directory.
            .env("CONCERTCTL_CONFIG", "/dev/null")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    fn status(&mut self) -> std::io::Result<Event> {
        let child = self.child.as_mut();
        let exited = child.map(Child::try_wait).transpose()?.flatten();
        Ok(exited.map_or(Event::Runs, |status| Event::Exited(status.to_string())))
    }

    /// Starts the server, unless a restart has started it since the kill.
    fn start_again(&mut self) -> std::io::Result<()> {
        match self.child {
            Some(_) => Ok(()),
            None => self.start(),
        }
    }

    fn restart(&mut self, args: Vec<String>) -> std::io::Result<()> {
        self.kill();
        if let Some(server) = &mut self.server {
            server.args = args;
        }
        self.start()
    }

    fn signal(&self, signal: Signal) -> std::io::Result<()> {
        let gone = || std::io::Error::other("the server does not run");
        let child = self.child.as_ref().ok_or_else(gone)?;
        Ok(kill_process(Pid::from_child(child), signal)?)
    }

    /// Runs the command that undoes the fault that began at `began`, once.
    fn undo(&mut self, began: Moment) -> std::io::Result<()> {
        let place = self.undo.iter().position(|(at, _)| *at == began);
        let undo = place.map(|place| self.undo.remove(place));
        undo.map_or(Ok(()), |(_, undo)| shell(&undo))
    }

    fn release(&mut self) {
        std::mem::take(&mut self.let_go).store(true, Ordering::Relaxed);
        for (_, undo) in std::mem::take(&mut self.undo) {
            report_end(shell(&undo));
        }
        // Continues a stopped server. Without a server there is nothing to do.
        drop(self.signal(Signal::CONT));
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // If the server has ended by itself, the kill fails and nothing is left to do.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The guard's main loop: carries out orders from standard input until it ends.
#[must_use]
pub fn run() -> ExitCode {
    let guarded = Arc::<Mutex<Guarded>>::default();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        match serde_json::from_str(&line) {
            Ok(order) => carry_out(&guarded, order),
            Err(error) => report(&Event::Failed(format!("not an order: {error}"))),
        }
    }
    let mut guarded = guarded.lock();
    guarded.release();
    guarded.kill();
    // A restart whose time comes now must not start a server any more.
    if let Some(server) = guarded.server.take() {
        // The operating system's cleaning of temporary files removes what remains here.
        drop(std::fs::remove_dir_all(&server.dir));
    }
    ExitCode::SUCCESS
}

fn carry_out(guarded: &Arc<Mutex<Guarded>>, order: Order) {
    let done = match order {
        Order::Start(server) => {
            let mut guarded = guarded.lock();
            guarded.server = Some(server);
            guarded.start().map(|()| Event::Started)
        }
        Order::Status => guarded.lock().status(),
        Order::Kill { for_ms, args } => {
            let mut held = guarded.lock();
            held.kill();
            if let Some(server) = &mut held.server {
                server.args = args;
            }
            later(guarded, for_ms, Guarded::start_again);
            Ok(Event::Began(now()))
        }
        Order::Freeze { for_ms } => {
            let stopped = guarded.lock().signal(Signal::STOP);
            stopped.map(|()| {
                later(guarded, for_ms, |held| held.signal(Signal::CONT));
                Event::Began(now())
            })
        }
        Order::Hog { cores, for_ms } => {
            let until = Instant::now() + Duration::from_millis(for_ms);
            let let_go = Arc::clone(&guarded.lock().let_go);
            for _ in 0..cores {
                let let_go = Arc::clone(&let_go);
                std::thread::spawn(move || {
                    while Instant::now() < until && !let_go.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            Ok(Event::Began(now()))
        }
        Order::Release => {
            guarded.lock().release();
            Ok(Event::Released)
        }
        Order::Restart { args } => guarded.lock().restart(args).map(|()| Event::Started),
        Order::Command { run, undo, for_ms } => {
            let began = now();
            // Added before the command runs, so that a command that fails half-way is undone too.
            guarded.lock().undo.push((began, undo));
            let done = shell(&run);
            match &done {
                Ok(()) => {
                    let past = u64::try_from(now() - began).unwrap_or(0);
                    later(guarded, for_ms.saturating_sub(past), move |held| {
                        held.undo(began)
                    });
                }
                Err(_) => report_end(guarded.lock().undo(began)),
            }
            done.map(|()| Event::Began(began))
        }
    };
    report(&done.unwrap_or_else(|error| Event::Failed(error.to_string())));
}

/// Runs a command to its end. If it takes too long, kills it with all processes that it started.
fn shell(command: &str) -> std::io::Result<()> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // The processes that the shell started would survive it, so the whole group is killed.
        .process_group(0)
        .spawn()?;
    let latest = Instant::now() + COMMAND;
    while Instant::now() < latest {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => {
                let problem = format!("`{command}` ended with {status}");
                return Err(std::io::Error::other(problem));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    kill_process_group(Pid::from_child(&child), Signal::KILL)?;
    child.wait()?;
    let problem = format!("`{command}` did not end within {} s", COMMAND.as_secs());
    Err(std::io::Error::other(problem))
}

/// Ends a fault after `for_ms`, independently of the drill.
fn later(
    guarded: &Arc<Mutex<Guarded>>,
    for_ms: u64,
    end: impl FnOnce(&mut Guarded) -> std::io::Result<()> + Send + 'static,
) {
    let guarded = Arc::clone(guarded);
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(for_ms));
        report_end(end(&mut guarded.lock()));
    });
}

fn report_end(ended: std::io::Result<()>) {
    report(&match ended {
        Ok(()) => Event::Ended(now()),
        Err(error) => {
            let problem = format!("a fault could not be ended: {error}");
            // A person must end the fault by hand, so the terminal shows the problem even if the drill is gone.
            drop(writeln!(std::io::stderr(), "concertctl drill: {problem}"));
            Event::NotEnded(problem)
        }
    });
}

fn report(event: &Event) {
    let line = serde_json::to_string(event).unwrap_or_default();
    let mut stdout = std::io::stdout().lock();
    // The write fails if the drill is gone, and then no process reads the event.
    drop(writeln!(stdout, "{line}"));
    drop(stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_notices_that_the_server_has_exited() {
        let dir = tempfile::tempdir().unwrap();
        let program = PathBuf::from("/bin/sh");
        let args = ["-c", "exit 7"].map(str::to_owned).to_vec();
        let mut guarded = Guarded {
            server: Some(Server {
                program,
                args,
                dir: dir.path().to_owned(),
            }),
            ..Guarded::default()
        };
        assert_eq!(guarded.status().unwrap(), Event::Runs, "no server yet");
        guarded.start().unwrap();
        let exited = loop {
            match guarded.status().unwrap() {
                Event::Runs => std::thread::sleep(Duration::from_millis(5)),
                other => break other,
            }
        };
        assert_eq!(exited, Event::Exited("exit status: 7".to_owned()));
        guarded.kill();
    }
}
