//! The shape of a rule file
//! (<https://prometheus.io/docs/prometheus/2.42/configuration/recording_rules/>).

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFile {
    #[serde(default)]
    pub(super) groups: Vec<GroupText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupText {
    pub(super) name: String,
    #[serde(default)]
    pub(super) interval: Option<String>,
    #[serde(default)]
    pub(super) limit: usize,
    #[serde(default)]
    pub(super) rules: Vec<RuleText>,
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
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
}

/// The path of the field `missing`, given a field near it: only a group's name can be missing.
pub(super) fn lacking(near: &str, missing: &str) -> String {
    let mut parts = near.split('.');
    match (parts.next(), parts.next()) {
        (Some("groups"), Some(group)) => format!("groups.{group}.{missing}"),
        _ => missing.to_owned(),
    }
}
