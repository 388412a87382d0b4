//! What the console needs of the load generator, and no more: scenarios to choose from, a run to
//! start, its progress, its end. The command line fills it with the real one; tests with a puppet.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;

use tokio::sync::watch;

use crate::clients::Secret;

/// A scenario to choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scenario {
    /// Its name in files and on the command line.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// The dataset profile that it runs on.
    pub dataset: String,
    /// Virtual users.
    pub users: u64,
    /// The phases that can be run alone, in order.
    pub phases: Vec<String>,
}

/// A dataset profile of the user's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnProfile {
    /// Its name, as the file gives it.
    pub name: String,
    /// The file's text.
    pub text: String,
    /// Seats in all.
    pub seats: u64,
    /// Users.
    pub users: u64,
}

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRequest {
    /// Name of a [`Scenario`].
    pub scenario: String,
    /// One phase alone; absent: all of them.
    pub phase: Option<String>,
    /// Seed the scenario's dataset first: queue, reservations and sales begin at nothing.
    pub reseed: bool,
    /// The ticketing API, `http://HOST:PORT`.
    pub api_url: String,
    /// The operations listener, `http://HOST:PORT/`.
    pub ops_url: String,
    /// Its bearer token.
    pub token: Option<Secret>,
}

/// Where a phase stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// 0 to 1.
    pub done: f64,
}

/// One operation's numbers so far; latencies in seconds, counted from the planned send time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operation {
    /// Its name.
    pub name: String,
    /// Successes.
    pub ok: u64,
    /// Refusals that the scenario intends.
    pub refused: u64,
    /// Everything else.
    pub errors: u64,
    /// Median; absent without samples.
    pub p50: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
}

/// A run at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// What it is doing, in a few words: `seeding demo`, `open`, `audit`.
    pub doing: String,
    /// Seconds since it began.
    pub elapsed: f64,
    /// All phases of this run, in order.
    pub phases: Vec<Phase>,
    /// Virtual users by state, in the order of the journey.
    pub users: Vec<(String, u64)>,
    /// Requests answered so far.
    pub requests: u64,
    /// 95th percentile outside the queue so far, in seconds.
    pub p95: Option<f64>,
    /// By operation, in the order of the journey.
    pub operations: Vec<Operation>,
    /// Answers by status class, `2xx` first, `no answer` last.
    pub classes: Vec<(String, u64)>,
    /// Seats paid so far.
    pub sold: u64,
    /// It was told to pause.
    pub paused: bool,
    /// How much faster than its scenario says it was told to go: 1 is as it says; 0 before it began.
    pub pace: f64,
    /// Its thresholds as they stand; those of the end are not among them.
    pub thresholds: Vec<Threshold>,
}

/// What a run under way can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// Nothing new is sent.
    Pause,
    /// It goes on.
    Resume,
    /// A step faster.
    Faster,
    /// A step slower.
    Slower,
    /// The phase that most users are in ends.
    NextPhase,
}

impl Steer {
    /// What was done, in words.
    #[must_use]
    pub const fn said(self) -> &'static str {
        match self {
            Steer::Pause => "rehearsal paused",
            Steer::Resume => "rehearsal resumed",
            Steer::Faster => "rehearsal a quarter faster",
            Steer::Slower => "rehearsal a quarter slower",
            Steer::NextPhase => "phase of the rehearsal ended",
        }
    }
}

/// How a run was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every threshold held.
    Passed,
    /// At least one did not.
    Missed,
    /// The generator was the limit, or the run was stopped.
    Inconclusive,
}

/// One threshold and what was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// What was asked: `p95 outside the queue ≤ 500 ms`.
    pub asked: String,
    /// What was measured: `112 ms`, `no data`.
    pub measured: String,
    /// Whether it held.
    pub held: bool,
    /// Whether anything was measured that it can be held against.
    pub known: bool,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The judgement.
    pub verdict: Verdict,
    /// Why, in one line; may be empty.
    pub reason: String,
    /// Threshold by threshold.
    pub thresholds: Vec<Threshold>,
    /// Where the JSON summary was written.
    pub summary: Option<PathBuf>,
    /// Where the page for people was written.
    pub report: Option<PathBuf>,
}

/// The end of a run, or why it could not be carried out.
pub type Ended = Pin<Box<dyn Future<Output = Result<Outcome, String>> + Send>>;

/// A run under way.
pub struct Run {
    /// Its progress; the last one stays.
    pub progress: watch::Receiver<Progress>,
    /// Asks it to end soon; it is still judged.
    pub stop: Box<dyn Fn() + Send + Sync>,
    /// Steers it; false when it is over, or has more to do than it can take.
    pub steer: Box<dyn Fn(Steer) -> bool + Send + Sync>,
    /// Resolves when it has ended.
    pub ended: Ended,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

/// A load generator.
pub trait LoadPort: Send + Sync {
    /// What can be run, the default first.
    fn scenarios(&self) -> Vec<Scenario>;
    /// Profiles of the user's own, to seed besides those that a server ships.
    fn profiles(&self) -> Vec<OwnProfile> {
        Vec::new()
    }

    /// Starts a run in the background.
    ///
    /// # Errors
    /// Why it cannot start, for people.
    fn start(&self, request: StartRequest) -> Result<Run, String>;
}

/// For a console without a load generator: nothing to choose, nothing to start.
#[derive(Clone, Copy, Debug)]
pub struct NoLoad;

impl LoadPort for NoLoad {
    fn scenarios(&self) -> Vec<Scenario> {
        Vec::new()
    }

    fn start(&self, _: StartRequest) -> Result<Run, String> {
        Err("this console has no load generator".into())
    }
}
