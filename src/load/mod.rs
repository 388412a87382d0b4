//! `concertctl load`: drives virtual users through a scenario over real connections, measures and
//! judges. It sees the server from outside only: the ticketing API as its users do, the operations
//! listener for dataset, admission and audit.
//!
//! # Phases
//!
//! `register`: admission is closed, as many lanes as the scenario says take one user after the other
//! (a closed executor). `open`: the sale opens and every user polls exactly when the server said,
//! looks and reserves once admitted. `pay`: who holds a seat charges and pays. The phases overlap as
//! users flow from one to the next. A run of one phase alone starts from an unused dataset all the
//! same: what comes before the phase happens without being measured, what comes after does not
//! happen. Thresholds on operations of other phases are not judged then.
//!
//! # Measurement
//!
//! Latency counts from the instant at which a request was due (end of a think time, of the pause
//! that `pollAfterMs` named, of a retry pause), so that waiting for a connection or for the
//! generator itself is in it; service time counts from sending. Every attempt counts, repeats too.
//!
//! # Threads
//!
//! Workers are threads with a runtime each (`worker`); `run` conducts them from the caller's
//! runtime and merges what they record ([`recorder`]).

mod arrivals;
mod audit;
pub mod baseline;
mod connection;
mod control;
mod health;
pub mod histograms;
mod judge;
mod merge;
pub mod model;
mod ops;
mod pacing;
pub mod plan;
mod prepare;
pub mod progress;
pub mod recorder;
pub mod report;
mod requests;
mod result;
mod run;
pub mod scenario;
mod seat_picker;
pub mod self_check;
mod server_idle;
pub mod summary;
pub mod traffic_only;
pub mod unacknowledged;
mod user;
mod worker;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use control::{Command, LoadControl};
pub use health::{ThreadShare, raise_file_limit};
pub use judge::{Ending, Judged, Outcome, Relation, Unit, Verdict};
pub use merge::merge;
pub use model::PhaseName;
pub use ops::OpsError;
pub use progress::Progress;
pub use result::{RunResult, SavedFiles};
pub use scenario::{Scenario, ScenarioError, ScenarioInfo, scenarios};
pub use summary::Summary;
pub use worker::ShardSpec;

/// The server to rehearse on.
#[derive(Clone)]
pub struct Target {
    /// The ticketing API, `http://host:port`; of several servers of one service all of them, and the
    /// connections are spread evenly.
    pub api_urls: Vec<String>,
    /// The operations listener, `http://host:port`.
    pub ops_url: String,
    /// The operations listener's bearer token.
    pub ops_token: Option<String>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.ops_token.as_ref().map(|_| "…");
        let mut fields = f.debug_struct("Target");
        fields
            .field("api_urls", &self.api_urls)
            .field("ops_url", &self.ops_url);
        fields.field("ops_token", &token).finish()
    }
}

/// When the dataset is replaced before a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reseed {
    /// When there is none. One that does not fit is an error that says what to do.
    #[default]
    WhenMissing,
    /// When it is missing, another than the scenario's, or used.
    WhenUnfit,
    /// Always.
    Always,
}

/// A dataset profile that the server does not ship: what the file says, and what it comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnProfile {
    /// The file's text.
    pub text: String,
    /// Seats in all.
    pub seats: u64,
    /// Users.
    pub users: u64,
}

/// The scenario of a run, and how to run it.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The scenario.
    pub scenario: Scenario,
    /// Measure this phase alone.
    pub phase: Option<PhaseName>,
    /// The profile of the scenario's dataset, where the server does not ship it.
    pub profile: Option<OwnProfile>,
    /// When to replace the dataset.
    pub reseed: Reseed,
    /// The server runs in this process: it needs as many files for connections as the users do.
    pub embedded: bool,
    /// Which part of the users this process carries.
    pub shard: ShardSpec,
    /// Told of every request.
    pub meter: Option<Meter>,
}

impl RunOptions {
    /// The whole of a scenario against a server in another process.
    #[must_use]
    pub fn new(scenario: Scenario) -> RunOptions {
        RunOptions {
            scenario,
            phase: None,
            profile: None,
            reseed: Reseed::WhenMissing,
            embedded: false,
            shard: ShardSpec::default(),
            meter: None,
        }
    }
}

/// Why a run could not take place. Nothing was judged then.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The target is not one: a mistake in what was typed.
    #[error("the target {0}")]
    Target(String),
    /// No server listens there.
    #[error(
        "no server at {target}: {reason}; start one with `concertctl serve`, or leave --target out to use an embedded one"
    )]
    Unreachable {
        /// Host and port.
        target: String,
        /// The system's error.
        reason: String,
    },
    /// The operations listener does not do what a run needs.
    #[error("the operations listener: {0}")]
    Ops(#[from] OpsError),
    /// The dataset does not fit.
    #[error("{0}")]
    Dataset(String),
    /// The dataset could not be loaded.
    #[error("seeding failed: {0}; the log of the server says more")]
    Seeding(String),
    /// The generator could not start.
    #[error("the load generator could not start: {0}")]
    Generator(String),
    /// Stopped before the first registration.
    #[error("stopped before the first request: nothing was measured")]
    Stopped,
}

impl LoadError {
    /// The exit code: 2 for a usage error, else 1.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            LoadError::Target(_) => 2,
            _ => 1,
        }
    }
}

/// Is called with every measured request, on the workers' threads: it must be
/// quick.
#[derive(Clone)]
pub struct Meter(pub std::sync::Arc<Told>);

/// Takes the traffic group's name (empty for the buyers) and the request.
type Told = dyn Fn(&str, &recorder::Sample) + Send + Sync;

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meter")
    }
}

/// A run under way. Dropped, it stops the run.
#[derive(Debug)]
pub struct RunHandle {
    /// Snapshots, about four a second.
    pub progress: watch::Receiver<Progress>,
    /// Steers it.
    pub control: LoadControl,
    task: JoinHandle<Result<Summary, LoadError>>,
}

impl RunHandle {
    /// Waits for the end. Bounded by the scenario's limits, its time-outs and the audit's.
    ///
    /// # Errors
    /// When the run could not take place.
    pub async fn join(mut self) -> Result<Summary, LoadError> {
        let ended = (&mut self.task).await;
        ended.unwrap_or_else(|error| Err(LoadError::Generator(error.to_string())))
    }
}

impl Drop for RunHandle {
    fn drop(&mut self) {
        self.control.stop();
    }
}

/// Starts a run. Must be called within a Tokio runtime; the users have threads of their own.
#[must_use]
pub fn start(target: Target, options: RunOptions) -> RunHandle {
    let (sender, progress) = watch::channel(Progress::default());
    let stop = CancellationToken::new();
    let (control, commands) = LoadControl::new(stop.clone());
    let steering = run::Steering {
        progress: sender,
        stop,
        commands,
    };
    let running = Box::pin(run::run(target, options, steering));
    RunHandle {
        progress,
        control,
        task: tokio::spawn(running),
    }
}
