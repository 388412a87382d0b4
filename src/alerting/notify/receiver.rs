//! A receiver: its queue, and the record of its notifications.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Timing;
use super::groups::{GroupUpdate, later};
use super::health::Health;
use super::payload::{Message, Style};
use super::poster::{Failure, Pause, Poster};
use crate::embedded::alertmanager::GettableAlert;
use crate::telemetry::{Metrics, NotificationOutcome};

/// The largest number of groups with waiting updates. Alerts from the API can make at most 1,000 groups, so the
/// rules' alerts have the same number.
const MAX_WAITING: usize = 2000;

#[derive(Debug)]
pub(super) struct Receiver {
    name: String,
    style: Style,
    external_url: String,
    timing: Timing,
    inner: Mutex<Inner>,
    arrived: Notify,
}

/// Invariant: a group waits at most once, with its latest update. `notified` contains a group exactly while the
/// receiver was last notified that an alert of it fires.
#[derive(Debug, Default)]
struct Inner {
    /// The latest update of each waiting group, and the time from which it waits.
    waiting: VecDeque<(Arc<GroupUpdate>, Timestamp)>,
    /// The last notification of each firing group.
    notified: BTreeMap<String, Notified>,
}

#[derive(Debug)]
struct Notified {
    firing: BTreeSet<String>,
    at: Timestamp,
}

impl Receiver {
    pub(super) fn new(
        name: String,
        style: Style,
        external_url: String,
        timing: Timing,
    ) -> Receiver {
        Receiver {
            name,
            style,
            external_url,
            timing,
            inner: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// Queues the update of a group if it is new. It replaces a waiting older one, because only the latest state is
    /// delivered.
    pub(super) fn offer(&self, update: &Arc<GroupUpdate>, metrics: &Metrics) {
        let mut inner = self.inner.lock();
        inner.forget_ended(update);
        let waiting = inner.waiting.iter_mut().find(|(w, _)| w.key == update.key);
        if let Some((waiting, _)) = waiting {
            *waiting = Arc::clone(update);
            return;
        }
        if inner.alerts_to_send(update, &self.timing).is_none() {
            return;
        }
        if inner.waiting.len() >= MAX_WAITING {
            // The next update of the group is offered again.
            metrics.notification(&self.name, NotificationOutcome::Dropped);
            return;
        }
        inner.waiting.push_back((Arc::clone(update), update.at));
        self.arrived.notify_one();
    }

    /// Delivers the queued updates one by one, until `stop`.
    pub(super) async fn deliver(
        self: Arc<Self>,
        poster: Poster,
        health: Health,
        stop: CancellationToken,
    ) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.deliver_all(poster, health) => {}
        }
    }

    async fn deliver_all(&self, poster: Poster, mut health: Health) {
        let mut pause = Pause::new(self.timing);
        loop {
            let Some((update, since)) = self.next() else {
                self.arrived.notified().await;
                continue;
            };
            let Some(alerts) = self.inner.lock().alerts_to_send(&update, &self.timing) else {
                continue;
            };
            let message = Message {
                receiver: &self.name,
                external_url: &self.external_url,
                update: &update,
                alerts: &alerts,
            };
            let failure = match poster.post(&message.body(self.style)).await {
                Ok(()) => {
                    health.delivered();
                    pause.reset();
                    self.inner.lock().record(&update);
                    continue;
                }
                Err(failure) => failure,
            };
            match failure {
                Failure::Passing { reason, after } if !self.too_old(since) => {
                    health.retried(&reason);
                    self.put_back(update, since);
                    pause.wait(after).await;
                }
                Failure::Passing { reason, .. } | Failure::Refused { reason } => {
                    health.failed(&reason);
                    // This update is not offered again until something changes.
                    self.inner.lock().record(&update);
                }
            }
        }
    }

    fn next(&self) -> Option<(Arc<GroupUpdate>, Timestamp)> {
        self.inner.lock().waiting.pop_front()
    }

    /// Queues the update again, unless a newer one of the group waits. A newer one inherits the waiting time of the
    /// older one.
    fn put_back(&self, update: Arc<GroupUpdate>, since: Timestamp) {
        let mut inner = self.inner.lock();
        let newer = inner.waiting.iter_mut().find(|(w, _)| w.key == update.key);
        match newer {
            Some((_, newer_since)) => *newer_since = since,
            None => inner.waiting.push_front((update, since)),
        }
    }

    fn too_old(&self, since: Timestamp) -> bool {
        later(since, self.timing.give_up) <= Timestamp::now()
    }
}

impl Inner {
    /// The alerts of the next notification. `None` if there is nothing new by Alertmanager's rule: a receiver is
    /// notified of the end of an alert only if it was notified of its start.
    fn alerts_to_send(&self, update: &GroupUpdate, timing: &Timing) -> Option<Vec<GettableAlert>> {
        let notified = self.notified.get(&update.key);
        let was_sent = |alert: &&GettableAlert| {
            notified.is_some_and(|notified| notified.firing.contains(&alert.fingerprint))
        };
        let ended: Vec<_> = update.resolved.iter().filter(was_sent).cloned().collect();
        let began = update.firing.iter().any(|alert| !was_sent(&alert));
        let repeat = notified
            .is_some_and(|notified| later(notified.at, timing.repeat_interval) <= update.at);
        let new = began || !ended.is_empty() || (repeat && !update.firing.is_empty());
        new.then(|| update.firing.iter().cloned().chain(ended).collect())
    }

    /// Forgets alerts that ended while they were silenced. Receivers are not notified of that end, but of the next
    /// start.
    fn forget_ended(&mut self, update: &GroupUpdate) {
        let Some(notified) = self.notified.get_mut(&update.key) else {
            return;
        };
        let ends = |known: &String| update.resolved.iter().any(|a| a.fingerprint == *known);
        notified
            .firing
            .retain(|known| update.alive.contains(known) || ends(known));
        if notified.firing.is_empty() {
            self.notified.remove(&update.key);
        }
    }

    /// Records that the receiver was notified. An alert that is silenced now stays recorded, so the receiver will be
    /// notified of its end.
    fn record(&mut self, update: &GroupUpdate) {
        let before = self.notified.remove(&update.key);
        let before = before.map(|notified| notified.firing).unwrap_or_default();
        let firing = update.firing.iter().map(|alert| alert.fingerprint.clone());
        let kept = before
            .into_iter()
            .filter(|known| update.alive.contains(known));
        let firing: BTreeSet<_> = kept.chain(firing).collect();
        if !firing.is_empty() {
            let at = update.at;
            self.notified
                .insert(update.key.clone(), Notified { firing, at });
        }
    }
}

#[cfg(test)]
mod tests;
