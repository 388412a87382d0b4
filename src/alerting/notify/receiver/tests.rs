use std::time::Duration;

use super::super::groups::Groups;
use super::*;
use crate::embedded::alertmanager::{AlertConfig, AlertStore, PostableAlert, PostableSilence};

/// The chain from the alert store over the groups to one receiver, and a clock in seconds.
struct Chain {
    store: AlertStore,
    groups: Groups,
    receiver: Receiver,
    metrics: Metrics,
    began: Timestamp,
}

impl Chain {
    fn new() -> Chain {
        let timing = Timing::default();
        Chain {
            store: AlertStore::new(AlertConfig::default()),
            groups: Groups::new(timing),
            receiver: Receiver::new("w".into(), Style::Json, String::new(), timing),
            metrics: Metrics::new().unwrap(),
            began: "2026-01-01T00:00:00Z".parse().unwrap(),
        }
    }

    fn at(&self, second: u64) -> Timestamp {
        later(self.began, Duration::from_secs(second))
    }

    fn put(&self, second: u64, name: &str, instance: &str, starts: u64, ends: u64) {
        self.put_one_of(second, [name, instance, name], (starts, ends));
    }

    /// Puts an alert into the store. `n` distinguishes alerts of one group.
    fn put_one_of(&self, second: u64, [name, instance, n]: [&str; 3], (starts, ends): (u64, u64)) {
        let labels = [("alertname", name), ("instance", instance), ("n", n)];
        let alert = PostableAlert {
            labels: labels.map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
            starts_at: Some(self.at(starts)),
            ends_at: Some(self.at(ends)),
            ..PostableAlert::default()
        };
        self.store.put(vec![alert], self.at(second)).unwrap();
    }

    fn silence(&self, second: u64, instance: &str, until: u64) {
        self.silence_those(second, ("instance", instance), until);
    }

    fn silence_those(&self, second: u64, (name, value): (&str, &str), until: u64) {
        let silence: PostableSilence = serde_json::from_value(serde_json::json!({
            "matchers": [{"name": name, "value": value, "isRegex": false}],
            "startsAt": self.at(second).to_string(), "endsAt": self.at(until).to_string(),
            "createdBy": "t", "comment": "",
        }))
        .unwrap();
        self.store.silence(silence, self.at(second)).unwrap();
    }

    /// Offers the updates that are due at that second.
    fn offer(&mut self, second: u64) {
        let now = self.at(second);
        for update in self.groups.due(&self.store.all(now), now) {
            self.receiver.offer(&Arc::new(update), &self.metrics);
        }
    }

    /// The messages that are delivered at that second: the alerts of each, and whether they have ended.
    fn delivered(&mut self, second: u64) -> Vec<Vec<(String, bool)>> {
        let now = self.at(second);
        self.offer(second);
        let mut messages = Vec::new();
        while let Some((update, _)) = self.receiver.next() {
            let mut inner = self.receiver.inner.lock();
            let Some(alerts) = inner.alerts_to_send(&update, &Timing::default()) else {
                continue;
            };
            inner.record(&update);
            let shown = |alert: &GettableAlert| {
                let label = |name| alert.labels.get(name).map_or("", String::as_str);
                let name = ["alertname", "instance"].map(label).join(" ");
                (name.trim_end().to_owned(), alert.ends_at <= now)
            };
            messages.push(alerts.iter().map(shown).collect());
        }
        messages
    }
}

fn one(name: &str, ended: bool) -> Vec<Vec<(String, bool)>> {
    vec![vec![(name.to_owned(), ended)]]
}

#[test]
fn an_alert_is_sent_once_after_the_group_has_waited_and_its_end_once() {
    let mut chain = Chain::new();
    chain.put(0, "A", "i", 0, 300);
    assert!(chain.delivered(0).is_empty());
    assert_eq!(chain.delivered(1), one("A i", false));
    for second in 2..20 {
        assert!(chain.delivered(second).is_empty());
    }
    chain.put(20, "A", "i", 0, 20);
    let sent: Vec<_> = (20..120).flat_map(|s| chain.delivered(s)).collect();
    assert_eq!(sent, one("A i", true));
    assert!(chain.receiver.inner.lock().notified.is_empty());
}

#[test]
fn an_alert_that_began_long_ago_does_not_wait() {
    let mut chain = Chain::new();
    chain.put(10, "A", "i", 0, 300);
    assert_eq!(chain.delivered(10).len(), 1);
}

#[test]
fn alerts_are_grouped_by_name_and_instance() {
    let mut chain = Chain::new();
    chain.put(0, "A", "i", 0, 300);
    chain.put(0, "A", "j", 0, 300);
    chain.put(0, "B", "i", 0, 300);
    chain.delivered(0);
    assert_eq!(chain.delivered(1).len(), 3);
}

#[test]
fn an_unchanged_group_is_sent_again_after_the_repeat_interval() {
    let mut chain = Chain::new();
    chain.put(0, "A", "i", 0, 100_000);
    chain.delivered(0);
    chain.delivered(1);
    assert!(chain.delivered(4 * 3600).is_empty());
    assert_eq!(chain.delivered(4 * 3600 + 6), one("A i", false));
    assert!(chain.delivered(4 * 3600 + 12).is_empty());
}

#[test]
fn an_alert_that_ended_before_it_was_sent_is_not_sent() {
    let mut chain = Chain::new();
    chain.put(0, "A", "i", 0, 300);
    chain.delivered(0);
    chain.put(0, "A", "i", 0, 0);
    assert!((1..60).all(|s| chain.delivered(s).is_empty()));
}

#[test]
fn a_silenced_alert_is_sent_only_after_the_silence() {
    let mut chain = Chain::new();
    chain.silence(0, "i", 100);
    chain.put(1, "A", "i", 1, 300);
    assert!((1..100).all(|s| chain.delivered(s).is_empty()));
    let sent: Vec<_> = (100..120).flat_map(|s| chain.delivered(s)).collect();
    assert_eq!(sent, one("A i", false));
}

#[test]
fn an_alert_that_ended_while_silenced_is_sent_when_it_fires_again() {
    let mut chain = Chain::new();
    chain.put(0, "A", "i", 0, 300);
    chain.delivered(0);
    assert_eq!(chain.delivered(1).len(), 1);
    chain.silence(2, "i", 50);
    chain.put(10, "A", "i", 0, 10);
    assert!((10..60).all(|s| chain.delivered(s).is_empty()));
    chain.put(60, "A", "i", 60, 300);
    let sent: Vec<_> = (60..80).flat_map(|s| chain.delivered(s)).collect();
    assert_eq!(sent, one("A i", false));
}

#[test]
fn the_end_of_an_alert_silenced_after_it_was_sent_is_sent_after_the_silence() {
    let mut chain = Chain::new();
    chain.put(0, "A", "i", 0, 300);
    chain.delivered(0);
    chain.delivered(1);
    chain.silence(2, "i", 20);
    assert!((2..30).all(|s| chain.delivered(s).is_empty()));
    chain.put(30, "A", "i", 0, 30);
    let sent: Vec<_> = (30..50).flat_map(|s| chain.delivered(s)).collect();
    assert_eq!(sent, one("A i", true));
}

#[test]
fn a_newer_update_replaces_the_waiting_one() {
    let mut chain = Chain::new();
    chain.put(0, "A", "i", 0, 300);
    chain.offer(0);
    chain.offer(1);
    chain.put(3, "A", "i", 0, 3);
    chain.offer(6);
    assert_eq!(chain.receiver.inner.lock().waiting.len(), 1);
    // The receiver was never notified of the alert, so it needs no notification of its end.
    assert!(chain.delivered(7).is_empty());
}

#[test]
fn an_update_without_room_is_counted_and_offered_again() {
    let mut chain = Chain::new();
    let began = chain.began;
    let update = |n: usize| {
        let labels = [("alertname".to_owned(), n.to_string())];
        let alert = PostableAlert {
            labels: labels.into(),
            ..PostableAlert::default()
        };
        let store = AlertStore::new(AlertConfig::default());
        store.put(vec![alert], began).unwrap();
        let mut groups = Groups::new(Timing::default());
        groups.due(&store.all(began), began);
        let now = later(began, Duration::from_secs(1));
        Arc::new(groups.due(&store.all(now), now).remove(0))
    };
    for n in 0..MAX_WAITING {
        chain.receiver.offer(&update(n), &chain.metrics);
    }
    chain.receiver.offer(&update(MAX_WAITING), &chain.metrics);
    assert_eq!(chain.receiver.inner.lock().waiting.len(), MAX_WAITING);
    let dropped = r#"concert_notifications_total{outcome="dropped",receiver="w"} 1"#;
    let text = chain.metrics.render();
    assert!(text.contains(dropped), "{text}");
    chain.delivered(2);
    chain.receiver.offer(&update(MAX_WAITING), &chain.metrics);
    assert_eq!(chain.receiver.inner.lock().waiting.len(), 1);
}

#[test]
fn an_update_that_replaces_a_retried_one_inherits_its_waiting_time() {
    let mut chain = Chain::new();
    chain.put(0, "A", "i", 0, 300);
    chain.offer(0);
    chain.offer(1);
    let (older, since) = chain.receiver.next().unwrap();
    chain.offer(6);
    chain.receiver.put_back(older, since);
    let (update, since) = chain.receiver.next().unwrap();
    assert_eq!((update.at, since), (chain.at(6), chain.at(1)));
    assert!(chain.receiver.next().is_none());
}

#[test]
fn changes_of_a_group_are_sent_at_its_next_interval() {
    let mut chain = Chain::new();
    chain.put(0, "A", "i", 0, 300);
    chain.delivered(0);
    assert_eq!(chain.delivered(1), one("A i", false));
    chain.put(2, "A", "i", 0, 2);
    assert!((2..6).all(|s| chain.delivered(s).is_empty()));
    assert_eq!(chain.delivered(6), one("A i", true));
}

#[test]
fn a_group_that_returns_waits_for_further_alerts_again() {
    let mut chain = Chain::new();
    chain.put(0, "A", "i", 0, 10);
    let sent: Vec<_> = (0..400).flat_map(|s| chain.delivered(s)).collect();
    assert_eq!(sent.len(), 2, "{sent:?}");
    chain.put(1_000, "A", "i", 1_000, 2_000);
    assert!(chain.delivered(1_000).is_empty());
    assert_eq!(chain.delivered(1_001), one("A i", false));
}

#[test]
fn the_end_of_an_alert_silenced_beside_another_is_sent_after_the_silence() {
    let mut chain = Chain::new();
    chain.put_one_of(0, ["A", "i", "x"], (0, 300));
    chain.delivered(0);
    assert_eq!(chain.delivered(1), one("A i", false));
    chain.silence_those(2, ("n", "x"), 30);
    chain.put_one_of(10, ["A", "i", "y"], (10, 300));
    let sent: Vec<_> = (10..30).flat_map(|s| chain.delivered(s)).collect();
    assert_eq!(sent, one("A i", false));
    let sent: Vec<_> = (30..40).flat_map(|s| chain.delivered(s)).collect();
    assert!(
        sent.is_empty(),
        "the receiver was notified of both: {sent:?}"
    );
    chain.put_one_of(40, ["A", "i", "x"], (0, 40));
    let sent: Vec<_> = (40..50).flat_map(|s| chain.delivered(s)).collect();
    let both = [("A i".to_owned(), false), ("A i".to_owned(), true)];
    assert_eq!(sent, [both]);
}

#[test]
fn an_unchanged_update_is_not_queued() {
    let mut chain = Chain::new();
    chain.put(0, "A", "i", 0, 300);
    chain.delivered(0);
    assert_eq!(chain.delivered(1).len(), 1);
    chain.offer(6);
    assert!(chain.receiver.next().is_none());
}
