//! The rules of the Prometheus HTTP API, which decide about alerts.

use serde::Deserialize;

use super::http::{ClientError, decode};
use super::prometheus::{Labels, Prometheus};

/// A rule as the rules API lists it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// The alert that it raises, or the series that it records.
    pub name: String,
    /// Its expression.
    pub query: String,
    /// `alerting` or `recording`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The time in seconds for which the expression must hold before the alert fires.
    pub duration: f64,
    /// The labels that it adds to its alerts.
    pub labels: Labels,
    /// `ok`, `unknown` or `err`.
    pub health: String,
    /// The error of the last evaluation, if it failed.
    #[serde(rename = "lastError")]
    pub last_error: String,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    groups: Vec<RuleGroup>,
}

/// Rules that are evaluated together.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RuleGroup {
    /// The group's name.
    pub name: String,
    /// The file, as Prometheus names it.
    pub file: String,
    /// Seconds between two evaluations.
    pub interval: f64,
    /// Its rules.
    pub rules: Vec<Rule>,
}

impl Prometheus {
    /// `GET /api/v1/rules?type=alert`: all alerting rules, in the order of their files.
    pub async fn alert_rules(&self) -> Result<Vec<Rule>, ClientError> {
        let request = self.source().get("api/v1/rules");
        let request = request.query(&[("type", "alert")]);
        read(&self.source().accepted(request).await?)
    }

    /// `GET /api/v1/rules`: all rules in their groups.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rule_groups(&self) -> Result<Vec<RuleGroup>, ClientError> {
        let request = self.source().get("api/v1/rules");
        let answer: Answer = self.source().json(request).await?;
        Ok(answer.data.groups)
    }
}

/// The rules of an answer's body.
pub(crate) fn read(body: &[u8]) -> Result<Vec<Rule>, ClientError> {
    let answer: Answer = decode(body)?;
    let groups = answer.data.groups.into_iter();
    Ok(groups.flat_map(|group| group.rules).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::http::decode;

    #[test]
    fn rules_are_read_out_of_their_groups_and_what_is_left_out_is_empty() {
        let body = br#"{"status":"success","data":{"groups":[{"name":"g","rules":[
            {"state":"firing","name":"Slow","query":"a > 1","duration":5,"labels":{"severity":"critical"},
             "annotations":{},"alerts":[],"health":"ok","type":"alerting"}]},
            {"name":"h","rules":[{"name":"Bare","query":"up == 0"}]}]}}"#;
        let answer: Answer = decode(body).unwrap();
        let rules: Vec<_> = answer
            .data
            .groups
            .into_iter()
            .flat_map(|g| g.rules)
            .collect();
        assert_eq!(rules[0].name, "Slow");
        assert_eq!(rules[0].duration, 5.0);
        assert_eq!(rules[0].labels["severity"], "critical");
        assert_eq!(
            (rules[1].query.as_str(), rules[1].duration),
            ("up == 0", 0.0)
        );
    }
}
