//! Groups alerts, and decides when each group is offered to the receivers. A receiver decides whether it notifies
//! (`receiver`). The caller passes the current time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::Timing;
use crate::embedded::alertmanager::{GettableAlert, group_labels};

/// The state of a group at one time, offered to every receiver.
#[derive(Debug, Clone)]
pub(super) struct GroupUpdate {
    /// Alertmanager's notation: `{}:{alertname="x"}`.
    pub(super) key: String,
    pub(super) labels: BTreeMap<String, String>,
    /// The firing alerts that are not silenced.
    pub(super) firing: Vec<GettableAlert>,
    /// The recently resolved alerts that are not silenced.
    pub(super) resolved: Vec<GettableAlert>,
    /// The fingerprints of all firing alerts, including silenced ones.
    pub(super) alive: BTreeSet<String>,
    pub(super) at: Timestamp,
}

/// The time at which each group is offered next.
#[derive(Debug)]
pub(super) struct Groups {
    timing: Timing,
    due: BTreeMap<String, Timestamp>,
}

impl Groups {
    pub(super) fn new(timing: Timing) -> Groups {
        Groups {
            timing,
            due: BTreeMap::new(),
        }
    }

    /// Returns an update of each group that is due, and sets its next time. `alerts` must be all alerts.
    pub(super) fn due(&mut self, alerts: &[GettableAlert], now: Timestamp) -> Vec<GroupUpdate> {
        let mut groups: BTreeMap<String, Vec<&GettableAlert>> = BTreeMap::new();
        for alert in alerts {
            groups.entry(key(alert)).or_default().push(alert);
        }
        self.due.retain(|key, _| groups.contains_key(key));
        let mut found = Vec::new();
        for (key, alerts) in groups {
            let first = || first_due(&alerts, &self.timing, now);
            let due = self.due.entry(key.clone()).or_insert_with(first);
            if *due <= now {
                *due = later(now, self.timing.group_interval);
                found.push(update(key, &alerts, now));
            }
        }
        found
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.values().min().copied()
    }
}

/// The time at which a new group is due: now if its first alert started longer than `group_wait` ago, else after that
/// wait.
fn first_due(alerts: &[&GettableAlert], timing: &Timing, now: Timestamp) -> Timestamp {
    let began = alerts.iter().map(|alert| alert.starts_at).min();
    match began {
        Some(began) if later(began, timing.group_wait) < now => now,
        _ => later(now, timing.group_wait),
    }
}

pub(super) fn later(at: Timestamp, by: std::time::Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn update(key: String, alerts: &[&GettableAlert], now: Timestamp) -> GroupUpdate {
    let labels = alerts.first().map(|alert| group_labels(alert));
    let ended = |alert: &GettableAlert| alert.ends_at <= now;
    let alive = alerts.iter().filter(|alert| !ended(alert));
    let alive = alive.map(|alert| alert.fingerprint.clone()).collect();
    let notified = alerts.iter().filter(|a| a.status.silenced_by.is_empty());
    let (resolved, firing) = notified.map(|alert| (*alert).clone()).partition(ended);
    GroupUpdate {
        key,
        labels: labels.unwrap_or_default(),
        firing,
        resolved,
        alive,
        at: now,
    }
}

fn key(alert: &GettableAlert) -> String {
    let labels = group_labels(alert);
    let pairs = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"));
    format!("{{}}:{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}
