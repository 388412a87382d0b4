//! `concertctl load` runs virtual users through a scenario over real connections, measures and judges. It uses only
//! the server's interfaces: the ticketing API like the users do, and the operations listener for dataset, admission
//! and audit.
//!
//! # Phases
//!
//! In `register`, admission is closed, and the users register, as many at a time as the scenario says. In `open`, the
//! sale opens. Every user polls exactly when the server asks for it, and looks and reserves after admission. In
//! `pay`, users with a seat charge and pay. The phases overlap, because users move from one to the next at different
//! times. A run of a single phase also starts from an unused dataset. The phases before it are not measured, and the
//! phases after it do not happen. Thresholds on operations of other phases are then not judged.
//!
//! # Measurement
//!
//! Latency counts from the due time of a request (the end of a think time, of the pause that `pollAfterMs` named, or
//! of a retry pause). So it includes the wait for a connection and for the generator itself. Service time counts from
//! the sending. Every attempt counts, including repeats. TLS handshakes are measured apart, in the row `connections`.
//!
//! # Threads
//!
//! Workers are threads with their own runtime (`worker`). `run` supervises them from the caller's runtime and merges
//! their records ([`recorder`]).

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
pub mod own_profile;
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
pub use own_profile::OwnProfile;
pub use progress::Progress;
pub use result::{RunResult, SavedFiles};
pub use scenario::{Scenario, ScenarioError, ScenarioInfo, scenarios};
pub use summary::Summary;
pub use worker::ShardSpec;

/// The server to rehearse on.
#[derive(Clone)]
pub struct Target {
    /// The URLs of the ticketing API, `http://host:port` or `https://host:port`. If a service has several servers, list
    /// all of them, and the connections are spread evenly.
    pub api_urls: Vec<String>,
    /// The operations listener, `http://host:port` or `https://host:port`.
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

/// Decides whether the dataset is replaced before a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reseed {
    /// Only if there is no dataset. A dataset that does not fit is an error that says what to do.
    #[default]
    WhenMissing,
    /// If the dataset is missing, is not the scenario's, or is used.
    WhenUnfit,
    /// Always.
    Always,
}

/// The scenario of a run, and its options.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The scenario.
    pub scenario: Scenario,
    /// The only phase to measure.
    pub phase: Option<PhaseName>,
    /// The profile of the scenario's dataset, if the server does not ship it.
    pub profile: Option<OwnProfile>,
    /// Whether to replace the dataset.
    pub reseed: Reseed,
    /// The server runs in this process, so it needs as many files for connections as the users do.
    pub embedded: bool,
    /// The part of the users that this process runs.
    pub shard: ShardSpec,
    /// Called with every measured request.
    pub meter: Option<Meter>,
}

impl RunOptions {
    /// The options to run a whole scenario against a server in another process.
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

/// The reason why a run could not take place. Nothing was judged then.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The target is invalid, because of a mistake in the command line.
    #[error("the target {0}")]
    Target(String),
    /// No server listens at the target.
    #[error(
        "no server at {target}: {reason}; start one with `concertctl serve`, or leave --target out to use an embedded one"
    )]
    Unreachable {
        /// Host and port.
        target: String,
        /// The error of the operating system.
        reason: String,
    },
    /// A server listens at the target, but its TLS cannot be used.
    #[error("{target}: {reason}")]
    Tls {
        /// Host and port.
        target: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// One of several servers cannot serve users.
    #[error("{target} is not ready: {reason}; `concertctl health {target}` asks it again")]
    NotReady {
        /// The server's URL.
        target: String,
        /// Its parts that are not ready.
        reason: String,
    },
    /// The operations listener refuses a request that a run needs.
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
    /// The run was stopped before the first registration.
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

/// A function that is called with every measured request on the workers' threads. It must be fast.
#[derive(Clone)]
pub struct Meter(pub std::sync::Arc<OnRequest>);

/// Takes the traffic group's name (empty for the buyers) and the request.
type OnRequest = dyn Fn(&str, &recorder::Sample) + Send + Sync;

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meter")
    }
}

/// A running rehearsal. Dropping the handle stops the run.
#[derive(Debug)]
pub struct RunHandle {
    /// Snapshots of the progress, about four per second.
    pub progress: watch::Receiver<Progress>,
    /// Steers the run.
    pub control: LoadControl,
    task: JoinHandle<Result<Summary, LoadError>>,
}

impl RunHandle {
    /// Waits for the end. The scenario's limits, its time-outs and that of the audit bound the wait.
    ///
    /// # Errors
    /// The run could not take place.
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

/// Starts a run. Must be called within a Tokio runtime. The users run on their own threads.
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
