//! Drills: a drill injects a fault under traffic, and measures each step from detection to recovery against a budget.
//!
//! A drill sees the system from outside, as `load` and the console do. It uses users' requests, the operations API, the
//! APIs of Prometheus and Alertmanager, and a webhook of its own.
//!
//! - `file`: drill files, read and checked;
//! - `prediction`: the longest time that each step can take, by the rules and the settings;
//! - `objective`: whether users are served within the objective, in each second;
//! - `alerts`: the states of the alerts, with their times;
//! - `host`: whether other programs held the processors while the drill ran;
//! - `guard`: the process that undoes the faults of a drill, even if the drill is killed;
//! - `orders`: the drill's side of the guard;
//! - `embedded`: the server that a drill starts for itself;
//! - `traffic`: the scenario of a drill, with its own settings and the profile of its dataset;
//! - `system`: the system of a drill, which is its own server or a running system;
//! - `basis`: the rules and the settings of that system;
//! - `plan`: the plan of a drill, before it sends anything;
//! - `fit`: a shipped drill with the budgets of a running system, or why that system cannot have it;
//! - `fire_alarm`: the check of the day before, which sends an alert through the whole chain;
//! - `stop`: the conditions that end a drill at once;
//! - `verdict`: compares observations with expectations;
//! - `record`: the part of a report that is not judged: the clock's marks, customer harm, and the facts to repeat the
//!   drill;
//! - `report`: the after-action report, as text, HTML, Markdown and JSON, and the comparison with an earlier one;
//! - `progress`: the progress of a drill under way;
//! - `kept`: the reports of earlier drills;
//! - `blind`: drills whose player does not know the fault;
//! - `error`: the reasons why a drill could not run;
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
mod traffic;
pub mod verdict;

pub use error::DrillError;

/// Milliseconds since the Unix epoch. All times of a drill use this clock.
pub type Moment = i64;

/// The seconds from one moment to another.
fn seconds(from: Moment, to: Moment) -> f64 {
    (to - from) as f64 / 1e3
}

/// The current time.
fn now() -> Moment {
    jiff::Timestamp::now().as_millisecond()
}
