//! The states of the alerts of one rule: pending, firing, resolved, forgotten. The caller passes the time in, in
//! milliseconds since 1970.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::alerting::rules::{Alerting, Rule};
use crate::alerting::template::{Data, Query};
use crate::embedded::prometheus::labels::{Labels, METRIC_NAME};

/// The time, in milliseconds, for which a resolved alert is kept and sent again, because the first message may be lost.
const RESOLVED_RETENTION_MS: i64 = 15 * 60 * 1000;

const ALERT_NAME: &str = "alertname";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::alerting) enum State {
    /// Resolved, and kept for a while to be sent again.
    Inactive,
    Pending,
    Firing,
}

impl State {
    pub(in crate::alerting) fn as_str(self) -> &'static str {
        match self {
            State::Inactive => "inactive",
            State::Pending => "pending",
            State::Firing => "firing",
        }
    }
}

/// An alert that is pending, fires, or resolved a short while ago. Times are milliseconds since 1970.
#[derive(Debug, Clone)]
pub(in crate::alerting) struct ActiveAlert {
    pub(in crate::alerting) state: State,
    pub(in crate::alerting) annotations: BTreeMap<String, String>,
    pub(in crate::alerting) value: f64,
    /// The time from which the condition holds.
    pub(in crate::alerting) active_at: i64,
    pub(in crate::alerting) fired_at: Option<i64>,
    pub(in crate::alerting) resolved_at: Option<i64>,
    /// The time from which it fires only because of `keep_firing_for`.
    pub(in crate::alerting) keep_firing_since: Option<i64>,
    last_sent: Option<i64>,
}

/// The alerts of one rule by their labels.
pub(in crate::alerting) type Alerts = BTreeMap<Labels, ActiveAlert>;

/// The samples that an evaluation adds to the store.
pub(super) type Samples = Vec<(Labels, f64)>;

/// The time of an evaluation, and the data for its templates.
pub(super) struct Evaluating<'a> {
    /// Milliseconds since 1970.
    pub(super) at: i64,
    /// The largest number of alerts. 0 means no limit.
    pub(super) limit: usize,
    pub(super) external_labels: &'a BTreeMap<String, String>,
    pub(super) external_url: &'a str,
    pub(super) query: &'a Query<'a>,
}

/// Updates the alerts with the rows of the expression. Returns the samples to write.
///
/// # Errors
/// Two rows give the same alert, or there are more alerts than the limit, which also removes all alerts of the rule.
pub(super) fn update(
    alerts: &mut Alerts,
    rule: &Rule,
    alerting: &Alerting,
    found: Vec<(Labels, f64)>,
    now: &Evaluating<'_>,
) -> Result<Samples, String> {
    let Evaluating { at, limit, .. } = *now;
    let mut seen = BTreeMap::new();
    for (series, value) in found {
        let data = Data {
            labels: &series,
            external_labels: now.external_labels,
            external_url: now.external_url,
            value,
            query: now.query,
        };
        let labels = labels_of(rule, alerting, &data);
        if seen.contains_key(&labels) {
            return Err(
                "vector contains metrics with the same labelset after applying alert labels".into(),
            );
        }
        let annotations = alerting.annotations.iter();
        let annotations = annotations
            .map(|(name, _, template)| (name.clone(), template.expand(&data)))
            .collect();
        seen.insert(labels, (value, annotations));
    }
    // A resolved alert whose condition holds again becomes a new alert. An alert that continues gets a new value and
    // new annotations.
    let mut present = std::collections::BTreeSet::new();
    for (labels, (value, annotations)) in seen {
        present.insert(labels.clone());
        match alerts.get_mut(&labels) {
            Some(alert) if alert.state != State::Inactive => {
                alert.value = value;
                alert.annotations = annotations;
            }
            _ => {
                alerts.insert(labels, ActiveAlert::new(value, annotations, at));
            }
        }
    }
    let mut samples = Vec::new();
    let mut active = 0;
    alerts.retain(|labels, alert| {
        let is_active = match present.contains(labels) {
            true => {
                alert.keep_firing_since = None;
                true
            }
            false => match alert.condition_ended(alerting, at) {
                Ended::Forgotten => return false,
                Ended::Resolved => false,
                Ended::KeepsFiring => true,
            },
        };
        if is_active {
            active += 1;
            alert.fire_if_due(alerting, at);
            samples.extend(alert.samples(rule, labels));
        }
        true
    });
    if limit > 0 && active > limit {
        alerts.clear();
        return Err(format!("exceeded limit of {limit} with {active} alerts"));
    }
    Ok(samples)
}

/// The labels of an alert: those of the series without its name, overridden by those of the rule.
fn labels_of(rule: &Rule, alerting: &Alerting, data: &Data<'_>) -> Labels {
    let series = data.labels.iter().filter(|(name, _)| *name != METRIC_NAME);
    let series = series.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let own = alerting.labels.iter();
    let own = own.map(|(name, template)| (name.clone(), template.expand(data)));
    let name = (ALERT_NAME.to_owned(), rule.name.clone());
    Labels::from_pairs(series.chain(own).chain([name]))
}

/// The new state of an alert whose condition no longer holds.
enum Ended {
    /// It was pending, or was resolved long ago, and is removed.
    Forgotten,
    Resolved,
    /// It fires until `keep_firing_for` is over.
    KeepsFiring,
}

impl ActiveAlert {
    fn new(value: f64, annotations: BTreeMap<String, String>, at: i64) -> ActiveAlert {
        ActiveAlert {
            state: State::Pending,
            annotations,
            value,
            active_at: at,
            fired_at: None,
            resolved_at: None,
            keep_firing_since: None,
            last_sent: None,
        }
    }

    /// Handles an alert whose condition does not hold at `at`. Returns its new state.
    fn condition_ended(&mut self, alerting: &Alerting, at: i64) -> Ended {
        if self.state == State::Firing && !alerting.keep_firing.is_zero() {
            let since = *self.keep_firing_since.get_or_insert(at);
            if at - since < millis(alerting.keep_firing) {
                return Ended::KeepsFiring;
            }
        }
        let long_resolved = |resolved| at - resolved > RESOLVED_RETENTION_MS;
        if self.state == State::Pending || self.resolved_at.is_some_and(long_resolved) {
            return Ended::Forgotten;
        }
        if self.state != State::Inactive {
            self.state = State::Inactive;
            self.resolved_at = Some(at);
        }
        Ended::Resolved
    }

    fn fire_if_due(&mut self, alerting: &Alerting, at: i64) {
        if self.state == State::Pending && at - self.active_at >= millis(alerting.hold) {
            self.state = State::Firing;
            self.fired_at = Some(at);
        }
    }

    /// `ALERTS` and `ALERTS_FOR_STATE`. The alert's labels override the rule's, so a label whose template is empty
    /// keeps the text of the file, like in Prometheus.
    fn samples(&self, rule: &Rule, labels: &Labels) -> [(Labels, f64); 2] {
        let series = |name: &str, state: Option<&str>| {
            let own = rule.labels.iter().map(|(n, v)| (n.as_str(), v.as_str()));
            let named = [(METRIC_NAME, name), (ALERT_NAME, rule.name.as_str())];
            let state = state.map(|state| ("alertstate", state));
            Labels::from_pairs(own.chain(labels.iter()).chain(named).chain(state))
        };
        let since = self.active_at.div_euclid(1000);
        [
            (series("ALERTS", Some(self.state.as_str())), 1.0),
            (series("ALERTS_FOR_STATE", None), since as f64),
        ]
    }

    /// Returns whether the alert must be sent now. If so, this records that it was sent.
    pub(super) fn take_for_sending(&mut self, at: i64, resend: Duration) -> bool {
        let due = match (self.state, self.last_sent) {
            (State::Pending, _) => false,
            (_, None) => true,
            (_, Some(sent)) => {
                self.resolved_at.is_some_and(|resolved| resolved > sent)
                    || sent.saturating_add(millis(resend)) < at
            }
        };
        if due {
            self.last_sent = Some(at);
        }
        due
    }
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
