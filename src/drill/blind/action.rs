//! The actions of a player in a blind drill, and the causes and mechanisms that an action can name.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::drill::file::{Cause, Drill, Kind, shipped};

/// An action of a player. Standard input takes one JSON object a line, such as `{"acknowledge":"SlowBuying"}`.
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
    /// Ends the fault if this is its mechanism. Another mechanism changes nothing.
    Clear(String),
}

impl Action {
    /// Checks that some cause has the component and the mechanism that the action names, and that a batch is not empty.
    ///
    /// # Errors
    /// A message with the problem, and with the values that are allowed.
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
                Err("change_batch must be at least 1; pause_admission stops admission".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The action as a short text in the past tense, such as `acknowledged SlowBuying`.
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
    /// The mitigation as a short text in the past tense, such as `paused admission`.
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

    /// Returns whether this mitigation ends a fault of this kind and cause.
    #[must_use]
    pub fn clears(&self, kind: Kind, cause: &Cause) -> bool {
        match self {
            Mitigation::Clear(mechanism) => *mechanism == cause.mechanism,
            // A restart replaces a process that is killed or frozen. It repairs no other fault: if it removes an
            // injected fault, the drill injects the fault again.
            Mitigation::RestartServer => matches!(kind, Kind::KillServer | Kind::FreezeServer),
            _ => false,
        }
    }
}

/// Checks that `given` is one of `names`.
fn known(what: &str, given: &str, names: BTreeSet<&str>) -> Result<(), String> {
    if names.contains(given) {
        return Ok(());
    }
    let names: Vec<&str> = names.into_iter().collect();
    let names = names.join(", ");
    Err(format!(
        "there is no {what} {given:?}; write one of {names}"
    ))
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

/// One part of each cause, without duplicates: all components, or all mechanisms.
fn part(of: impl Fn(&Cause) -> &String) -> BTreeSet<&'static str> {
    causes().iter().map(|cause| of(cause).as_str()).collect()
}

/// The text of the mitigation that clears `mechanism`: the component, and what to do there.
#[must_use]
pub fn remedy(mechanism: &str) -> &'static str {
    match mechanism {
        "clock_step" => "host: set the clock right",
        "cpu_hog" => "host: end the other program",
        "disk_full" => "database: make room on the disk",
        "errors" => "server: roll back the faulty release",
        "freeze_server" => "server: resume the process",
        "kill_server" => "server: start the process",
        "latency" => "server: remove the delay of requests",
        "pool_exhaustion" => "database: end the sessions that hold connections",
        "redis_cut" => "redis: repair the link",
        "slow_statement" => "database: end the slow statement",
        "telemetry_gone" => "telemetry: deliver the metrics again",
        _ => "end the cause",
    }
}
