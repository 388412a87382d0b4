//! Observes whether a receiver accepts notifications. Each outcome is counted. The log gets one line when deliveries
//! begin to fail, and one when they succeed again. The receiver itself counts notifications that a full queue drops.

use crate::telemetry::{Metrics, NotificationOutcome};

/// The health of one receiver.
#[derive(Debug)]
pub(super) struct Health {
    name: String,
    metrics: Metrics,
    /// Whether the last attempt failed, even if it will be retried.
    failing: bool,
}

impl Health {
    pub(super) fn new(name: &str, metrics: Metrics) -> Health {
        // Exports each outcome as zero.
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
        self.count_failure(NotificationOutcome::Retried, reason);
    }

    /// Records a message that was given up.
    pub(super) fn failed(&mut self, reason: &str) {
        self.count_failure(NotificationOutcome::Failed, reason);
    }

    fn count_failure(&mut self, outcome: NotificationOutcome, reason: &str) {
        self.metrics.notification(&self.name, outcome);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(receiver = %self.name, %reason, "notifications do not get through");
        }
    }
}
