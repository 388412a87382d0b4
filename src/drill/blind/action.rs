//! The actions of a player in a blind drill, and the causes and mechanisms that an action can name.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::queue::Admission;
use crate::drill::file::{Cause, Drill, Kind, shipped};
use crate::yaml;

/// What one action can be.
const ACTIONS: &str =
    "`acknowledge: ALERT`, `answer: { component: …, mechanism: … }` and `mitigate: …`";
/// What one mitigation can be.
const MITIGATIONS: &str = "`pause_admission`, `resume_admission`, `{ change_batch: 10 }`, `restart_server` and `{ clear: MECHANISM }`";
/// The longest name of an alert.
const LONGEST_NAME: usize = 200;

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

/// The field below an action, and the mistake in it.
pub(super) type Mistake = (String, String);

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
    /// The action that a person wrote as `value`.
    ///
    /// # Errors
    /// The value is no action. The mistake says what to write.
    pub(super) fn read(value: &Value) -> Result<Action, Mistake> {
        let (name, inner) = only(value, ACTIONS)?;
        if name == "mitigate" {
            let at = |problem| ("mitigate".to_owned(), problem);
            Mitigation::check_shape(inner).map_err(at)?;
        }
        typed(value)
    }

    /// The action that a person wrote as `value`.
    ///
    /// # Errors
    /// The value is no action. The message names the field, and what to write.
    pub fn from_value(value: &Value) -> Result<Action, String> {
        Action::read(value).map_err(|(field, problem)| match field.is_empty() {
            true => problem,
            false => format!("{field}: {problem}"),
        })
    }

    /// Checks that some cause has the component and the mechanism that the action names, that an alert has a name, and
    /// that a batch is within its bounds.
    ///
    /// # Errors
    /// A message with the problem, and with the values that are allowed.
    pub fn check(&self) -> Result<(), String> {
        let (batches, _) = Admission::BOUNDS;
        match self {
            Action::Acknowledge(alert) => alert_name(alert),
            Action::Answer(cause) => {
                known("component", &cause.component, part(|it| &it.component))?;
                known("mechanism", &cause.mechanism, part(|it| &it.mechanism))
            }
            Action::Mitigate(Mitigation::Clear(mechanism)) => {
                known("mechanism", mechanism, part(|it| &it.mechanism))
            }
            Action::Mitigate(Mitigation::ChangeBatch(batch)) if !batches.contains(batch) => {
                Err(format!(
                    "change_batch must be from {} to {}; pause_admission stops admission",
                    batches.start(),
                    batches.end()
                ))
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

/// The only key of a map, and its value. `one_of` says what can be written.
pub(super) fn only<'v>(value: &'v Value, one_of: &str) -> Result<(&'v str, &'v Value), Mistake> {
    let fields = value.as_object().filter(|fields| fields.len() == 1);
    let field = fields.and_then(|fields| fields.iter().next());
    let field = field.map(|(name, inner)| (name.as_str(), inner));
    field.ok_or_else(|| (String::new(), format!("write exactly one of {one_of}")))
}

/// The value as a `T`.
pub(super) fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, Mistake> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = Some(path).filter(|path| path != ".");
        (field.unwrap_or_default(), yaml::of_json(error.inner()))
    })
}

/// Checks the name of an alert.
pub(super) fn alert_name(alert: &str) -> Result<(), String> {
    match yaml::is_label(alert, LONGEST_NAME) {
        true => Ok(()),
        false => Err("names no alert: write a name such as `SlowBuying`".to_owned()),
    }
}

impl Mitigation {
    /// Checks that a value has the form of a mitigation: a word, or a map with one field.
    fn check_shape(value: &Value) -> Result<(), String> {
        let name = match value {
            Value::String(name) => name.as_str(),
            value => only(value, MITIGATIONS).map_err(|(_, problem)| problem)?.0,
        };
        let needs_value = match name {
            "clear" | "change_batch" => true,
            "pause_admission" | "resume_admission" | "restart_server" => false,
            _ => {
                return Err(format!(
                    "there is no mitigation `{name}`; there are {MITIGATIONS}"
                ));
            }
        };
        match (needs_value, value.is_string()) {
            (true, true) => Err(format!(
                "`{name}` lacks its value: write one of {MITIGATIONS}"
            )),
            (false, false) => Err(format!("`{name}` takes no value: write `mitigate: {name}`")),
            _ => Ok(()),
        }
    }

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
