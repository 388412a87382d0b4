//! The format of a rule file (<https://prometheus.io/docs/prometheus/2.42/configuration/recording_rules/>).
//!
//! It also covers a `PrometheusRule`, the Kubernetes resource that contains a rule file, and lists of them
//! (<https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PrometheusRule>).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::Spanned;

/// A field without a value (`groups:`) counts as missing, and gets its default.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Texts by name. As in Prometheus, a name without a value (`a:`) has an empty text.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let given = Option::<BTreeMap<String, Option<String>>>::deserialize(deserializer)?;
    let given = given.unwrap_or_default().into_iter();
    Ok(given
        .map(|(name, text)| (name, text.unwrap_or_default()))
        .collect())
}

/// The limit of a group. As in Prometheus, a negative number means no limit, and a text is refused.
fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    struct Limit;
    impl serde::de::Visitor<'_> for Limit {
        type Value = usize;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a whole number such as 20")
        }

        fn visit_i64<E>(self, limit: i64) -> Result<usize, E> {
            Ok(usize::try_from(limit).unwrap_or(0))
        }

        fn visit_u64<E: serde::de::Error>(self, limit: u64) -> Result<usize, E> {
            let refused = |_| E::invalid_value(serde::de::Unexpected::Unsigned(limit), &self);
            usize::try_from(limit).map_err(refused)
        }

        fn visit_unit<E>(self) -> Result<usize, E> {
            Ok(0)
        }

        fn visit_none<E>(self) -> Result<usize, E> {
            Ok(0)
        }
    }
    deserializer.deserialize_any(Limit)
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
    #[allow(dead_code, reason = "`Head` has it")]
    kind: String,
    #[serde(default)]
    #[allow(dead_code, reason = "accepted, not used")]
    metadata: Value,
    #[serde(default)]
    #[allow(dead_code, reason = "accepted, not used")]
    status: Value,
    #[serde(default)]
    pub(super) spec: Option<RuleFile>,
}

/// A list of resources, as `kubectl get prometheusrules -o yaml` writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ResourceList {
    #[allow(dead_code, reason = "accepted, not used")]
    api_version: Value,
    #[allow(dead_code, reason = "`Head` has it")]
    kind: String,
    #[serde(default)]
    #[allow(dead_code, reason = "accepted, not used")]
    metadata: Value,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) items: Vec<Resource>,
}

/// The part of a document that decides how to read the rest.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    #[serde(default)]
    pub(super) kind: Option<Value>,
    /// The resources of a list.
    #[serde(default)]
    pub(super) items: Option<Vec<ItemHead>>,
}

/// The kind of a list's resource.
#[derive(Debug, Deserialize)]
pub(super) struct ItemHead {
    #[serde(default)]
    pub(super) kind: Option<Value>,
}

/// The kind of a document that may be nested deeper than a rule file, and its position.
#[derive(Debug, Deserialize)]
pub(super) struct DeepHead {
    #[serde(default)]
    pub(super) kind: Option<Spanned<String>>,
}

impl Head {
    pub(super) fn is_list(&self) -> bool {
        let kind = self.kind.as_ref().and_then(Value::as_str);
        kind.is_some_and(is_list)
    }
}

/// Returns whether a resource of this kind is a list of resources.
pub(super) fn is_list(kind: &str) -> bool {
    matches!(kind, "List" | "PrometheusRuleList")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupText {
    pub(super) name: String,
    #[serde(default)]
    pub(super) interval: Option<String>,
    #[serde(default, deserialize_with = "limit")]
    pub(super) limit: usize,
    #[serde(default)]
    pub(super) query_offset: Option<String>,
    /// Labels of every rule of the group that does not set them itself.
    #[serde(default, deserialize_with = "texts")]
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
    #[serde(default, deserialize_with = "texts")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "texts")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// The path of the required field `missing`, given the path of a field near it. Two fields can be missing: the `name`
/// of a group, and the `apiVersion` or `kind` of a resource. The path of a single resource does not begin with `spec.`.
pub(super) fn lacking(near: &str, missing: &str) -> String {
    let near = near.strip_prefix("spec.").unwrap_or(near);
    let parts: Vec<&str> = near.split('.').collect();
    match parts.as_slice() {
        ["groups", group, ..] => format!("groups.{group}.{missing}"),
        ["items", item, "spec", "groups", group, ..] => {
            format!("items.{item}.spec.groups.{group}.{missing}")
        }
        ["items", item, ..] => format!("items.{item}.{missing}"),
        _ => missing.to_owned(),
    }
}
