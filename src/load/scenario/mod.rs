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
    /// Where it came from: the name of a shipped one, or the file's name without its extension.
    #[serde(skip)]
    pub name: String,
    /// One line for people.
    pub title: String,
    /// The profile of the dataset it runs on.
    pub dataset: String,
    /// Virtual users: ids 1 to this.
    pub users: u32,
    /// Where the draws of think times and seats begin; the same seed draws the same.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// The admission it asks of the server.
    pub admission: Admission,
    /// How the buyers arrive.
    #[serde(default)]
    pub arrival: Arrival,
    /// How they register when they arrive in a burst.
    #[serde(default)]
    pub register: Register,
    /// Which seats the buyers want.
    #[serde(default)]
    pub contention: Contention,
    /// Pauses before the steps of the journey.
    #[serde(default)]
    pub think: Think,
    /// The last phase.
    #[serde(default)]
    pub pay: Pay,
    /// How virtual users talk HTTP.
    #[serde(default)]
    pub http: Http,
    /// When a run ends at the latest.
    #[serde(default)]
    pub limits: Limits,
    /// When the generator, not the server, was the limit.
    #[serde(default)]
    pub generator: Generator,
    /// The traffic beside the buyers: groups by name.
    #[serde(default)]
    pub traffic: BTreeMap<String, Traffic>,
    /// What is broken while the traffic runs. Each fault ends by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Injection>,
    /// The assumptions of the capacity estimate (`--plan`).
    #[serde(default)]
    pub estimate: Estimate,
    /// Statuses that are an intended no, by operation. 429 is one everywhere.
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
    /// How many at once, 1 to 1,000,000.
    pub batch: u64,
    /// The pause between two batches, 100 ms to 1 h.
    pub every: Time,
    /// What decides how many are admitted. With `objective`, batch and interval are the most.
    #[serde(default, skip_serializing_if = "Follow::is_settings")]
    pub follow: Follow,
}

/// Buyers who arrive in a burst: a closed executor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Register {
    /// Registrations under way at once, each over a connection of its own.
    pub connections: u32,
}

impl Default for Register {
    fn default() -> Register {
        Register { connections: 64 }
    }
}

/// How a seat is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// By heart: the seat map is fetched, but the wish stands whatever it says. The hardest
    /// contention.
    #[default]
    Wish,
    /// Among the seats that the map shows as free; the map is fetched again after each refusal.
    Map,
}

/// Which seats the buyers want.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Contention {
    /// Share of the attempts that go to the popular seats, 0 to 1.
    pub popular_share: f64,
    /// The popular seats are ids 1 to this; left out: as the dataset says.
    pub popular_seats: Option<u64>,
    /// The seats that are wanted at all are ids 1 to this; left out: as the dataset says.
    pub seats: Option<u64>,
    /// Attempts that a user makes before leaving without a seat.
    pub attempts: u32,
    /// How a seat is chosen.
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
    /// Between being let in and looking at the dates.
    pub dates: Pause,
    /// Before looking at the seats of a date.
    pub seats: Pause,
    /// Before an attempt to reserve.
    pub reserve: Pause,
    /// Before charging the account.
    pub charge: Pause,
    /// Before paying.
    pub pay: Pause,
}

impl Think {
    /// The pauses of a whole journey. 99 of 100 users need less.
    pub(in crate::load) fn nearly_longest(&self) -> Duration {
        let steps = [self.dates, self.seats, self.reserve, self.charge, self.pay];
        steps.iter().map(Pause::nearly_longest).sum()
    }
}

/// The behaviour of users who do not pay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Otherwise {
    /// They leave; the hold runs out.
    #[default]
    Leave,
    /// They cancel the reservation.
    Cancel,
}

/// The last phase.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pay {
    /// Share of those with a reservation who pay, 0 to 1.
    pub share: f64,
    /// The amount a user charges before paying, in the currency's smallest unit; it must cover a seat. 0: users
    /// do not charge, and the `balance` of the dataset's profile must cover a seat.
    pub charge: i64,
    /// The behaviour of the others.
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

/// How virtual users talk HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Connections in all; left out: one per user as far as the file limit goes. With fewer than
    /// users, they are shared, and waiting for one counts as latency.
    pub connections: Option<u32>,
    /// For a connection to be made.
    pub connect_timeout: Time,
    /// From sending a request to the end of its answer.
    pub request_timeout: Time,
    /// How often a failed request is sent again; a write that carries an idempotency key with the
    /// same key.
    pub retries: u32,
    /// The pause before the first repeat; it doubles each time. A `Retry-After` goes before it.
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

/// When a run ends at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The whole run without seeding and audit.
    pub duration: Time,
    /// The server counts as lost when requests fail and none is answered for this long.
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

/// When the generator, not the server, was the limit: the verdict is inconclusive then.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Generator {
    /// 99 % of the timed requests must start within this after their planned instant.
    pub lag_p99: Time,
    /// The share of a core that its busiest thread may use over the run, 0 to 1.
    pub cpu: f64,
    /// Worker threads; left out: one per core, at most 8.
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
    /// In which most requests arrive.
    pub window: Time,
    /// Transactions of a user who goes all the way.
    pub transactions: u32,
    /// The smaller share of the users who get to the next stage: past the queue, to a reservation.
    pub share_low: f64,
    /// The larger share.
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
