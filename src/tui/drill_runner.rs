//! What the console knows of drills and how it starts one: types, so that tests start a puppet. What is said of a
//! drill are the types of `drill` themselves.

use std::path::PathBuf;
use std::pin::Pin;

use tokio::sync::watch;

use crate::drill::blind::action::Action;
use crate::drill::progress::Progress;
use crate::drill::run::{PlannedInject, Report};

/// A drill that can be started.
#[derive(Clone, Debug, Default)]
pub struct DrillInfo {
    /// Its name.
    pub name: String,
    /// The file that it was read from; absent for a shipped one.
    pub file: Option<PathBuf>,
    /// One line for people.
    pub title: String,
    /// The scenario that makes the traffic.
    pub traffic: String,
    /// How long a quiet drill watches: `30s`.
    pub watch: String,
    /// The faults with the worst case of each alert; none: a quiet drill.
    pub plan: Vec<PlannedInject>,
    /// Why it cannot be started.
    pub problem: Option<String>,
    /// Its newest report, and the file of it.
    pub last: Option<(PathBuf, Box<Report>)>,
}

/// The report of a drill, or why there is none.
pub type DrillEnded = Pin<Box<dyn Future<Output = Result<Box<Report>, String>> + Send>>;

/// Passes on an action of a blind drill's player; `false` when nobody takes it.
pub type Play = Box<dyn Fn(&Action) -> bool + Send + Sync>;

/// A drill under way.
pub struct DrillRun {
    /// The last value stays.
    pub progress: watch::Receiver<Progress>,
    /// Ends it, with its fault taken back. It still gives a report.
    pub stop: Box<dyn Fn() + Send + Sync>,
    /// What the player of a blind drill does.
    pub play: Play,
    /// Resolves at its end.
    pub ended: DrillEnded,
}
