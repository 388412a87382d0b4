//! The load generator with which the console starts rehearsals. It is a trait, so that tests can replace it. The
//! progress of a run has the types of `load`.

use std::path::{Path, PathBuf};
use std::pin::Pin;

use tokio::sync::watch;

use crate::clients::Secret;
use crate::load::{Command, PhaseName, Progress, RunResult, ScenarioInfo};
use crate::tui::drill_runner::{DrillInfo, DrillRun};

/// A rehearsal to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRequest {
    /// Name of a shipped scenario.
    pub scenario: String,
    /// The file of the scenario; absent: a shipped one.
    pub file: Option<PathBuf>,
    /// One phase alone; absent: all of them.
    pub phase: Option<PhaseName>,
    /// Seed the scenario's dataset first: queue, reservations and sales begin at nothing.
    pub reseed: bool,
    /// The ticketing API, `http://HOST:PORT`.
    pub api_url: String,
    /// The operations listener, `http://HOST:PORT/`.
    pub ops_url: String,
    /// Its bearer token.
    pub token: Option<Secret>,
}

/// The end of a run, or why it could not be carried out.
pub type Ended = Pin<Box<dyn Future<Output = Result<RunResult, String>> + Send>>;

/// Commands a run; false when the run is over, or has more commands waiting than it can take.
pub type Control = Box<dyn Fn(Command) -> bool + Send + Sync>;

/// A run under way.
pub struct Run {
    /// The last value stays.
    pub progress: watch::Receiver<Progress>,
    /// A run that is stopped is still judged.
    pub control: Control,
    /// Resolves at the end of the run.
    pub ended: Ended,
}

/// A load generator. Every error is one line for people with the mistake, its place, and the correction.
pub trait LoadGenerator: Send + Sync {
    /// The shipped scenarios, the default first.
    fn scenarios(&self) -> Vec<ScenarioInfo>;

    /// Blocks while the file is read.
    fn read_scenario(&self, path: &Path) -> Result<ScenarioInfo, String>;

    /// The text of a valid dataset profile. Blocks while the file is read.
    fn read_profile(&self, path: &Path) -> Result<String, String>;

    /// Starts a run in the background.
    fn start(&self, request: StartRequest) -> Result<Run, String>;

    /// The drills that can be started, with their last reports. Blocks while files are read.
    fn drills(&self) -> Vec<DrillInfo> {
        Vec::new()
    }

    /// Starts the drill of that name or file in the background.
    fn start_drill(&self, _drill: &str) -> Result<DrillRun, String> {
        Err(NO_LOAD.into())
    }
}

/// No load generator: a recording is shown.
#[derive(Clone, Copy, Debug)]
pub struct NoLoad;

const NO_LOAD: &str = "this console has no load generator";

impl LoadGenerator for NoLoad {
    fn scenarios(&self) -> Vec<ScenarioInfo> {
        Vec::new()
    }

    fn read_scenario(&self, _: &Path) -> Result<ScenarioInfo, String> {
        Err(NO_LOAD.into())
    }

    fn read_profile(&self, _: &Path) -> Result<String, String> {
        Err(NO_LOAD.into())
    }

    fn start(&self, _: StartRequest) -> Result<Run, String> {
        Err(NO_LOAD.into())
    }
}
