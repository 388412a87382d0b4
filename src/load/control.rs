//! Commands that steer a run.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The largest number of waiting commands.
pub(super) const WAITING: usize = 64;

/// A command to a running rehearsal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    /// Begins no further requests.
    Pause,
    /// Continues the run. Requests whose due time passed meanwhile are due now.
    Resume,
    /// Speeds up by a quarter: pauses and gaps between arrivals become shorter. No poll is sent earlier than the
    /// server asked for.
    Faster,
    /// Slows down by a quarter: pauses and gaps become longer, polls come later.
    Slower,
    /// Ends the phase that most users are in. They begin the next phase or finish.
    Next,
    /// Ends the run gracefully: it waits for requests in flight, audits, and writes the summary as usual.
    Stop,
}

impl Command {
    /// All commands.
    pub const ALL: [Command; 6] = [
        Command::Pause,
        Command::Resume,
        Command::Faster,
        Command::Slower,
        Command::Next,
        Command::Stop,
    ];

    /// The name in URLs, key help and marks.
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

    /// The effect of the command in words, after a run has accepted it.
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

/// The factor of [`Command::Faster`].
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

    /// Sends a command to the run. `false` when the run is over or too many commands wait.
    pub fn send(&self, command: Command) -> bool {
        if command == Command::Stop {
            self.stop();
            return true;
        }
        self.commands.try_send(command).is_ok()
    }
}
