//! Scenario files describe a rehearsal as data. This module parses (`read`), overrides (`overrides`) and checks them
//! (`check`). No other part of `load` reads YAML.

mod builtin;
mod check;
mod durations;
mod faults;
mod overrides;
mod percentile;
mod read;
mod schema;
mod thresholds;
mod traffic;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use builtin::{Builtin, DEFAULT, ScenarioInfo, builtins, scenarios};
pub use durations::{Pause, Time};
pub use faults::{Fault, Injection, Window};
pub(crate) use faults::{MOST as MOST_FAULTS, check as check_fault};
pub use overrides::WrongSetting;
pub use percentile::Percentile;
pub use read::{MAX_BYTES, ScenarioError};
pub use schema::json_schema;
pub use thresholds::{Business, Group, Thresholds};
pub use traffic::{
    Arrival, Door, Executor, Journey, RampStage, Shape, Step, TokenKind, Traffic, Until,
};

use super::model::Operation;
use crate::api::ops::Follow;

/// A rehearsal, read and checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The name of a shipped scenario, or the file's name without its extension.
    #[serde(skip)]
    pub name: String,
    /// A description in one line.
    pub title: String,
    /// The profile of the dataset that the scenario runs on.
    pub dataset: String,
    /// The number of buyers. Their ids begin at 1.
    pub users: u32,
    /// The seed of the random numbers, such as think times and wished seats. The same seed gives the same numbers.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// The admission that the scenario sets on the server.
    pub admission: Admission,
    /// The arrival of the buyers.
    #[serde(default)]
    pub arrival: Arrival,
    /// The registration of buyers who arrive in a burst.
    #[serde(default)]
    pub register: Register,
    /// The seats that the buyers want.
    #[serde(default)]
    pub contention: Contention,
    /// Pauses before the steps of the journey.
    #[serde(default)]
    pub think: Think,
    /// The phase of payment.
    #[serde(default)]
    pub pay: Pay,
    /// The HTTP connections of the virtual users.
    #[serde(default)]
    pub http: Http,
    /// The limits that end a run.
    #[serde(default)]
    pub limits: Limits,
    /// The limits of the generator. Beyond them the generator, not the server, limited the run.
    #[serde(default)]
    pub generator: Generator,
    /// The traffic beside the buyers: traffic groups by name.
    #[serde(default)]
    pub traffic: BTreeMap<String, Traffic>,
    /// The faults to inject while the traffic runs. Each fault ends by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Injection>,
    /// The assumptions of the capacity estimate (`--plan`).
    #[serde(default)]
    pub estimate: Estimate,
    /// Statuses that are an intended refusal, by operation. 429 is one for every operation.
    #[serde(default = "default_refusals")]
    pub refusals: BTreeMap<Operation, Vec<u16>>,
    /// The limits that a run must keep to pass.
    #[serde(default)]
    pub thresholds: Thresholds,
}

fn default_seed() -> u64 {
    1
}

fn default_refusals() -> BTreeMap<Operation, Vec<u16>> {
    BTreeMap::from([(Operation::Reserve, vec![409])])
}

/// The admission rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admission {
    /// The users that one batch admits, 1 to 1,000,000.
    pub batch: u64,
    /// The pause between two batches, 100 ms to 1 h.
    pub every: Time,
    /// Whether admission follows the settings or the objective. With `objective`, batch and interval are the upper
    /// limit.
    #[serde(default)]
    pub follow: Follow,
}

/// The registration of buyers who arrive in a burst: a closed executor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Register {
    /// The number of registrations at a time, each over its own connection.
    pub connections: u32,
}

impl Default for Register {
    fn default() -> Register {
        Register { connections: 64 }
    }
}

/// The choice of a seat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// A fixed wish: the buyer fetches the seat map but tries the wished seat, whatever the map says. This is the
    /// hardest contention.
    #[default]
    Wish,
    /// A free seat of the map. The buyer fetches the map again after each refusal.
    Map,
}

/// The seats that the buyers want.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Contention {
    /// Share of the attempts that go to the popular seats, 0 to 1.
    pub popular_share: f64,
    /// The number of popular seats; their ids are 1 to this; without it, that of the dataset.
    pub popular_seats: Option<u64>,
    /// The number of seats that buyers want at all; their ids are 1 to this; without it, that of the dataset.
    pub seats: Option<u64>,
    /// The attempts of a user, who then leaves without a seat.
    pub attempts: u32,
    /// The choice of a seat.
    pub choice: Choice,
}

impl Default for Contention {
    fn default() -> Contention {
        Contention {
            popular_share: 0.8,
            popular_seats: None,
            seats: None,
            attempts: 5,
            choice: Choice::Wish,
        }
    }
}

/// Pauses before the steps of the journey.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Think {
    /// Between the admission and the look at the dates.
    pub dates: Pause,
    /// Before the look at the seats of a date.
    pub seats: Pause,
    /// Before an attempt to reserve.
    pub reserve: Pause,
    /// Before the charge of the account.
    pub charge: Pause,
    /// Before the payment.
    pub pay: Pause,
}

impl Think {
    /// The sum of the pauses of a journey. 99 of 100 users need less.
    pub(in crate::load) fn nearly_longest(&self) -> Duration {
        let steps = [self.dates, self.seats, self.reserve, self.charge, self.pay];
        steps.iter().map(Pause::nearly_longest).sum()
    }
}

/// The behaviour of users who do not pay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Otherwise {
    /// They leave, and the hold expires.
    #[default]
    Leave,
    /// They cancel the reservation.
    Cancel,
}

/// The phase of payment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pay {
    /// Share of the users with a reservation who pay, 0 to 1.
    pub share: f64,
    /// The amount that a user charges before paying, in the currency's smallest unit; it must cover a seat. 0: users do
    /// not charge, so the `balance` of the dataset's profile must cover a seat.
    pub charge: i64,
    /// The behaviour of the other users.
    pub otherwise: Otherwise,
}

impl Default for Pay {
    fn default() -> Pay {
        Pay {
            share: 1.0,
            charge: 1_000_000,
            otherwise: Otherwise::Leave,
        }
    }
}

/// The HTTP connections of the virtual users.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// The number of connections; without it, one per user as far as the file limit allows. If there are fewer than
    /// users, users share them, and the wait for one counts as latency.
    pub connections: Option<u32>,
    /// The time-out of a connection attempt.
    pub connect_timeout: Time,
    /// The time-out of a request, from the sending to the end of its answer.
    pub request_timeout: Time,
    /// The number of times that a failed request is repeated. A write is repeated with the same idempotency key.
    pub retries: u32,
    /// The pause before the first repeat; it doubles each time. A `Retry-After` of the server takes precedence.
    pub retry_pause: Time,
}

impl Default for Http {
    fn default() -> Http {
        Http {
            connections: None,
            connect_timeout: Time::from_secs(5),
            request_timeout: Time::from_secs(10),
            retries: 3,
            retry_pause: Time::from_millis(250),
        }
    }
}

/// The limits that end a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The longest duration of a run, without seeding and audit.
    pub duration: Time,
    /// The longest silence: the server counts as lost when requests fail and none is answered for this long.
    pub silence: Time,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            duration: Time::from_secs(30 * 60),
            silence: Time::from_secs(10),
        }
    }
}

/// The limits of the generator. Beyond them the generator, not the server, limited the run, and the verdict is
/// inconclusive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Generator {
    /// 99 % of the timed requests must start within this after their due time.
    pub lag_p99: Time,
    /// The share of a core that the busiest thread may use over the run, 0 to 1.
    pub cpu: f64,
    /// The number of worker threads; without it, one per core, at most 8.
    pub workers: Option<u32>,
}

impl Default for Generator {
    fn default() -> Generator {
        Generator {
            lag_p99: Time::from_millis(100),
            cpu: 0.95,
            workers: None,
        }
    }
}

/// The assumptions of the capacity estimate (`--plan`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Estimate {
    /// The time in which most requests arrive.
    pub window: Time,
    /// The transactions of a user who pays.
    pub transactions: u32,
    /// The lower share of users who reach the next stage: first past the queue, then to a reservation.
    pub share_low: f64,
    /// The higher share.
    pub share_high: f64,
}

impl Default for Estimate {
    fn default() -> Estimate {
        Estimate {
            window: Time::from_secs(10),
            transactions: 5,
            share_low: 0.1,
            share_high: 0.2,
        }
    }
}

impl Scenario {
    /// The number of all users: the buyers and the traffic groups.
    #[must_use]
    pub fn everybody(&self) -> u64 {
        let traffic_groups = self
            .traffic
            .values()
            .map(|traffic| u64::from(traffic.users));
        u64::from(self.users) + traffic_groups.sum::<u64>()
    }
}

#[cfg(test)]
mod tests;
