//! The embedded Alertmanager: alerts and silences in bounded memory, with version 2 of Alertmanager's HTTP API.
//!
//! A rule evaluator or an operator sends alerts by POST. As in Alertmanager, an alert that is not sent again resolves
//! after a while, resolved alerts are not listed, and silenced ones are listed as suppressed. There is one receiver
//! and no inhibition. The notifier watches the store ([`AlertStore::changes`]) and reads it ([`AlertStore::all`]).
//!
//! Reading and writing have separate routers, so that the listener can guard the writing one.

mod errors;
mod groups;
mod http;
mod labels;
mod origin;
mod silences;
mod store;
mod time;
mod uri;
mod wire;

use std::time::Duration;

pub use groups::group_labels;
pub use http::{read_routes, write_routes};
pub use labels::fingerprint;
pub use origin::Refused;
pub use store::{AlertStore, Rejected};
pub(crate) use time::text as time_text;
pub use wire::{
    AlertGroup, AlertStatus, GettableAlert, GettableSilence, PostableAlert, PostableSilence,
    SilenceMatcher,
};

/// The name of the one receiver.
pub const RECEIVER: &str = "embedded";

/// The labels by which alerts are grouped for notifications.
pub const GROUP_BY: [&str; 2] = ["alertname", "instance"];

/// The largest request body, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// The limits of the store.
#[derive(Debug, Clone)]
pub struct AlertConfig {
    /// An alert that is sent without an end resolves this long after it was last sent.
    pub resolve_timeout: Duration,
    /// The time for which a resolved alert is kept for the notifier. The API does not list it.
    pub resolved_retention: Duration,
    /// The largest number of firing alerts that were sent over the HTTP API.
    pub max_alerts: usize,
    /// The largest number of firing alerts of this process's rules.
    pub max_rule_alerts: usize,
    /// The largest number of silences, including expired ones. Expired silences are dropped first.
    pub max_silences: usize,
    /// The time for which an expired silence is listed.
    pub silence_retention: Duration,
    /// The largest number of labels and annotations of an alert, and of matchers of a silence.
    pub max_pairs: usize,
    /// The largest name or value, in bytes.
    pub max_text_bytes: usize,
    /// The largest size in bytes of all labels and annotations of an alert that is sent over the HTTP API, and of all
    /// texts of a silence.
    pub max_bytes: usize,
}

impl Default for AlertConfig {
    fn default() -> Self {
        AlertConfig {
            resolve_timeout: Duration::from_secs(300),
            resolved_retention: Duration::from_secs(300),
            max_alerts: 1000,
            max_rule_alerts: 10_000,
            max_silences: 500,
            silence_retention: Duration::from_secs(120 * 3600),
            max_pairs: 64,
            max_text_bytes: 4096,
            max_bytes: 16 * 1024,
        }
    }
}

#[cfg(test)]
mod tests;
