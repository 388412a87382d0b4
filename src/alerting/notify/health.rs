//! Whether a receiver takes messages: counted each time, logged when it changes.

use crate::telemetry::{Metrics, NotificationOutcome};

#[derive(Debug)]
pub(super) struct Health {
    name: String,
    metrics: Metrics,
    failing: bool,
}

impl Health {
    pub(super) fn new(name: &str, metrics: Metrics) -> Health {
        metrics.notification_receiver(name);
        Health {
            name: name.to_owned(),
            metrics,
            failing: false,
        }
    }

    pub(super) fn delivered(&mut self) {
        self.metrics
            .notification(&self.name, NotificationOutcome::Delivered);
        if std::mem::take(&mut self.failing) {
            tracing::info!(receiver = %self.name, "notifications get through again");
        }
    }

    /// An attempt failed; another follows.
    pub(super) fn retried(&mut self, reason: &str) {
        self.count(NotificationOutcome::Retried, reason);
    }

    /// A message was given up.
    pub(super) fn failed(&mut self, reason: &str) {
        self.count(NotificationOutcome::Failed, reason);
    }

    fn count(&mut self, outcome: NotificationOutcome, reason: &str) {
        self.metrics.notification(&self.name, outcome);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(receiver = %self.name, %reason, "notifications do not get through");
        }
    }
}
