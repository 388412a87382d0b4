//! What the player of a blind drill can do, and the lists to choose from.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::drill::file::{Cause, Drill, Kind, shipped};

/// What a player does. On standard input one JSON object a line, such as `{"acknowledge":"SlowBuying"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Acknowledges an alert, by its name.
    Acknowledge(String),
    /// Names the component and the mechanism of the fault. The last answer counts.
    Answer(Cause),
    /// Mitigates the fault.
    Mitigate(Mitigation),
}

/// A mitigation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mitigation {
    /// Stops admission.
    PauseAdmission,
    /// Resumes admission.
    ResumeAdmission,
    /// Changes the number of people in each batch.
    ChangeBatch(u64),
    /// Kills the server, and starts it again.
    RestartServer,
    /// Ends the mechanism. A wrong one changes nothing.
    Clear(String),
}

impl Action {
    /// What is wrong with it: a component or a mechanism that is in no list.
    ///
    /// # Errors
    /// The problem, with the list.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Action::Answer(cause) => {
                known("component", &cause.component, part(|it| &it.component))?;
                known("mechanism", &cause.mechanism, part(|it| &it.mechanism))
            }
            Action::Mitigate(Mitigation::Clear(mechanism)) => {
                known("mechanism", mechanism, part(|it| &it.mechanism))
            }
            Action::Mitigate(Mitigation::ChangeBatch(0)) => {
                Err("change_batch: admit at least one person, or pause_admission".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// In a few words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Action::Acknowledge(alert) => format!("acknowledged {alert}"),
            Action::Answer(Cause {
                component,
                mechanism,
            }) => format!("answered {component}, {mechanism}"),
            Action::Mitigate(mitigation) => mitigation.words(),
        }
    }
}

impl Mitigation {
    /// In a few words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Mitigation::PauseAdmission => "paused admission".to_owned(),
            Mitigation::ResumeAdmission => "resumed admission".to_owned(),
            Mitigation::ChangeBatch(batch) => format!("changed the batch to {batch}"),
            Mitigation::RestartServer => "restarted the server".to_owned(),
            Mitigation::Clear(mechanism) => format!("cleared {mechanism}"),
        }
    }

    /// Whether it ends a fault of this kind.
    #[must_use]
    pub fn clears(&self, kind: Kind, cause: &Cause) -> bool {
        match self {
            Mitigation::Clear(mechanism) => *mechanism == cause.mechanism,
            // A new process replaces one that is gone or stands still. What a server injects is put back.
            Mitigation::RestartServer => matches!(kind, Kind::KillServer | Kind::FreezeServer),
            _ => false,
        }
    }
}

fn known(what: &str, given: &str, all: BTreeSet<&str>) -> Result<(), String> {
    if all.contains(given) {
        return Ok(());
    }
    let all: Vec<&str> = all.into_iter().collect();
    let all = all.join(", ");
    Err(format!("there is no {what} {given:?}; there are {all}"))
}

/// The causes that an answer can name: those of the shipped drills.
#[must_use]
pub fn causes() -> &'static BTreeSet<Cause> {
    static CAUSES: LazyLock<BTreeSet<Cause>> = LazyLock::new(|| {
        let drills = shipped().iter();
        let drills = drills.filter_map(|(name, text)| Drill::parse(name, text).ok());
        let injects = drills.flat_map(|drill| drill.injects);
        injects.map(|inject| inject.cause).collect()
    });
    &CAUSES
}

fn part(of: impl Fn(&Cause) -> &String) -> BTreeSet<&'static str> {
    causes().iter().map(|cause| of(cause).as_str()).collect()
}

/// What to do about a mechanism, for the list of mitigations.
#[must_use]
pub fn remedy(mechanism: &str) -> &'static str {
    match mechanism {
        "clock_step" => "host: the clock is set right",
        "cpu_hog" => "host: the other program is ended",
        "disk_full" => "database: room is made on the disk",
        "errors" => "server: the faulty release is rolled back",
        "freeze_server" => "server: the process goes on",
        "kill_server" => "server: the process is started",
        "latency" => "server: what delays requests is taken out",
        "pool_exhaustion" => "database: sessions that hold connections are ended",
        "redis_cut" => "redis: the link is repaired",
        "slow_statement" => "database: the slow statement is ended",
        "telemetry_gone" => "telemetry: the metrics are delivered again",
        _ => "what causes it is ended",
    }
}
