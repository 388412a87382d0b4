//! Drills: a fault is injected under traffic, and each step from noticing to recovery is measured
//! against a budget.
//!
//! A drill sees the system from outside, as `load` and the console do: users' requests, the operations
//! API, Prometheus's and Alertmanager's APIs, and a webhook of its own.
//!
//! - `file`: drill files, read and checked;
//! - `prediction`: how long each step can take at worst, by the rules and the settings;
//! - `objective`: whether users are served within the objective, second by second;
//! - `alerts`: what the alerts do, and when;
//! - `host`: whether other programs held the processors meanwhile;
//! - `guard`: the process that takes back what must not outlast a killed drill;
//! - `orders`: the drill's side of the guard;
//! - `embedded`: the server that a drill starts for itself;
//! - `system`: what a drill is held on, that server or a running system;
//! - `basis`: the rules and the settings of that system;
//! - `plan`: what a drill will do, before anything is sent;
//! - `fit`: a shipped drill with the budgets of a running system, or why it cannot be held there;
//! - `fire_alarm`: the check of the day before: an alert through the whole chain;
//! - `stop`: what ends a drill at once;
//! - `verdict`: what was observed, judged;
//! - `record`: the part of a report that is not judged: the clock's marks, customer harm, what is needed to repeat it;
//! - `report`: the after-action report, as text, HTML, Markdown and JSON, and the comparison with an earlier one;
//! - `progress`: the clock of a drill under way;
//! - `kept`: the reports of earlier drills;
//! - `blind`: drills whose fault the player does not know;
//! - `error`: why a drill could not run;
//! - `run`: one drill from end to end.

mod alerts;
pub mod basis;
pub mod blind;
mod embedded;
mod error;
pub mod file;
pub mod fire_alarm;
pub mod fit;
pub mod guard;
mod host;
pub mod kept;
mod objective;
mod orders;
pub mod plan;
pub mod prediction;
pub mod progress;
pub mod record;
pub mod report;
mod rules;
pub mod run;
mod stop;
pub mod system;
pub mod verdict;

pub use error::DrillError;

/// Milliseconds since the Unix epoch: the one clock of a drill.
pub type Moment = i64;

/// The seconds from one moment to another.
fn seconds(from: Moment, to: Moment) -> f64 {
    (to - from) as f64 / 1e3
}

/// The time.
fn now() -> Moment {
    jiff::Timestamp::now().as_millisecond()
}
