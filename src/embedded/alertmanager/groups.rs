//! Alerts in the groups in which they are notified.

use std::collections::BTreeMap;

use super::wire::{AlertGroup, GettableAlert, Receiver};
use super::{GROUP_BY, RECEIVER};

/// The labels that `alert` shares with its group.
#[must_use]
pub fn group_labels(alert: &GettableAlert) -> BTreeMap<String, String> {
    let of = |name: &&str| Some(((*name).to_owned(), alert.labels.get(*name)?.clone()));
    GROUP_BY.iter().filter_map(of).collect()
}

/// The groups of these alerts by their labels; within a group alerts are in Alertmanager's order: those
/// with a job first, then by job, instance and the other labels.
pub(super) fn of(alerts: Vec<GettableAlert>) -> Vec<AlertGroup> {
    let mut groups: BTreeMap<BTreeMap<String, String>, Vec<GettableAlert>> = BTreeMap::new();
    for alert in alerts {
        groups.entry(group_labels(&alert)).or_default().push(alert);
    }
    let groups = groups.into_iter().map(|(labels, mut alerts)| {
        alerts.sort_by(|one, other| order(one).cmp(&order(other)));
        AlertGroup {
            alerts,
            labels,
            receiver: Receiver { name: RECEIVER },
        }
    });
    groups.collect()
}

type Key<'a> = [(bool, Option<&'a String>); 2];

fn order(alert: &GettableAlert) -> (Key<'_>, &BTreeMap<String, String>) {
    let first = ["job", "instance"].map(|name| {
        let value = alert.labels.get(name);
        (value.is_none(), value)
    });
    (first, &alert.labels)
}
