//! Traffic beside the buyers: who else comes, how, and what they do. Abuse is described here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::durations::{Pause, Time};
use crate::load::model::{Operation, PhaseName, named};

/// The shape of an arrival rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// All at once, as fast as the server takes them.
    #[default]
    Burst,
    /// `rate` a second.
    Constant,
    /// `rate` a second on average, at random: the gaps are exponential.
    Poisson,
    /// From `rate` to `to` within `over`, or through `stages`; then on at the last rate.
    Ramp,
    /// `rate`, but `to` from `at` on for `over`.
    Spike,
}

/// A part of a ramp: to this rate within this time, evenly. The same rate again holds it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RampStage {
    /// The rate at its end.
    pub to: f64,
    /// How long it takes.
    pub over: Time,
}

/// The arrival schedule, independent of the server's answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Arrival {
    /// The shape of their rate.
    pub shape: Shape,
    /// A second.
    pub rate: f64,
    /// The rate at the end of a ramp, or within a spike.
    pub to: Option<f64>,
    /// How long the ramp or the spike takes.
    pub over: Option<Time>,
    /// The stages of a ramp, one after the other, in place of `to` and `over`.
    pub stages: Vec<RampStage>,
    /// When the spike begins.
    pub at: Option<Time>,
    /// The buyers come before the sale opens (`register`), or while it is open (`open`).
    pub phase: Door,
}

/// Before or after the opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// Before the sale opens.
    #[default]
    Register,
    /// Once the sale is open.
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
        /// `users` of them, each one journey after the other over a connection of their own.
        Closed = "closed",
        /// One journey an arrival, on schedule whatever the server does. An arrival that finds `at_once`
        /// under way is dropped, counted, and fails the run.
        Open = "open",
    }
}

impl Executor {
    /// Whether it schedules journeys by `arrival`, at most `at_once` at the same time.
    #[must_use]
    pub const fn has_arrivals(self) -> bool {
        matches!(self, Executor::Open)
    }

    /// Whether a user continues with another journey. Such users keep their own connection, all others share
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
    /// How its users are made to work.
    pub executor: Executor,
    /// Its users; their ids follow those of the buyers and of the traffic groups before.
    pub users: u32,
    /// For an open executor: how they arrive.
    #[serde(default)]
    pub arrival: Option<Arrival>,
    /// For an open executor: most journeys under way at once; left out: all users.
    #[serde(default)]
    pub at_once: Option<u32>,
    /// It begins with this phase …
    #[serde(default = "opening")]
    pub phase: Door,
    /// … and so long after it.
    #[serde(default)]
    pub after: Time,
    /// A closed executor begins no journey later than this after its beginning; an open one takes no
    /// arrival then.
    pub lasts: Time,
    /// The journeys of its users, each drawn by weight.
    pub journeys: Vec<Journey>,
}

fn opening() -> Door {
    Door::Open
}

/// Something that a user does from beginning to end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Journey {
    /// How often it is drawn, beside the other journeys of the traffic group.
    #[serde(default = "one")]
    pub weight: u32,
    /// Its steps, in order. `buy: true` in their place is the whole way of a buyer.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Registers, waits, looks, reserves and pays as the buyers do.
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
    /// The one that the user was given last, if any.
    #[default]
    Own,
    /// None.
    None,
    /// The own one with one character changed, or one made up.
    Forged,
    /// The own one, for a request in another user's name.
    Foreign,
}

/// The condition that ends a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Until {
    /// With `call: poll`: polls, as the server says, until the user is let in.
    Active,
    /// With `call: reserve`: tries one seat after the other until one is the user's.
    Reserved,
}

/// One request of a journey, or several alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The call.
    pub call: Operation,
    /// The token that it carries.
    #[serde(default)]
    pub token: TokenKind,
    /// The pause before it.
    #[serde(default)]
    pub think: Pause,
    /// Statuses that are right; left out: any 2xx. Of these a 4xx counts as refused, as it should be;
    /// any other answer is an error, a 2xx too.
    #[serde(default)]
    pub expect: Vec<u16>,
    /// Goes on until then.
    #[serde(default)]
    pub until: Option<Until>,
    /// How often it is done, each time after the pause.
    #[serde(default = "one")]
    pub times: u32,
    /// The seat to look at or to reserve; left out: one is wished for, as the buyers do.
    #[serde(default)]
    pub seat: Option<i64>,
    /// Whether the journey goes on after another answer than the expected.
    #[serde(default)]
    pub go_on: bool,
}
