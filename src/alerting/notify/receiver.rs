//! One who is told: what waits to be delivered, and the memory of what was.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Timing;
use super::groups::{News, later};
use super::health::Health;
use super::payload::{Message, Style};
use super::post::{Failure, Pause, Poster};
use crate::embedded::alertmanager::GettableAlert;
use crate::telemetry::{Metrics, NotificationOutcome};

/// Groups whose news may wait. Alerts from outside can make 1,000 groups at most, so there is room
/// for as many of the rules'.
const MOST_WAITING: usize = 2000;

#[derive(Debug)]
pub(super) struct Receiver {
    name: String,
    style: Style,
    external_url: String,
    timing: Timing,
    inner: Mutex<Inner>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// The latest news of each group that has some, and since when it has.
    waiting: VecDeque<(Arc<News>, Timestamp)>,
    /// What was told of each group that fires.
    told: BTreeMap<String, Told>,
}

#[derive(Debug)]
struct Told {
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

    /// Keeps the news for delivery if they are any. Newer ones of a group replace those that wait: what
    /// is delivered is how things are.
    pub(super) fn offer(&self, news: &Arc<News>, metrics: &Metrics) {
        let mut inner = self.inner.lock();
        inner.forget_ended(news);
        let waiting = inner.waiting.iter_mut().find(|(w, _)| w.key == news.key);
        if let Some((waiting, _)) = waiting {
            *waiting = Arc::clone(news);
            return;
        }
        if inner.to_tell(news, &self.timing).is_none() {
            return;
        }
        if inner.waiting.len() >= MOST_WAITING {
            // Offered again with the group's next news.
            metrics.notification(&self.name, NotificationOutcome::Dropped);
            return;
        }
        inner.waiting.push_back((Arc::clone(news), news.at));
        self.arrived.notify_one();
    }

    /// Delivers what waits, one after the other, until `stop`.
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
            let Some((news, since)) = self.next() else {
                self.arrived.notified().await;
                continue;
            };
            let Some(alerts) = self.inner.lock().to_tell(&news, &self.timing) else {
                continue;
            };
            let message = Message {
                receiver: &self.name,
                external_url: &self.external_url,
                news: &news,
                alerts: &alerts,
            };
            let failure = match poster.post(&message.body(self.style)).await {
                Ok(()) => {
                    health.delivered();
                    pause.reset();
                    self.inner.lock().note(&news);
                    continue;
                }
                Err(failure) => failure,
            };
            match failure {
                Failure::Passing { reason, after } if !self.too_old(since) => {
                    health.retried(&reason);
                    self.put_back(news, since);
                    pause.wait(after).await;
                }
                Failure::Passing { reason, .. } | Failure::Refused { reason } => {
                    health.failed(&reason);
                    // Not offered again until something changes.
                    self.inner.lock().note(&news);
                }
            }
        }
    }

    fn next(&self) -> Option<(Arc<News>, Timestamp)> {
        self.inner.lock().waiting.pop_front()
    }

    /// Unless newer news of the group came meanwhile. They count as waiting since the older ones did.
    fn put_back(&self, news: Arc<News>, since: Timestamp) {
        let mut inner = self.inner.lock();
        let newer = inner.waiting.iter_mut().find(|(w, _)| w.key == news.key);
        match newer {
            Some((_, newer_since)) => *newer_since = since,
            None => inner.waiting.push_front((news, since)),
        }
    }

    fn too_old(&self, since: Timestamp) -> bool {
        later(since, self.timing.give_up) <= Timestamp::now()
    }
}

impl Inner {
    /// The alerts that the receiver should be told of, `None` if there is nothing new: Alertmanager's
    /// rule. An alert's end is told to those only who were told of its beginning.
    fn to_tell(&self, news: &News, timing: &Timing) -> Option<Vec<GettableAlert>> {
        let told = self.told.get(&news.key);
        let knows = |alert: &&GettableAlert| {
            told.is_some_and(|told| told.firing.contains(&alert.fingerprint))
        };
        let ended: Vec<_> = news.resolved.iter().filter(knows).cloned().collect();
        let began = news.firing.iter().any(|alert| !knows(&alert));
        let repeat = told.is_some_and(|told| later(told.at, timing.repeat_interval) <= news.at);
        let new = began || !ended.is_empty() || (repeat && !news.firing.is_empty());
        new.then(|| news.firing.iter().cloned().chain(ended).collect())
    }

    /// Forgets alerts that ended while they were silenced: nobody is told of that end, but of the next
    /// beginning.
    fn forget_ended(&mut self, news: &News) {
        let Some(told) = self.told.get_mut(&news.key) else {
            return;
        };
        let ends = |known: &String| news.resolved.iter().any(|a| a.fingerprint == *known);
        told.firing
            .retain(|known| news.alive.contains(known) || ends(known));
        if told.firing.is_empty() {
            self.told.remove(&news.key);
        }
    }

    /// Notes that the receiver was told. One that is silenced by now stays noted: it was told of, and
    /// its end is to be.
    fn note(&mut self, news: &News) {
        let before = self.told.remove(&news.key);
        let before = before.map(|told| told.firing).unwrap_or_default();
        let firing = news.firing.iter().map(|alert| alert.fingerprint.clone());
        let kept = before
            .into_iter()
            .filter(|known| news.alive.contains(known));
        let firing: BTreeSet<_> = kept.chain(firing).collect();
        if !firing.is_empty() {
            let at = news.at;
            self.told.insert(news.key.clone(), Told { firing, at });
        }
    }
}

#[cfg(test)]
mod tests;
