//! Notifications counted, by receiver and outcome. Receivers are few and named by settings.

use opentelemetry::KeyValue;

use super::{Metrics, NotificationOutcome};

impl Metrics {
    /// Counts what became of a notification to `receiver`.
    pub fn notification(&self, receiver: &str, outcome: NotificationOutcome) {
        self.count_notifications(receiver, outcome, 1);
    }

    /// Makes every outcome of a receiver visible at zero: `increase()` over a counter that appears at 1
    /// misses the first event.
    pub fn notification_receiver(&self, receiver: &str) {
        for outcome in NotificationOutcome::ALL {
            self.count_notifications(receiver, *outcome, 0);
        }
    }

    fn count_notifications(&self, receiver: &str, outcome: NotificationOutcome, n: u64) {
        let labels = [
            KeyValue::new("receiver", receiver.to_owned()),
            KeyValue::new("outcome", outcome.label()),
        ];
        self.0.notifications.add(n, &labels);
    }
}
