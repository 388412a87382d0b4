//! Pending and firing alerts in Prometheus's list.

use serde::{Deserialize, Serialize};

use super::{Labels, Prometheus};
use crate::clients::http::{ClientError, decode};

/// The stage of a rule's alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleState {
    /// The condition holds, but not yet for long enough.
    Pending,
    /// It fires.
    Firing,
    /// A state that this client does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// An alert of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleAlert {
    /// The labels that identify the alert, without external labels.
    pub labels: Labels,
    /// Texts for people.
    pub annotations: Labels,
    /// Its stage.
    pub state: RuleState,
    /// The start of the condition, RFC 3339.
    pub active_at: String,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    alerts: Vec<RuleAlert>,
}

impl Prometheus {
    /// `GET /api/v1/alerts`: the pending and firing alerts.
    pub async fn alerts(&self) -> Result<Vec<RuleAlert>, ClientError> {
        read_alerts(&self.0.accepted(self.0.get("api/v1/alerts")).await?)
    }
}

/// The alerts of an answer's body.
pub(crate) fn read_alerts(body: &[u8]) -> Result<Vec<RuleAlert>, ClientError> {
    let answer: Answer = decode(body)?;
    Ok(answer.data.alerts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::http::decode;

    #[test]
    fn pending_and_firing_alerts_are_read() {
        let text = br#"{"status":"success","data":{"alerts":[
            {"labels":{"alertname":"X"},"annotations":{"summary":"s"},"state":"pending",
             "activeAt":"2026-01-01T00:00:00.1Z","value":"1e+00"},
            {"labels":{"alertname":"Y"},"annotations":{},"state":"brand-new","activeAt":"x","value":"1"}]}}"#;
        let alerts = decode::<Answer>(text).unwrap().data.alerts;
        assert_eq!(alerts[0].state, RuleState::Pending);
        assert_eq!(alerts[0].labels["alertname"], "X");
        assert_eq!(alerts[1].state, RuleState::Unknown);
    }
}
