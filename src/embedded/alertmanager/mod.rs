//! The embedded Alertmanager: alerts and silences in bounded memory, behind Alertmanager's HTTP API,
//! version 2.
//!
//! Alerts come by POST, from a rule evaluator or from an operator by hand. As in Alertmanager, one
//! that is not sent again resolves after a while, one that has resolved is no longer listed, and
//! silenced ones are listed as suppressed. There is one receiver and nothing is inhibited. The
//! notifier watches the store ([`AlertStore::changes`]) and reads it ([`AlertStore::all`]).
//!
//! Reading and writing are two routers, so that the listener can guard the second.

mod errors;
mod groups;
mod http;
mod labels;
mod origin;
mod silences;
mod store;
mod time;
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

/// The labels by which alerts are grouped when they are notified.
pub const GROUP_BY: [&str; 2] = ["alertname", "instance"];

/// Bytes of a request's body.
const MAX_BODY_BYTES: usize = 1 << 20;

/// How much is kept, and for how long.
#[derive(Debug, Clone)]
pub struct AlertConfig {
    /// An alert sent without an end resolves this long after it was last sent.
    pub resolve_timeout: Duration,
    /// How long one that has resolved is kept for the notifier; the API does not list it.
    pub resolved_retention: Duration,
    /// Alerts sent over the HTTP API that may fire at once.
    pub max_alerts: usize,
    /// Alerts of this process's rules that may fire at once.
    pub max_rule_alerts: usize,
    /// Silences kept, expired ones included; expired ones make room first.
    pub max_silences: usize,
    /// How long an expired silence is listed.
    pub silence_retention: Duration,
    /// Labels and annotations of one alert, matchers of one silence.
    pub max_pairs: usize,
    /// Bytes of one name or value.
    pub max_text_bytes: usize,
    /// Bytes of all labels and annotations of an alert sent over the HTTP API, or of all texts of a
    /// silence.
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
