//! Silences: which alerts, by whom, why, until when.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::Alertmanager;
use crate::clients::http::ClientError;
use crate::clients::prometheus::Labels;

/// A condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Matcher {
    /// Of the label.
    pub name: String,
    /// What its value is compared with.
    pub value: String,
    /// The value is a regular expression.
    pub is_regex: bool,
    /// The label must match; false: it must not.
    #[serde(default = "yes")]
    pub is_equal: bool,
}

fn yes() -> bool {
    true
}

impl Matcher {
    /// As Alertmanager writes it: `severity="warning"`.
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

    /// Matches these labels exactly.
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
    /// The alert is silenced if all match.
    pub matchers: Vec<Matcher>,
    /// From when.
    pub starts_at: String,
    /// Until when.
    pub ends_at: String,
    /// By whom.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// Whether a silence holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SilenceState {
    /// It will.
    Pending,
    /// It does.
    Active,
    /// It is over, or of a state that this client does not know.
    #[default]
    #[serde(other)]
    Expired,
}

/// Alertmanager's view of a silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceStatus {
    /// Whether it holds.
    #[serde(default)]
    pub state: SilenceState,
}

/// A silence as it is listed (`gettableSilence`). Times are RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Silence {
    /// A UUID.
    pub id: String,
    /// Whether it holds.
    #[serde(default)]
    pub status: SilenceStatus,
    /// The alert is silenced if all match.
    #[serde(default)]
    pub matchers: Vec<Matcher>,
    /// From when.
    #[serde(default)]
    pub starts_at: String,
    /// Until when.
    #[serde(default)]
    pub ends_at: String,
    /// By whom.
    #[serde(default)]
    pub created_by: String,
    /// Why.
    #[serde(default)]
    pub comment: String,
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "silenceID")]
    id: String,
}

impl Alertmanager {
    /// `GET /api/v2/silences`: all of them, those that are over too.
    pub async fn silences(&self) -> Result<Vec<Silence>, ClientError> {
        self.source.json(self.source.get("api/v2/silences")).await
    }

    /// `POST /api/v2/silences`; gives the new one's id.
    ///
    /// # Errors
    /// [`ClientError`]; a refused silence carries Alertmanager's own message.
    pub async fn silence(&self, silence: &PostableSilence) -> Result<String, ClientError> {
        let request = self.write(Method::POST, "api/v2/silences").json(silence);
        let created: Created = self.source.json(request).await?;
        Ok(created.id)
    }

    /// `DELETE /api/v2/silence/{id}`: it ends now.
    ///
    /// # Errors
    /// [`ClientError`]; 404 when there is none of that id.
    pub async fn expire(&self, id: &str) -> Result<(), ClientError> {
        // An id is part of a path: nothing but a UUID's characters may be in it.
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
