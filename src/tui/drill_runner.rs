//! The types by which the console lists and starts drills, so that tests can replace the runner. Progress and report
//! have the types of `drill`.

use std::path::PathBuf;
use std::pin::Pin;

use tokio::sync::watch;

use crate::drill::blind::action::Action;
use crate::drill::plan::PlannedInject;
use crate::drill::progress::Progress;
use crate::drill::report::Report;

/// A drill that can be started.
#[derive(Clone, Debug, Default)]
pub struct DrillInfo {
    /// Its name.
    pub name: String,
    /// The file that it was read from; `None` for a shipped drill.
    pub file: Option<PathBuf>,
    /// A description in one line.
    pub title: String,
    /// The scenario that makes the traffic.
    pub traffic: String,
    /// The time for which a drill without faults watches: `30s`.
    pub watch: String,
    /// The faults, with the worst case of each alert; empty for a drill without faults.
    pub plan: Vec<PlannedInject>,
    /// The reason why it cannot be started.
    pub problem: Option<String>,
    /// Its newest report, and the report's file.
    pub last: Option<(PathBuf, Box<Report>)>,
}

/// The report of a drill, or the reason why there is none.
pub type DrillEnded = Pin<Box<dyn Future<Output = Result<Box<Report>, String>> + Send>>;

/// Passes an action of the player to the blind drill. Returns false if the drill does not take it.
pub type SendPlayerAction = Box<dyn Fn(&Action) -> bool + Send + Sync>;

/// A drill under way.
pub struct DrillRun {
    /// The progress; after the drill, its last value.
    pub progress: watch::Receiver<Progress>,
    /// Ends the drill and its fault. The drill still makes a report.
    pub stop: Box<dyn Fn() + Send + Sync>,
    /// Passes an action of the player to the blind drill.
    pub send_player_action: SendPlayerAction,
    /// Resolves at the end of the drill.
    pub ended: DrillEnded,
}
