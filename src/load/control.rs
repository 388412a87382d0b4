//! Steering a run while it is under way.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Commands that may wait to be carried out.
pub(super) const WAITING: usize = 64;

/// A command to a run under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    /// No request is begun.
    Pause,
    /// It goes on. Requests that fell due meanwhile are due now.
    Resume,
    /// A quarter faster: pauses and gaps between arrivals shrink. A poll is never
    /// asked sooner.
    Faster,
    /// A quarter slower: pauses and gaps grow, polls come later.
    Slower,
    /// Ends the phase that most users are in; they go on to the next, or home.
    Next,
    /// Ends the run gracefully: requests under way are awaited, the audit is made, the summary is
    /// there as ever.
    Stop,
}

impl Command {
    /// All of them.
    pub const ALL: [Command; 6] = [
        Command::Pause,
        Command::Resume,
        Command::Faster,
        Command::Slower,
        Command::Next,
        Command::Stop,
    ];

    /// Its name in URLs, key help and marks.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Command::Pause => "pause",
            Command::Resume => "resume",
            Command::Faster => "faster",
            Command::Slower => "slower",
            Command::Next => "next",
            Command::Stop => "stop",
        }
    }

    /// The effect in words, once a run has taken the command.
    #[must_use]
    pub const fn effect(self) -> &'static str {
        match self {
            Command::Pause => "rehearsal paused",
            Command::Resume => "rehearsal resumed",
            Command::Faster => "rehearsal a quarter faster",
            Command::Slower => "rehearsal a quarter slower",
            Command::Next => "phase of the rehearsal ended",
            Command::Stop => "rehearsal stopping",
        }
    }

    /// The value with that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Command> {
        Command::ALL
            .into_iter()
            .find(|known| known.as_str() == name)
    }
}

/// By how much [`Command::Faster`] is faster.
pub(super) const STEP: f64 = 1.25;

/// Steers a run.
#[derive(Clone, Debug)]
pub struct LoadControl {
    stop: CancellationToken,
    commands: mpsc::Sender<Command>,
}

impl LoadControl {
    pub(super) fn new(stop: CancellationToken) -> (LoadControl, mpsc::Receiver<Command>) {
        let (commands, received) = mpsc::channel(WAITING);
        (LoadControl { stop, commands }, received)
    }

    /// Ends the run gracefully.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Sends a command to the run. `false` when it is over, or too many commands wait.
    pub fn send(&self, command: Command) -> bool {
        if command == Command::Stop {
            self.stop();
            return true;
        }
        self.commands.try_send(command).is_ok()
    }
}
