//! `/api/v1/rules` and `/api/v1/alerts` in the format of
//! <https://prometheus.io/docs/prometheus/2.42/querying/api/#rules>.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::evaluate::{ActiveAlert, Evaluator, LiveGroup, RuleStatus, State as AlertState};
use super::rules::{Alerting, Kind, Rule};
use crate::embedded::go_numbers::go_e_shortest;
use crate::embedded::prometheus::labels::Labels;
use crate::embedded::prometheus::{ApiError, Params};

/// The routes, which need no guard: the rules and their alerts.
pub fn routes(evaluator: Arc<Evaluator>) -> Router {
    Router::new()
        .route("/api/v1/rules", get(rules))
        .route("/api/v1/alerts", get(alerts))
        .with_state(evaluator)
}

/// Selects the rules to list.
struct Filter {
    alerting: bool,
    recording: bool,
    names: HashSet<String>,
    groups: HashSet<String>,
    files: HashSet<String>,
}

impl Filter {
    fn of(params: &Params) -> Result<Filter, ApiError> {
        let all = |wanted| params.all(wanted).map(str::to_owned).collect();
        let kind = params.get("type").map(str::to_lowercase);
        let (alerting, recording) = match kind.as_deref() {
            None => (true, true),
            Some("alert") => (true, false),
            Some("record") => (false, true),
            Some(other) => {
                let reason = format!("not supported value {other:?}");
                return Err(ApiError::parameter("type", reason));
            }
        };
        Ok(Filter {
            alerting,
            recording,
            names: all("rule_name[]"),
            groups: all("rule_group[]"),
            files: all("file[]"),
        })
    }

    fn takes_group(&self, group: &LiveGroup) -> bool {
        let takes = |set: &HashSet<String>, value| set.is_empty() || set.contains(value);
        takes(&self.groups, &group.spec.name) && takes(&self.files, &group.spec.file)
    }

    fn takes(&self, rule: &Rule) -> bool {
        let kind = match rule.kind {
            Kind::Alerting(_) => self.alerting,
            Kind::Recording => self.recording,
        };
        kind && (self.names.is_empty() || self.names.contains(&rule.name))
    }
}

async fn rules(
    State(evaluator): State<Arc<Evaluator>>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let filter = Filter::of(&params)?;
    let groups = evaluator.groups.iter();
    let groups: Vec<Value> = groups
        .filter(|group| filter.takes_group(group))
        .filter_map(|group| group_json(group, &filter))
        .collect();
    Ok(Json(
        json!({"status": "success", "data": {"groups": groups}}),
    ))
}

async fn alerts(State(evaluator): State<Arc<Evaluator>>) -> Json<Value> {
    let mut alerts = Vec::new();
    for group in &evaluator.groups {
        for status in group.status().rules {
            alerts.extend(listed(&status));
        }
    }
    Json(json!({"status": "success", "data": {"alerts": alerts}}))
}

/// The JSON of a group. `None` when no rule of the group is listed.
fn group_json(group: &LiveGroup, filter: &Filter) -> Option<Value> {
    let status = group.status();
    let rules = group.spec.rules.iter().zip(&status.rules);
    let rules: Vec<Value> = rules
        .filter(|(rule, _)| filter.takes(rule))
        .map(|(rule, status)| rule_json(rule, status))
        .collect();
    // A group without rules of the wanted kind is still listed. A group without rules of the wanted names is not.
    let listed = filter.names.is_empty() || !rules.is_empty();
    listed.then(|| {
        json!({
            "name": group.spec.name,
            "file": group.spec.file,
            "rules": rules,
            "interval": seconds(group.interval),
            "limit": group.spec.limit,
            "evaluationTime": seconds(status.evaluation.took),
            "lastEvaluation": time(status.evaluation.at),
        })
    })
}

fn rule_json(rule: &Rule, status: &RuleStatus) -> Value {
    let labels: BTreeMap<_, _> = rule.labels.iter().map(|(n, v)| (n, v)).collect();
    let mut fields = Map::new();
    if let Kind::Alerting(alerting) = &rule.kind {
        fields = alerting_fields(alerting, status);
    }
    let kind = match rule.kind {
        Kind::Alerting(_) => "alerting",
        Kind::Recording => "recording",
    };
    fields.insert("name".into(), json!(rule.name));
    fields.insert("query".into(), json!(rule.query.to_string()));
    if kind == "alerting" || !labels.is_empty() {
        fields.insert("labels".into(), json!(labels));
    }
    fields.insert("health".into(), json!(status.health.as_str()));
    if let Some(error) = &status.last_error {
        fields.insert("lastError".into(), json!(error));
    }
    let evaluation = status.evaluation;
    fields.insert("evaluationTime".into(), seconds(evaluation.took));
    fields.insert("lastEvaluation".into(), json!(time(evaluation.at)));
    fields.insert("type".into(), json!(kind));
    Value::Object(fields)
}

fn alerting_fields(alerting: &Alerting, status: &RuleStatus) -> Map<String, Value> {
    let annotations = alerting.annotations.iter();
    let annotations: BTreeMap<_, _> = annotations.map(|(name, raw, _)| (name, raw)).collect();
    let states = status.alerts.values().map(|alert| alert.state);
    let state = states.max().unwrap_or(AlertState::Inactive);
    let alerts: Vec<Value> = listed(status).collect();
    let fields = [
        ("state", json!(state.as_str())),
        ("duration", seconds(alerting.hold)),
        ("keepFiringFor", seconds(alerting.keep_firing)),
        ("annotations", json!(annotations)),
        ("alerts", json!(alerts)),
    ];
    fields.into_iter().map(|(n, v)| (n.to_owned(), v)).collect()
}

/// The alerts of a rule that have not resolved.
fn listed(status: &RuleStatus) -> impl Iterator<Item = Value> {
    let going_on = status
        .alerts
        .iter()
        .filter(|(_, a)| a.resolved_at.is_none());
    going_on.map(|(labels, alert)| alert_json(labels, alert))
}

fn alert_json(labels: &Labels, alert: &ActiveAlert) -> Value {
    let labels: BTreeMap<_, _> = labels.iter().collect();
    let mut listed = json!({
        "labels": labels,
        "annotations": alert.annotations,
        "state": alert.state.as_str(),
        "activeAt": time(Some(alert.active_at)),
        "value": go_e_shortest(alert.value),
    });
    if let Some(since) = alert.keep_firing_since {
        listed["keepFiringSince"] = json!(time(Some(since)));
    }
    listed
}

/// Writes seconds like Go, without a fraction if they are whole.
fn seconds(duration: Duration) -> Value {
    match duration.subsec_nanos() {
        0 => json!(duration.as_secs()),
        _ => json!(duration.as_secs_f64()),
    }
}

/// RFC 3339. A missing time is written as Go's zero time, in the year 1.
fn time(ms: Option<i64>) -> String {
    ms.and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |at| at.to_string())
}
