//! Records the alerts while a drill runs: the states of the rules, the list of the API that the console asks, and the
//! notifications that the drill's own receiver gets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::task::JoinHandle;

use super::Moment;
use crate::clients::alertmanager::Alertmanager;
use crate::clients::prometheus::{Labels, Prometheus, RuleState};

/// The pause between two polls of the rules' alerts and of Alertmanager's list. A recorded moment is late by at most
/// this pause and the time of both answers.
pub(super) const EVERY: Duration = Duration::from_millis(250);
/// The most alert names that are recorded. A rule pack has some dozens.
const MOST: usize = 1_000;
/// The largest number of firing alerts of one name that are remembered.
const MAX_OF_A_NAME: usize = 1_000;
/// The largest notification that the receiver reads, in bytes.
const LARGEST: usize = 1024 * 1024;

/// One spell of an alert, from its beginning to its end. `None` means not seen, or not yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spell {
    /// When the condition began to hold.
    pub pending: Option<Moment>,
    /// When the rule fired.
    pub firing: Option<Moment>,
    /// When the receiver got the notification.
    pub notified: Option<Moment>,
    /// When the API that the console asks listed the alert.
    pub shown: Option<Moment>,
    /// When the rule stopped firing.
    pub resolved: Option<Moment>,
    /// When the receiver got the notification of the end.
    pub end_notified: Option<Moment>,
}

/// The spells of each alert, by its name, in order. Alerts with the same name count as one, which fires while any of
/// them fires.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alerts {
    /// The spells by alert name, oldest first.
    pub spells: BTreeMap<String, Vec<Spell>>,
    /// Why the last poll failed. The states are unknown until a poll succeeds.
    pub problem: Option<String>,
    /// The labels of the alerts, by name, that the receiver was told of as firing.
    pub(super) notified_firing: BTreeMap<String, BTreeSet<Labels>>,
    /// The names of alerts whose condition ceased to hold before the rule fired.
    pub(super) lapsed: BTreeSet<String>,
}

/// Records the alerts until it is dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    alerts: Arc<Mutex<Alerts>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// The receiver of notifications.
#[derive(Debug)]
pub(super) struct Receiver {
    /// The URL for `--webhook`, or for a receiver of Alertmanager.
    pub(super) url: String,
    alerts: Arc<Mutex<Alerts>>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Listens on `addr`.
    ///
    /// # Errors
    /// The address is taken, or does not belong to this machine.
    pub(super) async fn start(addr: SocketAddr) -> std::io::Result<Receiver> {
        let socket = tokio::net::TcpListener::bind(addr).await?;
        let url = format!("http://{}", socket.local_addr()?);
        let alerts = Arc::<Mutex<Alerts>>::default();
        let app = axum::Router::new()
            .fallback(take)
            .layer(DefaultBodyLimit::max(LARGEST))
            .with_state(Arc::clone(&alerts));
        let task = tokio::spawn(async move {
            // The task ends with the drill. Until then axum repeats a failed accept.
            drop(axum::serve(socket, app).await);
        });
        Ok(Receiver { url, alerts, task })
    }

    /// Starts to record the alerts of the rules, and those that Alertmanager lists.
    pub(super) fn watch(self, rules: Prometheus, shown: Alertmanager) -> Watcher {
        let alerts = Arc::clone(&self.alerts);
        let following = Arc::clone(&alerts);
        let follow = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                let states = rules.alerts().await;
                let listed = shown.alerts().await;
                let mut alerts = following.lock();
                alerts.problem = None;
                match states {
                    Ok(states) => {
                        let states = states.iter().map(|it| (name(&it.labels), it.state));
                        alerts.saw_states(states, super::now());
                    }
                    Err(error) => alerts.problem = Some(format!("rules: {error}")),
                }
                match listed {
                    Ok(listed) => {
                        let names = listed.iter().map(|it| name(&it.labels));
                        alerts.saw_listed(names, super::now());
                    }
                    Err(error) => alerts.problem = Some(format!("Alertmanager: {error}")),
                }
            }
        });
        Watcher {
            alerts,
            tasks: vec![self.task, follow],
        }
    }
}

impl Watcher {
    pub(super) fn alerts(&self) -> Alerts {
        self.alerts.lock().clone()
    }
}

fn name(labels: &Labels) -> &str {
    labels.get("alertname").map_or("", String::as_str)
}

impl Alerts {
    /// The spells of the alert called `name`, oldest first.
    #[must_use]
    pub fn of(&self, name: &str) -> &[Spell] {
        self.spells.get(name).map_or(&[], Vec::as_slice)
    }

    /// Records the states of the rules at `now`.
    fn saw_states<'a>(&mut self, states: impl Iterator<Item = (&'a str, RuleState)>, now: Moment) {
        let mut current: BTreeMap<&str, bool> = BTreeMap::new();
        for (name, state) in states {
            *current.entry(name).or_default() |= state == RuleState::Firing;
        }
        for (name, firing) in &current {
            let holds_again = self.lapsed.remove(*name);
            let Some(spell) = self.open(name) else {
                continue;
            };
            if holds_again {
                spell.pending = None;
            }
            match firing {
                true => _ = spell.firing.get_or_insert(now),
                false => _ = spell.pending.get_or_insert(now),
            }
        }
        for (name, spells) in &mut self.spells {
            if current.get(name.as_str()).is_some_and(|firing| *firing) {
                continue;
            }
            let Some(spell) = spells.last_mut() else {
                continue;
            };
            if spell.firing.is_some() {
                spell.resolved.get_or_insert(now);
            } else if !current.contains_key(name.as_str()) {
                self.lapsed.insert(name.clone());
            }
        }
    }

    /// Records the names that Alertmanager lists at `now`. It lists an alert for a while after its rule has ended, and
    /// alerts that no rule raised. Such alerts begin no spell.
    fn saw_listed<'a>(&mut self, names: impl Iterator<Item = &'a str>, now: Moment) {
        for name in names {
            let last = self
                .spells
                .get_mut(name)
                .and_then(|spells| spells.last_mut());
            if let Some(spell) = last.filter(|it| it.firing.is_some() && it.resolved.is_none()) {
                spell.shown.get_or_insert(now);
            }
        }
    }

    /// Takes a notification about one alert. The end counts when the receiver knows of no firing alert of that name.
    fn notified(&mut self, labels: &Labels, is_firing: bool, now: Moment) {
        let name = name(labels);
        if is_firing {
            if let Some(spell) = self.open(name) {
                spell.notified.get_or_insert(now);
                let firing = self.notified_firing.entry(name.to_owned()).or_default();
                if firing.len() < MAX_OF_A_NAME {
                    firing.insert(labels.clone());
                }
            }
            return;
        }
        if let Some(firing) = self.notified_firing.get_mut(name) {
            firing.remove(labels);
            if !firing.is_empty() {
                return;
            }
        }
        // The newest spell ends: if an alert fires again before the receiver was notified of its end, Alertmanager
        // notifies as if it had fired all the time.
        let spells = self.spells.get_mut(name);
        let waiting = |spell: &&mut Spell| spell.notified.is_some() && spell.end_notified.is_none();
        if let Some(spell) = spells.and_then(|spells| spells.iter_mut().rfind(waiting)) {
            spell.end_notified = Some(now);
        }
    }

    /// The open spell of the alert called `name`, or a new one. `None` if there are too many names.
    fn open(&mut self, name: &str) -> Option<&mut Spell> {
        if !self.spells.contains_key(name) && self.spells.len() >= MOST {
            return None;
        }
        let spells = self.spells.entry(name.to_owned()).or_default();
        // An alert that becomes pending again before it fired continues its spell, which is pending from then on.
        if spells.last().is_none_or(|last| last.resolved.is_some()) {
            spells.push(Spell::default());
            // The rule ended for all earlier alerts. After a restart, no notification reports the end of some of them.
            self.notified_firing.remove(name);
        }
        spells.last_mut()
    }
}

/// A notification in the shape of Alertmanager's webhook, version 4.
#[derive(Deserialize)]
struct Notification {
    alerts: Vec<Notified>,
}

#[derive(Deserialize)]
struct Notified {
    status: String,
    labels: Labels,
}

async fn take(State(alerts): State<Arc<Mutex<Alerts>>>, body: Bytes) -> StatusCode {
    let now = super::now();
    let Ok(notification) = serde_json::from_slice::<Notification>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut alerts = alerts.lock();
    for alert in &notification.alerts {
        alerts.notified(&alert.labels, alert.status == "firing", now);
    }
    StatusCode::OK
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(alerts: &mut Alerts, states: &[(&str, RuleState)], now: Moment) {
        alerts.saw_states(states.iter().copied(), now);
    }

    #[test]
    fn an_alert_that_is_still_listed_after_its_end_is_shown_again_only_when_it_fires_again() {
        let mut alerts = Alerts::default();
        alerts.saw_listed(["Slow"].into_iter(), 1);
        states(&mut alerts, &[("Slow", RuleState::Firing)], 2);
        alerts.saw_listed(["Slow"].into_iter(), 3);
        states(&mut alerts, &[], 4);
        alerts.saw_listed(["Slow"].into_iter(), 5);
        states(&mut alerts, &[("Slow", RuleState::Pending)], 6);
        alerts.saw_listed(["Slow"].into_iter(), 7);
        states(&mut alerts, &[("Slow", RuleState::Firing)], 8);
        alerts.saw_listed(["Slow"].into_iter(), 9);
        let shown = alerts.of("Slow").iter().map(|spell| spell.shown);
        assert_eq!(shown.collect::<Vec<_>>(), [Some(3), Some(9)]);
    }

    fn slow(operation: &str) -> Labels {
        let labels = [("alertname", "Slow"), ("operation", operation)];
        let owned = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Labels::from(owned)
    }

    #[test]
    fn the_end_of_one_of_several_alerts_of_a_name_is_not_the_end_of_all() {
        let mut alerts = Alerts::default();
        states(&mut alerts, &[("Slow", RuleState::Firing)], 1);
        alerts.notified(&slow("a"), true, 2);
        alerts.notified(&slow("b"), true, 2);
        alerts.notified(&slow("a"), false, 3);
        assert_eq!(alerts.of("Slow")[0].end_notified, None);
        states(&mut alerts, &[], 4);
        alerts.notified(&slow("b"), false, 5);
        assert_eq!(alerts.of("Slow")[0].end_notified, Some(5));
        // A restart forgets an alert: its end is never told, and does not hide the end of the next spell.
        states(&mut alerts, &[("Slow", RuleState::Firing)], 6);
        alerts.notified(&slow("a"), true, 7);
        states(&mut alerts, &[], 8);
        states(&mut alerts, &[("Slow", RuleState::Firing)], 9);
        alerts.notified(&slow("b"), true, 10);
        states(&mut alerts, &[], 11);
        alerts.notified(&slow("b"), false, 12);
        let ends = alerts.of("Slow").iter().map(|spell| spell.end_notified);
        assert_eq!(ends.collect::<Vec<_>>(), [Some(5), None, Some(12)]);
    }

    #[test]
    fn a_spell_goes_from_pending_to_the_notification_of_its_end() {
        let mut alerts = Alerts::default();
        states(&mut alerts, &[("Slow", RuleState::Pending)], 1);
        states(&mut alerts, &[("Slow", RuleState::Firing)], 2);
        alerts.saw_listed(["Slow"].into_iter(), 3);
        alerts.notified(&slow("a"), true, 4);
        states(&mut alerts, &[], 5);
        alerts.notified(&slow("a"), false, 6);
        let spell = Spell {
            pending: Some(1),
            firing: Some(2),
            shown: Some(3),
            notified: Some(4),
            resolved: Some(5),
            end_notified: Some(6),
        };
        assert_eq!(alerts.of("Slow"), [spell]);
    }

    #[test]
    fn an_alert_that_fires_again_has_a_spell_of_its_own() {
        let mut alerts = Alerts::default();
        states(&mut alerts, &[("Slow", RuleState::Firing)], 1);
        states(&mut alerts, &[], 2);
        states(&mut alerts, &[("Slow", RuleState::Firing)], 3);
        let firing: Vec<_> = alerts.of("Slow").iter().map(|spell| spell.firing).collect();
        assert_eq!(firing, [Some(1), Some(3)]);
    }

    #[test]
    fn two_alerts_of_one_name_fire_until_both_are_over() {
        let mut alerts = Alerts::default();
        let both = [("Down", RuleState::Firing), ("Down", RuleState::Pending)];
        states(&mut alerts, &both, 1);
        states(&mut alerts, &[("Down", RuleState::Firing)], 2);
        assert_eq!(alerts.of("Down")[0].resolved, None);
        states(&mut alerts, &[], 3);
        assert_eq!(alerts.of("Down")[0].resolved, Some(3));
    }

    #[test]
    fn an_alert_is_pending_since_its_condition_holds_without_a_break() {
        let mut alerts = Alerts::default();
        states(&mut alerts, &[("Slow", RuleState::Pending)], 1);
        states(&mut alerts, &[], 2);
        states(&mut alerts, &[("Slow", RuleState::Pending)], 3);
        states(&mut alerts, &[("Slow", RuleState::Pending)], 4);
        states(&mut alerts, &[("Slow", RuleState::Firing)], 5);
        assert_eq!(alerts.of("Slow")[0].pending, Some(3));
        assert_eq!(alerts.of("Slow")[0].firing, Some(5));
    }

    #[test]
    fn a_pending_alert_that_never_fires_is_no_alarm() {
        let mut alerts = Alerts::default();
        states(&mut alerts, &[("Slow", RuleState::Pending)], 1);
        states(&mut alerts, &[], 2);
        states(&mut alerts, &[("Slow", RuleState::Pending)], 3);
        assert_eq!(alerts.of("Slow").len(), 1);
        assert_eq!(alerts.of("Slow")[0].firing, None);
    }
}
