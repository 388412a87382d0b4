//! The load generator that runs rehearsals for the console. It is a trait, so that tests can replace it. The progress
//! of a run has the types of `load`.

use std::path::{Path, PathBuf};
use std::pin::Pin;

use tokio::sync::watch;

use crate::clients::Secret;
use crate::load::{Command, PhaseName, Progress, RunResult, ScenarioInfo};
use crate::tui::drill_runner::{DrillInfo, DrillRun};

/// A rehearsal to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRequest {
    /// The name of the scenario.
    pub scenario: String,
    /// The file of the scenario; `None` for a shipped one.
    pub file: Option<PathBuf>,
    /// The only phase to run; `None` for all phases.
    pub phase: Option<PhaseName>,
    /// If true, the run first seeds the scenario's dataset, unless it is loaded and unused. If false, the run seeds
    /// only if no dataset is loaded.
    pub reseed: bool,
    /// The URL of the ticketing API, `http://HOST:PORT` or `https://HOST:PORT`.
    pub api_url: String,
    /// The URL of the operations listener, `http://HOST:PORT/` or `https://HOST:PORT/`.
    pub ops_url: String,
    /// The bearer token of the operations listener.
    pub token: Option<Secret>,
}

/// The result of a run, or the reason why it could not run.
pub type Ended = Pin<Box<dyn Future<Output = Result<RunResult, String>> + Send>>;

/// Sends a command to a run; false if the run is over or its queue of commands is full.
pub type Control = Box<dyn Fn(Command) -> bool + Send + Sync>;

/// A run under way.
pub struct Run {
    /// The progress; after the run, its last value.
    pub progress: watch::Receiver<Progress>,
    /// Sends commands to the run. A stopped run still gets a verdict.
    pub control: Control,
    /// Resolves at the end of the run.
    pub ended: Ended,
}

/// A load generator. Every error is one line of text.
pub trait LoadGenerator: Send + Sync {
    /// The shipped scenarios, the default first.
    fn scenarios(&self) -> Vec<ScenarioInfo>;

    /// The scenario of a file. Blocks while the file is read.
    fn read_scenario(&self, path: &Path) -> Result<ScenarioInfo, String>;

    /// The text of a valid dataset profile. Blocks while the file is read.
    fn read_profile(&self, path: &Path) -> Result<String, String>;

    /// Starts a run in the background.
    fn start(&self, request: StartRequest) -> Result<Run, String>;

    /// All drills with their last reports. Blocks while files are read.
    fn drills(&self) -> Vec<DrillInfo> {
        Vec::new()
    }

    /// Starts the drill with this name or file in the background.
    fn start_drill(&self, _drill: &str) -> Result<DrillRun, String> {
        Err(NO_LOAD.into())
    }
}

/// The load generator of a replay: it starts nothing.
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
