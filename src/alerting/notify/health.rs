//! Whether a receiver accepts messages. Every failure is counted, and each change is logged.

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

    /// Records a failed attempt that is followed by another one.
    pub(super) fn retried(&mut self, reason: &str) {
        self.count(NotificationOutcome::Retried, reason);
    }

    /// Records a message that was given up.
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
