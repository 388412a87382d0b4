//! Traffic beside the buyers: groups of virtual users, their arrivals and their journeys. Scenarios also describe abuse
//! with it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::durations::{Pause, Time};
use crate::load::model::{Operation, PhaseName, named};

/// The shape of an arrival rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// All at once, as fast as the server accepts them.
    #[default]
    Burst,
    /// `rate` arrivals a second.
    Constant,
    /// `rate` arrivals a second on average; the gaps are exponential.
    Poisson,
    /// From `rate` to `to` within `over`, or through `stages`; after that the last rate continues.
    Ramp,
    /// `rate`; from `at` on, `to` for the time `over`.
    Spike,
}

/// A stage of a ramp, which reaches the rate `to` evenly within `over`. The same rate as before holds it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RampStage {
    /// The rate at the end of the stage.
    pub to: f64,
    /// The duration of the stage.
    pub over: Time,
}

/// The arrival schedule, independent of the server's answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Arrival {
    /// The shape of the rate.
    pub shape: Shape,
    /// Arrivals a second.
    pub rate: f64,
    /// The rate at the end of a ramp, or within a spike.
    pub to: Option<f64>,
    /// The duration of the ramp or the spike.
    pub over: Option<Time>,
    /// The stages of a ramp, one after the other, instead of `to` and `over`.
    pub stages: Vec<RampStage>,
    /// The start of the spike.
    pub at: Option<Time>,
    /// Whether the buyers come before the sale opens (`register`) or while it is open (`open`).
    pub phase: Door,
}

/// Before or after the opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// Before the sale opens.
    #[default]
    Register,
    /// After the opening.
    Open,
}

impl Door {
    /// The phase of this value.
    #[must_use]
    pub const fn phase(self) -> PhaseName {
        match self {
            Door::Register => PhaseName::Register,
            Door::Open => PhaseName::Open,
        }
    }
}

named! {
    /// How virtual users are scheduled.
    Executor {
        /// `users` virtual users, each with one journey after the other over its own connection.
        Closed = "closed",
        /// One journey per arrival, on schedule, whatever the server does. An arrival that finds `at_once` journeys in
        /// progress is dropped and counted, and it fails the run.
        Open = "open",
    }
}

impl Executor {
    /// Returns whether the executor schedules journeys by `arrival`, at most `at_once` at the same time.
    #[must_use]
    pub const fn has_arrivals(self) -> bool {
        matches!(self, Executor::Open)
    }

    /// Returns whether a user continues with another journey. Such users keep their own connection; all others share
    /// connections.
    #[must_use]
    pub const fn reuses_users(self) -> bool {
        matches!(self, Executor::Closed)
    }
}

impl Traffic {
    /// The largest number of active users.
    #[must_use]
    pub fn max_users(&self) -> u32 {
        self.at_once.unwrap_or(self.users)
    }
}

/// A traffic group beside the buyers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// The executor of the group.
    pub executor: Executor,
    /// The number of users. Their ids follow those of the buyers and of the earlier groups.
    pub users: u32,
    /// The arrivals of an open executor.
    #[serde(default)]
    pub arrival: Option<Arrival>,
    /// The most journeys of an open executor at a time; without it, all users.
    #[serde(default)]
    pub at_once: Option<u32>,
    /// The group begins with this phase …
    #[serde(default = "opening")]
    pub phase: Door,
    /// … this long after its start.
    #[serde(default)]
    pub after: Time,
    /// The duration of the group. A closed executor then begins no further journey, an open one accepts no further
    /// arrival.
    pub lasts: Time,
    /// The journeys of the users. Each user draws one by weight.
    pub journeys: Vec<Journey>,
}

fn opening() -> Door {
    Door::Open
}

/// The steps of a user from beginning to end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Journey {
    /// The weight of this journey among those of the group.
    #[serde(default = "one")]
    pub weight: u32,
    /// The steps in order. `buy: true` instead of steps is the whole journey of a buyer.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// The user registers, waits, looks, reserves and pays like the buyers.
    #[serde(default)]
    pub buy: bool,
}

fn one() -> u32 {
    1
}

/// The token that a request carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// The user's latest token, if there is one.
    #[default]
    Own,
    /// No token.
    None,
    /// The user's token with one character changed, or an invented one.
    Forged,
    /// The user's token, in a request for another user.
    Foreign,
}

/// The condition that ends a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Until {
    /// With `call: poll`: polls at the server's intervals until the user is admitted.
    Active,
    /// With `call: reserve`: tries one seat after the other until the user has one.
    Reserved,
}

/// A request of a journey, or several equal requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The call.
    pub call: Operation,
    /// The token of the request.
    #[serde(default)]
    pub token: TokenKind,
    /// The pause before the request.
    #[serde(default)]
    pub think: Pause,
    /// The expected statuses; without them, any 2xx. An expected 4xx counts as an intended refusal. Every other answer
    /// is an error, also a 2xx.
    #[serde(default)]
    pub expect: Vec<u16>,
    /// Repeats the request until this holds.
    #[serde(default)]
    pub until: Option<Until>,
    /// The number of requests, each after the pause.
    #[serde(default = "one")]
    pub times: u32,
    /// The seat to look at or to reserve; without it, the user draws one like the buyers.
    #[serde(default)]
    pub seat: Option<i64>,
    /// Whether the journey continues after an unexpected answer.
    #[serde(default)]
    pub go_on: bool,
}
