//! The JSON shapes of Alertmanager's API
//! (<https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::time;

/// An alert as it is sent.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PostableAlert {
    /// The identity of the alert, `alertname` among them.
    pub labels: BTreeMap<String, String>,
    /// What explains it.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Since when; absent: since it arrived, or since its end if that was earlier.
    #[serde(default, rename = "startsAt", deserialize_with = "time::optional")]
    pub starts_at: Option<Timestamp>,
    /// Until when; a time in the past resolves the alert.
    #[serde(default, rename = "endsAt", deserialize_with = "time::optional")]
    pub ends_at: Option<Timestamp>,
    /// Where it comes from.
    #[serde(default, rename = "generatorURL")]
    pub generator_url: String,
}

/// An alert as it is listed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GettableAlert {
    /// What explains it.
    pub annotations: BTreeMap<String, String>,
    /// When it resolves unless it is sent again.
    #[serde(with = "time")]
    pub ends_at: Timestamp,
    /// 16 hex digits made of the labels.
    pub fingerprint: String,
    /// The receivers of its notifications.
    pub receivers: Vec<Receiver>,
    /// Since when.
    #[serde(with = "time")]
    pub starts_at: Timestamp,
    /// Whether it is silenced.
    pub status: AlertStatus,
    /// When it was last sent.
    #[serde(with = "time")]
    pub updated_at: Timestamp,
    /// Where it comes from.
    #[serde(rename = "generatorURL", skip_serializing_if = "String::is_empty")]
    pub generator_url: String,
    /// What identifies it.
    pub labels: BTreeMap<String, String>,
}

/// Whether an alert is silenced, and by what.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertStatus {
    /// Always empty here.
    pub inhibited_by: Vec<String>,
    /// Always empty here.
    pub muted_by: Vec<String>,
    /// Ids of the active silences that match.
    pub silenced_by: Vec<String>,
    /// `active` or `suppressed`.
    pub state: &'static str,
}

/// Alerts that are notified together.
#[derive(Debug, Clone, Serialize)]
pub struct AlertGroup {
    /// The alerts of the group.
    pub alerts: Vec<GettableAlert>,
    /// The labels by which they are grouped.
    pub labels: BTreeMap<String, String>,
    /// The receiver of its notifications.
    pub receiver: Receiver,
}

/// A receiver of notifications.
#[derive(Debug, Clone, Serialize)]
pub struct Receiver {
    /// Its name.
    pub name: &'static str,
}

/// A condition of a silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SilenceMatcher {
    /// Must the label match (or must it not)?
    #[serde(default = "yes")]
    pub is_equal: bool,
    /// Is the value a regular expression?
    pub is_regex: bool,
    /// Of the label.
    pub name: String,
    /// To compare with.
    pub value: String,
}

fn yes() -> bool {
    true
}

/// A silence as it is sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostableSilence {
    /// The silence to change; none: a new one.
    #[serde(default)]
    pub id: Option<String>,
    /// All must hold for an alert to be silenced.
    pub matchers: Vec<SilenceMatcher>,
    /// From when; a time in the past means now.
    #[serde(with = "time")]
    pub starts_at: Timestamp,
    /// Until when.
    #[serde(with = "time")]
    pub ends_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// A silence as it is listed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GettableSilence {
    /// A UUID.
    pub id: String,
    /// Whether it has begun or ended.
    pub status: SilenceStatus,
    /// When it was last changed.
    #[serde(with = "time")]
    pub updated_at: Timestamp,
    /// Why.
    pub comment: String,
    /// By whom.
    pub created_by: String,
    /// Until when.
    #[serde(with = "time")]
    pub ends_at: Timestamp,
    /// All must hold for an alert to be silenced.
    pub matchers: Vec<SilenceMatcher>,
    /// From when.
    #[serde(with = "time")]
    pub starts_at: Timestamp,
}

/// Whether a silence has begun or ended.
#[derive(Debug, Clone, Serialize)]
pub struct SilenceStatus {
    /// `pending`, `active` or `expired`.
    pub state: &'static str,
}
