//! Evaluates a group once, and keeps the state of its rules.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;

use super::EvaluatorConfig;
use super::alert::{Alerts, Evaluating, Samples, millis, update};
use crate::alerting::rules::{Group, Kind, Rule};
use crate::embedded::alertmanager::PostableAlert;
use crate::embedded::prometheus::Tsdb;
use crate::embedded::prometheus::labels::{Labels, METRIC_NAME};
use crate::embedded::prometheus::promql::Query;
use crate::embedded::prometheus::tsdb::SeriesId;

/// A group and the state of its rules.
#[derive(Debug)]
pub(in crate::alerting) struct LiveGroup {
    pub(in crate::alerting) spec: Group,
    pub(in crate::alerting) interval: Duration,
    state: Mutex<GroupStatus>,
}

#[derive(Debug, Clone, Default)]
pub(in crate::alerting) struct GroupStatus {
    pub(in crate::alerting) evaluation: Evaluation,
    /// The status of each rule.
    pub(in crate::alerting) rules: Vec<RuleStatus>,
}

/// The time and the duration of the last evaluation.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::alerting) struct Evaluation {
    pub(in crate::alerting) at: Option<i64>,
    pub(in crate::alerting) took: Duration,
}

#[derive(Debug, Clone, Default)]
pub(in crate::alerting) struct RuleStatus {
    pub(in crate::alerting) health: Health,
    pub(in crate::alerting) last_error: Option<String>,
    pub(in crate::alerting) evaluation: Evaluation,
    pub(in crate::alerting) alerts: Alerts,
    /// The series that the last evaluation wrote.
    series: HashSet<SeriesId>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::alerting) enum Health {
    #[default]
    Unknown,
    Good,
    Bad,
}

impl Health {
    pub(in crate::alerting) fn as_str(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Good => "ok",
            Health::Bad => "err",
        }
    }
}

impl LiveGroup {
    pub(super) fn new(spec: Group, default_interval: Duration) -> LiveGroup {
        let rules = spec.rules.iter().map(|_| RuleStatus::default()).collect();
        LiveGroup {
            interval: spec.interval.unwrap_or(default_interval),
            state: Mutex::new(GroupStatus {
                rules,
                ..GroupStatus::default()
            }),
            spec,
        }
    }

    /// The status of the group.
    pub(in crate::alerting) fn status(&self) -> GroupStatus {
        self.state.lock().clone()
    }

    /// Evaluates the rules in order at the time `at`, writes their samples, and returns the alerts to send.
    pub(super) fn evaluate(
        &self,
        tsdb: &Tsdb,
        config: &EvaluatorConfig,
        at: i64,
    ) -> Vec<PostableAlert> {
        let started = Instant::now();
        let mut to_send = Vec::new();
        for (index, rule) in self.spec.rules.iter().enumerate() {
            let started = Instant::now();
            let asked_at = at.saturating_sub(millis(self.spec.query_offset));
            let found = rule.query.rows(tsdb, &config.limits, asked_at);
            let query = |expression: &str| {
                let parsed = Query::parse(expression, &config.limits);
                let rows = parsed.and_then(|query| query.rows(tsdb, &config.limits, asked_at));
                rows.map_err(|error| error.to_string())
            };
            // Queries are evaluated without the lock, so that readers of the state do not wait.
            let mut state = self.state.lock();
            let Some(status) = state.rules.get_mut(index) else {
                continue;
            };
            let samples = found.map_err(|error| error.to_string());
            let now = Evaluating {
                at,
                limit: self.spec.limit,
                external_labels: &config.external_labels,
                external_url: &config.external_url,
                query: &query,
            };
            let samples = samples.and_then(|found| apply(status, rule, found, &now));
            match samples {
                Ok(samples) => {
                    status.set_outcome(rule, None);
                    to_send.extend(status.due(rule, config, self.interval, at));
                    status.write(rule, tsdb, samples, at);
                }
                // The series of the rule are not marked as ended until the rule can be evaluated again.
                Err(error) => status.set_outcome(rule, Some(error)),
            }
            status.evaluation = Evaluation {
                at: Some(at),
                took: started.elapsed(),
            };
        }
        self.state.lock().evaluation = Evaluation {
            at: Some(at),
            took: started.elapsed(),
        };
        to_send
    }
}

/// Applies the rule to the rows that its expression returned.
fn apply(
    status: &mut RuleStatus,
    rule: &Rule,
    found: Vec<(Labels, f64)>,
    now: &Evaluating<'_>,
) -> Result<Samples, String> {
    match &rule.kind {
        Kind::Recording => recorded(rule, found, now.limit),
        Kind::Alerting(alerting) => update(&mut status.alerts, rule, alerting, found, now),
    }
}

/// The series of a recording rule. It has the rule's name, and the rule's labels override the others.
fn recorded(rule: &Rule, found: Vec<(Labels, f64)>, limit: usize) -> Result<Samples, String> {
    let renamed: Samples = found
        .into_iter()
        .map(|(labels, value)| {
            let own = rule.labels.iter().map(|(n, v)| (n.as_str(), v.as_str()));
            let name = [(METRIC_NAME, rule.name.as_str())];
            (
                Labels::from_pairs(labels.iter().chain(name).chain(own)),
                value,
            )
        })
        .collect();
    let mut seen = BTreeSet::new();
    if !renamed.iter().all(|(labels, _)| seen.insert(labels)) {
        return Err(
            "vector contains metrics with the same labelset after applying rule labels".into(),
        );
    }
    match renamed.len() {
        count if limit > 0 && count > limit => {
            Err(format!("exceeded limit of {limit} with {count} series"))
        }
        _ => Ok(renamed),
    }
}

impl RuleStatus {
    fn set_outcome(&mut self, rule: &Rule, error: Option<String>) {
        let before = self.health;
        self.health = if error.is_some() {
            Health::Bad
        } else {
            Health::Good
        };
        if let Some(error) = &error
            && before != Health::Bad
        {
            // The error is logged once per change, because a broken rule must not fill the log every second.
            tracing::warn!(rule = %rule.name, %error, "a rule cannot be evaluated");
        }
        self.last_error = error;
    }

    /// Writes the samples of the rule, and ends the series that the rule no longer returns.
    fn write(&mut self, rule: &Rule, tsdb: &Tsdb, samples: Samples, at: i64) {
        let samples: Vec<_> = samples.into_iter().map(|(l, v)| (l, at, v)).collect();
        let mut written = HashSet::with_capacity(samples.len());
        for outcome in tsdb.append_all(&samples) {
            match outcome {
                Ok(id) => {
                    written.insert(id);
                }
                Err(error) => self.set_outcome(rule, Some(error.to_string())),
            }
        }
        tsdb.mark_stale(self.series.difference(&written).copied(), at);
        self.series = written;
    }

    /// The alerts to send now.
    fn due(
        &mut self,
        rule: &Rule,
        config: &EvaluatorConfig,
        interval: Duration,
        at: i64,
    ) -> Vec<PostableAlert> {
        // As in Prometheus, the receiver must not treat the alert as resolved because two evaluations or messages were
        // lost.
        let valid = config.resend.max(interval).saturating_mul(4);
        let generator_url = match config.external_url.as_str() {
            "" => String::new(),
            url => link(url, &rule.query.to_string()),
        };
        let mut due = Vec::new();
        for (labels, alert) in &mut self.alerts {
            if !alert.take_for_sending(at, config.resend) {
                continue;
            }
            let own = labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned()));
            let mut labels = config.external_labels.clone();
            labels.extend(own);
            let ends_at = alert
                .resolved_at
                .unwrap_or(at.saturating_add(millis(valid)));
            due.push(PostableAlert {
                labels,
                annotations: alert.annotations.clone(),
                starts_at: alert.fired_at.and_then(time),
                ends_at: time(ends_at),
                generator_url: generator_url.clone(),
            });
        }
        due
    }
}

/// The link to the value of the expression.
fn link(url: &str, query: &str) -> String {
    let base = format!("{url}/api/v1/query");
    reqwest::Url::parse_with_params(&base, [("query", query)]).map_or(base, |url| url.to_string())
}

fn time(ms: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(ms).ok()
}
