//! The process that owns what must not outlast a drill: the server that it started, and what was done
//! to that server's process.
//!
//! The drill starts it as a child, gives orders over its standard input and reads events from its
//! standard output, a JSON object a line. When the input ends, because the drill is over or was killed,
//! the guard undoes what a command did, kills the server, frozen or not, and removes its data directory. It
//! is no part of the drill's process group: a Ctrl-C that reaches everybody on the terminal must not end
//! it before it has tidied up.

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

/// How long a command may take. Less than the drill waits for an answer.
const COMMAND: Duration = Duration::from_secs(8);

/// What the drill asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Starts the server.
    Start(Server),
    /// Kills the server (SIGKILL), and starts it again later with other arguments.
    Kill {
        /// How long it stays away, ms.
        for_ms: u64,
        /// The arguments of the next start.
        args: Vec<String>,
    },
    /// Stops the server's process (SIGSTOP), and lets it go on later (SIGCONT).
    Freeze {
        /// How long it stands still, ms.
        for_ms: u64,
    },
    /// Keeps processors busy.
    Hog {
        /// How many.
        cores: usize,
        /// For how long, ms.
        for_ms: u64,
    },
    /// Ends what was done to the server's process, to the processors and by commands, before its time.
    Release,
    /// Kills the server, if it runs, and starts it again at once.
    Restart {
        /// The arguments of the next start.
        args: Vec<String>,
    },
    /// Runs a command, and later the one that undoes it.
    Command {
        /// For `sh -c`.
        run: String,
        /// For `sh -c`.
        undo: String,
        /// How long after the beginning it is undone, ms.
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
    /// Its data directory, which goes with the guard.
    pub dir: PathBuf,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Event {
    /// The server was started.
    Started,
    /// The fault began.
    Began(Moment),
    /// The fault ended.
    Ended(Moment),
    /// Every fault was ended, or at least tried to.
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
    /// Set when the processors are to be let go.
    let_go: Arc<AtomicBool>,
    /// The commands that undo what others have done since.
    undo: Vec<(Moment, String)>,
}

/// Whether an environment variable sets a flag of a server other than the level of its log, or names its collector.
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
        // The user's settings are for another server: with them this one would seed its database and page its team.
        let environment = std::env::vars_os().map(|(name, _)| name);
        for name in environment.filter(|name| is_setting(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        let child = command
            .args(&server.args)
            // An empty file, instead of the one in the working directory.
            .env("CONCERTCTL_CONFIG", "/dev/null")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Starts the server, unless somebody else has started it since it was killed.
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

    /// Undoes, once, what was done at that time.
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
        // It goes on if it stood still, whoever stopped it; without a server there is nothing to do.
        drop(self.signal(Signal::CONT));
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; then there is nothing left to kill.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The guard's whole life: orders from standard input until it ends.
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
    // Taken, so that a restart whose time comes now starts nothing any more.
    if let Some(server) = guarded.server.take() {
        // What cannot be removed is left to the system's own cleaning of temporary files.
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
            // Before it runs: what fails half-way is undone too.
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

/// Runs a command to its end, or kills it and what it started when it takes too long.
fn shell(command: &str) -> std::io::Result<()> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // What the shell started would go on without it: the group is killed as a whole.
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

/// Ends a fault in time, whatever the drill does meanwhile.
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
            // Whoever is at the terminal has to do it by hand, also when the drill is gone.
            drop(writeln!(std::io::stderr(), "concertctl drill: {problem}"));
            Event::NotEnded(problem)
        }
    });
}

fn report(event: &Event) {
    let line = serde_json::to_string(event).unwrap_or_default();
    let mut stdout = std::io::stdout().lock();
    // A drill that is gone reads nothing more.
    drop(writeln!(stdout, "{line}"));
    drop(stdout.flush());
}
