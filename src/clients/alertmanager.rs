//! Alertmanager's API v2. It lists, raises and resolves alerts, and manages silences.

mod silences;

use serde::{Deserialize, Serialize};

pub use silences::{Matcher, PostableSilence, Silence, SilenceState, SilenceStatus};

use super::http::{ClientError, HttpSource};
use super::prometheus::Labels;
use crate::secret::Secret;

/// Alertmanager at one address.
#[derive(Clone, Debug)]
pub struct Alertmanager {
    source: HttpSource,
    token: Option<Secret>,
}

/// Whether an alert notifies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// The alert fires and notifies.
    Active,
    /// The alert fires, but is silenced or inhibited.
    Suppressed,
    /// The alert has just arrived, or this client does not know the state.
    #[default]
    #[serde(other)]
    Unprocessed,
}

/// Alertmanager's decision about an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AlertStatus {
    /// Whether it notifies.
    pub state: AlertState,
    /// Ids of the silences that match it.
    pub silenced_by: Vec<String>,
    /// Fingerprints of the alerts that inhibit it.
    pub inhibited_by: Vec<String>,
}

/// An alert in Alertmanager's list (`gettableAlert`). Times are RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// The labels that identify the alert. `alertname` is its name.
    pub labels: Labels,
    /// Texts for people.
    #[serde(default)]
    pub annotations: Labels,
    /// A stable id that is computed from the labels.
    #[serde(default)]
    pub fingerprint: String,
    /// The start of the alert.
    pub starts_at: String,
    /// The end of the alert.
    #[serde(default)]
    pub ends_at: String,
    /// Whether it notifies.
    #[serde(default)]
    pub status: AlertStatus,
}

/// An alert to raise or repeat (`postableAlert`). An end that is not in the future resolves it. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostableAlert {
    /// The labels, which must include `alertname`. The same labels mean the same alert.
    pub labels: Labels,
    /// Texts for people.
    pub annotations: Labels,
    /// The start. Without it the alert starts now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    /// The end. Without it Alertmanager's resolve time-out applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
}

impl Alertmanager {
    /// A client of `source`. Posts carry `token` as bearer token if there is one. The embedded Alertmanager requires
    /// it, and others usually do not.
    #[must_use]
    pub fn new(source: HttpSource, token: Option<Secret>) -> Alertmanager {
        Alertmanager { source, token }
    }

    /// The HTTP source that the requests go to.
    #[must_use]
    pub fn source(&self) -> &HttpSource {
        &self.source
    }

    /// `GET /api/v2/alerts`: all alerts that are not resolved.
    pub async fn alerts(&self) -> Result<Vec<Alert>, ClientError> {
        self.source.json(self.source.get("api/v2/alerts")).await
    }

    /// `POST /api/v2/alerts`.
    ///
    /// # Errors
    /// [`ClientError`]. After a refusal it contains Alertmanager's own message.
    pub async fn post(&self, alerts: &[PostableAlert]) -> Result<(), ClientError> {
        let request = self
            .write(reqwest::Method::POST, "api/v2/alerts")
            .json(alerts);
        self.source.accepted(request).await?;
        Ok(())
    }

    /// `host:port`, for people.
    #[must_use]
    pub fn authority(&self) -> String {
        self.source.authority()
    }

    fn write(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.source.request(method, path);
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_alert_is_read_and_an_unknown_state_does_not_break_it() {
        let text = r#"[{"labels":{"alertname":"X"},"annotations":{"summary":"s"},"fingerprint":"f",
            "startsAt":"2026-01-01T00:00:00.000Z","endsAt":"2026-01-02T00:00:00.000Z","updatedAt":"x",
            "receivers":[{"name":"r"}],"status":{"state":"suppressed","silencedBy":["a"],"inhibitedBy":[],"mutedBy":[]}},
            {"labels":{"alertname":"Y"},"startsAt":"z","status":{"state":"brand-new"}}]"#;
        let alerts: Vec<Alert> = serde_json::from_str(text).unwrap();
        assert_eq!(alerts[0].status.state, AlertState::Suppressed);
        assert_eq!(alerts[0].status.silenced_by, ["a"]);
        assert_eq!(alerts[1].status.state, AlertState::Unprocessed);
    }

    #[test]
    fn an_alert_to_post_leaves_out_absent_times() {
        let alert = PostableAlert {
            labels: Labels::from([("alertname".into(), "X".into())]),
            annotations: Labels::new(),
            starts_at: None,
            ends_at: Some("2026-01-01T00:00:00Z".into()),
        };
        assert_eq!(
            serde_json::to_string(&alert).unwrap(),
            r#"{"labels":{"alertname":"X"},"annotations":{},"endsAt":"2026-01-01T00:00:00Z"}"#
        );
    }
}
