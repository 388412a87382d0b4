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
//! - `faults`: injects faults and takes them back;
//! - `guard`: the process that takes back what must not outlast a killed drill;
//! - `fire_alarm`: the check of the day before: an alert through the whole chain;
//! - `verdict`: what was observed, judged;
//! - `record`: what a report keeps of the watch: the clock's marks, customer harm, what is needed to repeat it;
//! - `report`: the after-action report, as text, HTML, Markdown and JSON, and the comparison with an earlier one;
//! - `run`: one drill from end to end.

mod alerts;
mod embedded;
pub mod file;
pub mod fire_alarm;
pub mod guard;
mod objective;
pub mod prediction;
pub mod record;
pub mod report;
mod rules;
pub mod run;
pub mod verdict;

/// Milliseconds since the Unix epoch: the one clock of a drill.
pub type Moment = i64;

/// The time.
fn now() -> Moment {
    jiff::Timestamp::now().as_millisecond()
}
