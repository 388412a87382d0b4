//! Groups alerts for notifications.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::wire::{AlertGroup, GettableAlert, Receiver};
use super::{GROUP_BY, RECEIVER};

/// The labels that `alert` shares with its group.
#[must_use]
pub fn group_labels(alert: &GettableAlert) -> BTreeMap<String, String> {
    let of = |name: &&str| Some(((*name).to_owned(), alert.labels.get(*name)?.clone()));
    GROUP_BY.iter().filter_map(of).collect()
}

/// The groups of these alerts in the order of their labels. Within a group, alerts are in Alertmanager's order: those
/// with a job first, then by job, instance and all labels.
pub(super) fn of(alerts: Vec<GettableAlert>) -> Vec<AlertGroup> {
    let mut groups: BTreeMap<BTreeMap<String, String>, Vec<GettableAlert>> = BTreeMap::new();
    for alert in alerts {
        groups.entry(group_labels(&alert)).or_default().push(alert);
    }
    let groups = groups.into_iter().map(|(labels, mut alerts)| {
        alerts.sort_by(|one, other| {
            let first = job_and_instance(one).cmp(&job_and_instance(other));
            first.then_with(|| order(&one.labels, &other.labels))
        });
        AlertGroup {
            alerts,
            labels,
            receiver: Receiver { name: RECEIVER },
        }
    });
    let mut groups: Vec<AlertGroup> = groups.collect();
    groups.sort_by(|one, other| order(&one.labels, &other.labels));
    groups
}

/// A missing label sorts last.
fn job_and_instance(alert: &GettableAlert) -> [(bool, Option<&String>); 2] {
    ["job", "instance"].map(|name| {
        let value = alert.labels.get(name);
        (value.is_none(), value)
    })
}

/// The order of label sets in the Prometheus libraries: fewer labels first, then, name by name, the set that lacks
/// the name, then the smaller value.
fn order(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Ordering {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let by_values = || {
        let differences = names
            .iter()
            .map(|name| one.get(*name).cmp(&other.get(*name)));
        differences.fold(Ordering::Equal, Ordering::then)
    };
    one.len().cmp(&other.len()).then_with(by_values)
}
