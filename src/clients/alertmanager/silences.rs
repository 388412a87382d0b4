//! Silences: their alerts, author, reason and end.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::Alertmanager;
use crate::clients::http::ClientError;
use crate::clients::prometheus::Labels;

/// A condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Matcher {
    /// The name of the label.
    pub name: String,
    /// The value to compare with.
    pub value: String,
    /// Whether the value is a regular expression.
    pub is_regex: bool,
    /// Whether the label must match. If false, it must not match.
    #[serde(default = "yes")]
    pub is_equal: bool,
}

fn yes() -> bool {
    true
}

impl Matcher {
    /// The matcher in Alertmanager's notation: `severity="warning"`.
    #[must_use]
    pub fn text(&self) -> String {
        let sign = match (self.is_equal, self.is_regex) {
            (true, false) => "=",
            (true, true) => "=~",
            (false, false) => "!=",
            (false, true) => "!~",
        };
        format!("{}{sign}{:?}", self.name, self.value)
    }

    /// Matchers for exactly these labels.
    #[must_use]
    pub fn exactly(labels: &Labels) -> Vec<Matcher> {
        let matcher = |(name, value): (&String, &String)| Matcher {
            name: name.clone(),
            value: value.clone(),
            is_regex: false,
            is_equal: true,
        };
        labels.iter().map(matcher).collect()
    }
}

/// A silence to create (`postableSilence`). Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostableSilence {
    /// The matchers. An alert is silenced if it matches all of them.
    pub matchers: Vec<Matcher>,
    /// The time from which matching alerts are silenced, RFC 3339.
    pub starts_at: String,
    /// The time at which the silence expires, RFC 3339.
    pub ends_at: String,
    /// The user who created the silence.
    pub created_by: String,
    /// The reason, which other users see.
    pub comment: String,
}

/// The state of a silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SilenceState {
    /// It has not begun.
    Pending,
    /// It is active.
    Active,
    /// It has ended, or this client does not know the state.
    #[default]
    #[serde(other)]
    Expired,
}

/// The status of a silence in Alertmanager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceStatus {
    /// Pending, active or expired.
    #[serde(default)]
    pub state: SilenceState,
}

/// A silence in a list (`gettableSilence`). Times are RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Silence {
    /// A UUID.
    pub id: String,
    /// The status.
    #[serde(default)]
    pub status: SilenceStatus,
    /// The matchers. An alert is silenced if it matches all of them.
    #[serde(default)]
    pub matchers: Vec<Matcher>,
    /// The time from which matching alerts are silenced, RFC 3339.
    #[serde(default)]
    pub starts_at: String,
    /// The time at which the silence expires, RFC 3339.
    #[serde(default)]
    pub ends_at: String,
    /// The user who created the silence.
    #[serde(default)]
    pub created_by: String,
    /// The reason, which other users see.
    #[serde(default)]
    pub comment: String,
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "silenceID")]
    id: String,
}

impl Alertmanager {
    /// `GET /api/v2/silences`: all silences, including expired ones.
    pub async fn silences(&self) -> Result<Vec<Silence>, ClientError> {
        self.source.json(self.source.get("api/v2/silences")).await
    }

    /// `POST /api/v2/silences`. Returns the id of the new silence.
    ///
    /// # Errors
    /// [`ClientError`]. After a refusal it contains Alertmanager's own message.
    pub async fn silence(&self, silence: &PostableSilence) -> Result<String, ClientError> {
        let request = self.write(Method::POST, "api/v2/silences").json(silence);
        let created: Created = self.source.json(request).await?;
        Ok(created.id)
    }

    /// `DELETE /api/v2/silence/{id}`: expires the silence now.
    ///
    /// # Errors
    /// [`ClientError`], with 404 when there is no silence with that id.
    pub async fn expire(&self, id: &str) -> Result<(), ClientError> {
        // The id becomes part of a path, so only the characters of a UUID are allowed.
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(ClientError::Malformed(format!(
                "{id:?} is not a silence's id"
            )));
        }
        let path = format!("api/v2/silence/{id}");
        let request = self.write(Method::DELETE, &path);
        self.source.accepted(request).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_of_exactly_one_alert_is_written_as_the_api_wants_it() {
        let labels = Labels::from([
            ("alertname".into(), "X".into()),
            ("severity".into(), "page".into()),
        ]);
        let silence = PostableSilence {
            matchers: Matcher::exactly(&labels),
            starts_at: "2026-01-01T00:00:00Z".into(),
            ends_at: "2026-01-01T00:30:00Z".into(),
            created_by: "mona".into(),
            comment: "acknowledged".into(),
        };
        assert_eq!(
            serde_json::to_string(&silence).unwrap(),
            concat!(
                r#"{"matchers":[{"name":"alertname","value":"X","isRegex":false,"isEqual":true},"#,
                r#"{"name":"severity","value":"page","isRegex":false,"isEqual":true}],"#,
                r#""startsAt":"2026-01-01T00:00:00Z","endsAt":"2026-01-01T00:30:00Z","#,
                r#""createdBy":"mona","comment":"acknowledged"}"#
            )
        );
        assert_eq!(silence.matchers[1].text(), r#"severity="page""#);
    }

    #[test]
    fn a_listed_silence_is_read_and_an_unknown_state_is_no_active_one() {
        let text = r#"[{"id":"a","status":{"state":"active"},"updatedAt":"x","comment":"c","createdBy":"b",
            "endsAt":"e","startsAt":"s","matchers":[{"isRegex":true,"name":"n","value":"v.*"}]},
            {"id":"b","status":{"state":"brand-new"}}]"#;
        let silences: Vec<Silence> = serde_json::from_str(text).unwrap();
        assert_eq!(silences[0].status.state, SilenceState::Active);
        assert_eq!(silences[0].matchers[0].text(), r#"n=~"v.*""#);
        assert_eq!(silences[1].status.state, SilenceState::Expired);
    }
}
