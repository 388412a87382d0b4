use std::time::Duration;

use super::*;
use crate::embedded::alertmanager::{AlertConfig, AlertStore, PostableAlert};

struct World {
    store: AlertStore,
    forward: Forward,
    metrics: Metrics,
    now: Timestamp,
}

impl World {
    fn new() -> World {
        let config = AlertConfig {
            max_rule_alerts: usize::MAX,
            ..AlertConfig::default()
        };
        World {
            store: AlertStore::new(config),
            forward: Forward::new(Timing::default()),
            metrics: Metrics::new().unwrap(),
            now: Timestamp::now(),
        }
    }

    /// Sends alerts to the store, and forwards the store's alerts to the other Alertmanager.
    fn offer(&mut self, names: std::ops::Range<usize>, summary: &str) {
        self.now = later(self.now, Duration::from_secs(1));
        let pair = |name: &str, value: String| [(name.to_owned(), value)].into();
        let alert = |n: usize| PostableAlert {
            labels: pair("alertname", n.to_string()),
            annotations: pair("summary", summary.to_owned()),
            ..PostableAlert::default()
        };
        self.store
            .put(names.map(alert).collect(), self.now)
            .unwrap();
        let alerts = self.store.all(self.now);
        self.forward.offer(&alerts, self.now, &self.metrics);
    }

    fn waiting(&self) -> Vec<String> {
        let inner = self.forward.inner.lock();
        let summary =
            |(alert, _): &(GettableAlert, Timestamp)| alert.annotations["summary"].clone();
        inner.waiting.iter().map(summary).collect()
    }

    fn counted(&self, outcome: &str) -> bool {
        let name = format!(
            "concert_notifications_total{{outcome=\"{outcome}\",receiver=\"alertmanager\"}} 3\n"
        );
        self.metrics.render().contains(&name)
    }
}

#[test]
fn alerts_without_room_are_counted_and_a_request_has_a_bounded_number() {
    let mut world = World::new();
    world.offer(0..MAX_WAITING + 3, "");
    assert_eq!(world.waiting().len(), MAX_WAITING);
    assert!(world.counted("dropped"), "{}", world.metrics.render());
    assert_eq!(world.forward.batch().len(), BATCH);
}

#[test]
fn the_latest_state_of_an_alert_is_the_one_that_waits() {
    let mut world = World::new();
    world.offer(0..1, "first");
    world.offer(0..1, "second");
    assert_eq!(world.waiting(), ["second"]);
    let batch = world.forward.batch();
    world.offer(0..1, "third");
    let mut health = Health::new("alertmanager", world.metrics.clone());
    world.forward.put_back(batch, &mut health, "away");
    assert_eq!(world.waiting(), ["third"]);
}

#[test]
fn an_unchanged_alert_is_not_forwarded_again() {
    let mut world = World::new();
    world.offer(0..2, "first");
    assert_eq!(world.forward.batch().len(), 2);
    world.offer(0..1, "second");
    assert_eq!(world.waiting(), ["second"]);
}

#[test]
fn an_undeliverable_alert_is_given_up_in_time_and_counted() {
    let mut world = World::new();
    world.offer(0..5, "");
    let mut batch = world.forward.batch();
    for (_, since) in batch.iter_mut().take(3) {
        *since = Timestamp::UNIX_EPOCH;
    }
    let mut health = Health::new("alertmanager", world.metrics.clone());
    world.forward.put_back(batch, &mut health, "away");
    assert_eq!(world.waiting().len(), 2);
    assert!(world.counted("failed"), "{}", world.metrics.render());
}
