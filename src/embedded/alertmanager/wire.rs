//! The JSON shapes of Alertmanager's API
//! (<https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::time;

/// An alert in a request. As in Go, null is an empty text, and an optional field that is null is missing.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PostableAlert {
    /// The labels that identify the alert, including `alertname`.
    #[serde(deserialize_with = "labels")]
    pub labels: BTreeMap<String, String>,
    /// The texts that explain the alert.
    #[serde(default, deserialize_with = "optional_texts")]
    pub annotations: BTreeMap<String, String>,
    /// The start of the alert. If it is missing, the alert starts at its arrival, or at its end if that is earlier.
    #[serde(default, rename = "startsAt", deserialize_with = "time::optional")]
    pub starts_at: Option<Timestamp>,
    /// The end of the alert. A time in the past resolves it.
    #[serde(default, rename = "endsAt", deserialize_with = "time::optional")]
    pub ends_at: Option<Timestamp>,
    /// A link to the source of the alert.
    #[serde(default, rename = "generatorURL", deserialize_with = "optional_text")]
    pub generator_url: String,
}

/// Texts by name, each of which may be null.
type Texts = BTreeMap<String, Option<String>>;

fn labels<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let given = Option::<Texts>::deserialize(from)?;
    let given = given.ok_or_else(|| D::Error::missing_field("labels"))?;
    Ok(without_null(given))
}

fn optional_texts<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let given = Option::<Texts>::deserialize(from)?;
    Ok(without_null(given.unwrap_or_default()))
}

fn without_null(texts: Texts) -> BTreeMap<String, String> {
    let texts = texts.into_iter();
    texts
        .map(|(name, text)| (name, text.unwrap_or_default()))
        .collect()
}

fn optional_text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let given = Option::<String>::deserialize(from)?;
    Ok(given.unwrap_or_default())
}

/// An alert in a response.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GettableAlert {
    /// The texts that explain the alert.
    pub annotations: BTreeMap<String, String>,
    /// The time at which the alert resolves unless it is sent again.
    #[serde(with = "time")]
    pub ends_at: Timestamp,
    /// 16 hexadecimal digits that are computed from the labels.
    pub fingerprint: String,
    /// The receivers of its notifications.
    pub receivers: Vec<Receiver>,
    /// The start of the alert.
    #[serde(with = "time")]
    pub starts_at: Timestamp,
    /// Whether it is silenced.
    pub status: AlertStatus,
    /// The time at which the alert was last sent.
    #[serde(with = "time")]
    pub updated_at: Timestamp,
    /// A link to the source of the alert.
    #[serde(rename = "generatorURL", skip_serializing_if = "String::is_empty")]
    pub generator_url: String,
    /// The labels that identify the alert.
    pub labels: BTreeMap<String, String>,
}

/// Whether an alert is silenced, and by which silences.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertStatus {
    /// Always empty in this implementation.
    pub inhibited_by: Vec<String>,
    /// Always empty in this implementation.
    pub muted_by: Vec<String>,
    /// The ids of the matching active silences.
    pub silenced_by: Vec<String>,
    /// `active` or `suppressed`.
    pub state: &'static str,
}

/// Alerts of which a receiver is notified together.
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
#[serde(rename_all = "camelCase", try_from = "GivenMatcher")]
pub struct SilenceMatcher {
    /// Whether the label must match. Otherwise it must not match.
    pub is_equal: bool,
    /// Whether the value is a regular expression.
    pub is_regex: bool,
    /// The name of the label.
    pub name: String,
    /// The value to compare with.
    pub value: String,
}

/// A matcher as it arrives. As in Go, null is a missing field.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GivenMatcher {
    is_equal: Option<bool>,
    is_regex: Option<bool>,
    name: Option<String>,
    value: Option<String>,
}

/// The field that a request lacks. Its text is that of serde, so that the reason can be recognised.
#[derive(Debug, thiserror::Error)]
#[error("missing field `{0}`")]
struct Missing(String);

impl TryFrom<GivenMatcher> for SilenceMatcher {
    type Error = Missing;

    /// Reports the missing field that Alertmanager reports first.
    fn try_from(given: GivenMatcher) -> Result<SilenceMatcher, Missing> {
        let missing = |name: &str| Missing(name.to_owned());
        Ok(SilenceMatcher {
            is_equal: given.is_equal.unwrap_or(true),
            is_regex: given.is_regex.ok_or_else(|| missing("isRegex"))?,
            name: given.name.ok_or_else(|| missing("name"))?,
            value: given.value.ok_or_else(|| missing("value"))?,
        })
    }
}

/// A silence as it arrives. As in Go, null is a missing field.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GivenSilence {
    id: Option<String>,
    matchers: Option<Vec<Option<GivenMatcher>>>,
    #[serde(default, deserialize_with = "time::nullable")]
    starts_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "time::nullable")]
    ends_at: Option<Timestamp>,
    created_by: Option<String>,
    comment: Option<String>,
}

impl TryFrom<GivenSilence> for PostableSilence {
    type Error = Missing;

    /// Reports the missing field that Alertmanager reports first.
    fn try_from(given: GivenSilence) -> Result<PostableSilence, Missing> {
        let missing = |name: &str| Missing(name.to_owned());
        let comment = given.comment.ok_or_else(|| missing("comment"))?;
        let created_by = given.created_by.ok_or_else(|| missing("createdBy"))?;
        let ends_at = given.ends_at.ok_or_else(|| missing("endsAt"))?;
        let matchers = given.matchers.ok_or_else(|| missing("matchers"))?;
        let matchers = matchers.into_iter().enumerate().map(|(index, matcher)| {
            let matcher = SilenceMatcher::try_from(matcher.unwrap_or_default());
            matcher.map_err(|Missing(name)| Missing(format!("matchers.{index}.{name}")))
        });
        Ok(PostableSilence {
            id: given.id,
            matchers: matchers.collect::<Result<_, _>>()?,
            starts_at: given.starts_at.ok_or_else(|| missing("startsAt"))?,
            ends_at,
            created_by,
            comment,
        })
    }
}

/// A silence in a request.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "GivenSilence")]
pub struct PostableSilence {
    /// The silence to change. Without an id a new one is created.
    pub id: Option<String>,
    /// The conditions. An alert must meet all of them to be silenced.
    pub matchers: Vec<SilenceMatcher>,
    /// The start. A time in the past means now.
    pub starts_at: Timestamp,
    /// The time at which the silence expires.
    pub ends_at: Timestamp,
    /// The user who created the silence.
    pub created_by: String,
    /// The reason, which other users see.
    pub comment: String,
}

/// A silence in a response.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GettableSilence {
    /// A UUID.
    pub id: String,
    /// The state of the silence.
    pub status: SilenceStatus,
    /// The time of the last change.
    #[serde(with = "time")]
    pub updated_at: Timestamp,
    /// The reason, which other users see.
    pub comment: String,
    /// The user who created the silence.
    pub created_by: String,
    /// The time at which the silence expires.
    #[serde(with = "time")]
    pub ends_at: Timestamp,
    /// The conditions. An alert must meet all of them to be silenced.
    pub matchers: Vec<SilenceMatcher>,
    /// The time from which matching alerts are silenced.
    #[serde(with = "time")]
    pub starts_at: Timestamp,
}

/// The state of a silence.
#[derive(Debug, Clone, Serialize)]
pub struct SilenceStatus {
    /// `pending`, `active` or `expired`.
    pub state: &'static str,
}
