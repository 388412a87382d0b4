//! The shape of a rule file
//! (<https://prometheus.io/docs/prometheus/2.42/configuration/recording_rules/>).

//!
//! Also that of a `PrometheusRule`, the Kubernetes resource that carries one
//! (<https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PrometheusRule>).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A field that is there without a value is as if it were not there.
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

/// A `PrometheusRule` resource; its rule file stands below `spec`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Resource {
    #[allow(dead_code, reason = "known, not used")]
    api_version: Value,
    pub(super) kind: String,
    #[serde(default)]
    #[allow(dead_code, reason = "known, not used")]
    metadata: Value,
    #[serde(default)]
    #[allow(dead_code, reason = "known, not used")]
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
    /// Of every rule of the group that has no such label itself.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) rules: Vec<RuleText>,
    /// Thanos: how it answers where a store is away. There is one store here.
    #[serde(default, rename = "partial_response_strategy")]
    #[allow(dead_code, reason = "known, without meaning here")]
    partial_response: Value,
    /// Mimir and Cortex: the tenants whose series are read. There is one tenant here.
    #[serde(default)]
    #[allow(dead_code, reason = "known, without meaning here")]
    source_tenants: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleText {
    #[serde(default)]
    pub(super) record: Option<String>,
    #[serde(default)]
    pub(super) alert: Option<String>,
    #[serde(default)]
    pub(super) expr: Option<String>,
    #[serde(default, rename = "for")]
    pub(super) hold: Option<String>,
    #[serde(default)]
    pub(super) keep_firing_for: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// The path of the field `missing`, given a field near it: only a group's name can be missing.
pub(super) fn lacking(near: &str, missing: &str) -> String {
    let near = near.strip_prefix("spec.").unwrap_or(near);
    let mut parts = near.split('.');
    match (parts.next(), parts.next()) {
        (Some("groups"), Some(group)) => format!("groups.{group}.{missing}"),
        _ => missing.to_owned(),
    }
}
