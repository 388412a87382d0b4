//! The format of a rule file (<https://prometheus.io/docs/prometheus/2.42/configuration/recording_rules/>).
//!
//! It also covers a `PrometheusRule`, the Kubernetes resource that contains a rule file
//! (<https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PrometheusRule>).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A field without a value (`groups:`) counts as missing, and gets its default.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFile {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) groups: Vec<GroupText>,
}

/// A `PrometheusRule` resource. Its `spec` is the rule file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Resource {
    #[allow(dead_code, reason = "accepted, not used")]
    api_version: Value,
    pub(super) kind: String,
    #[serde(default)]
    #[allow(dead_code, reason = "accepted, not used")]
    metadata: Value,
    #[serde(default)]
    #[allow(dead_code, reason = "accepted, not used")]
    status: Value,
    #[serde(default)]
    pub(super) spec: Option<RuleFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupText {
    pub(super) name: String,
    #[serde(default)]
    pub(super) interval: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) limit: usize,
    #[serde(default)]
    pub(super) query_offset: Option<String>,
    /// Labels of every rule of the group that does not set them itself.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) rules: Vec<RuleText>,
    /// A Thanos field for the case that a store does not answer. There is only one store here.
    #[serde(default, rename = "partial_response_strategy")]
    #[allow(dead_code, reason = "accepted, without meaning here")]
    partial_response: Value,
    /// A Mimir and Cortex field with the tenants to read. There is only one tenant here.
    #[serde(default)]
    #[allow(dead_code, reason = "accepted, without meaning here")]
    source_tenants: Value,
}

/// A rule that records or alerts. `check_recording` (`check.rs`) refuses the fields that only a rule that alerts has:
/// extend its list with a new one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleText {
    #[serde(default)]
    pub(super) record: Option<String>,
    #[serde(default)]
    pub(super) alert: Option<String>,
    #[serde(default)]
    pub(super) expr: Option<String>,
    /// The time for which `expr` must hold before the alert fires.
    #[serde(default, rename = "for")]
    pub(super) hold: Option<String>,
    #[serde(default)]
    pub(super) keep_firing_for: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// The path of the required field `missing`, given the path of a field near it. Two fields can be missing: the `name`
/// of a group, and the `apiVersion` of a resource, which has no map around it. The path does not begin with `spec.`.
pub(super) fn lacking(near: &str, missing: &str) -> String {
    let near = near.strip_prefix("spec.").unwrap_or(near);
    let mut parts = near.split('.');
    match (parts.next(), parts.next()) {
        (Some("groups"), Some(group)) => format!("groups.{group}.{missing}"),
        _ => missing.to_owned(),
    }
}
