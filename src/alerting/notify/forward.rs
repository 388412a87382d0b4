//! Sends an alert to another Alertmanager whenever its `updated_at` in the store changes: at its start, at its end, at
//! a change, and at each repeat, which the evaluation of rules causes (`resend`).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Timing;
use super::groups::later;
use super::health::Health;
use super::poster::{Failure, Pause, Poster};
use crate::embedded::alertmanager::GettableAlert;
use crate::telemetry::{Metrics, NotificationOutcome};

/// The largest number of waiting alerts. The store can hold more. The queue drops an alert that finds no room, and
/// accepts it again after its `updated_at` changes.
const MAX_WAITING: usize = 4000;

/// The largest number of alerts in one request.
const BATCH: usize = 64;

#[derive(Debug)]
pub(super) struct Forward {
    timing: Timing,
    inner: Mutex<Inner>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// `updated_at` of each alert at the last [`Forward::offer`], even if the queue had no room for it.
    offered: HashMap<String, Timestamp>,
    /// The latest state of each alert, and the time at which it entered the queue. A newer state keeps that time.
    waiting: VecDeque<(GettableAlert, Timestamp)>,
}

impl Forward {
    pub(super) fn new(timing: Timing) -> Forward {
        Forward {
            timing,
            inner: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// Queues the alerts that changed in the store since the last call.
    pub(super) fn offer(&self, alerts: &[GettableAlert], now: Timestamp, metrics: &Metrics) {
        let mut inner = self.inner.lock();
        let offered = std::mem::take(&mut inner.offered);
        for alert in alerts {
            let known = offered.get(&alert.fingerprint) == Some(&alert.updated_at);
            if !known && !inner.keep(alert, now) {
                metrics.notification("alertmanager", NotificationOutcome::Dropped);
            }
            let id = alert.fingerprint.clone();
            inner.offered.insert(id, alert.updated_at);
        }
        if !inner.waiting.is_empty() {
            self.arrived.notify_one();
        }
    }

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
            let batch = self.batch();
            if batch.is_empty() {
                self.arrived.notified().await;
                continue;
            }
            let body: Vec<Value> = batch.iter().map(|(alert, _)| postable(alert)).collect();
            match poster.post(&Value::Array(body)).await {
                Ok(()) => {
                    health.delivered();
                    pause.reset();
                }
                Err(Failure::Refused { reason }) => health.failed(&reason),
                Err(Failure::Passing { reason, after }) => {
                    health.retried(&reason);
                    self.put_back(batch, &mut health, &reason);
                    pause.wait(after).await;
                }
            }
        }
    }

    fn batch(&self) -> Vec<(GettableAlert, Timestamp)> {
        let mut inner = self.inner.lock();
        let count = inner.waiting.len().min(BATCH);
        inner.waiting.drain(..count).collect()
    }

    /// Returns alerts to the queue. It counts those that are too old as failed, and drops those with a newer state in
    /// the queue.
    fn put_back(&self, batch: Vec<(GettableAlert, Timestamp)>, health: &mut Health, reason: &str) {
        let now = Timestamp::now();
        let mut inner = self.inner.lock();
        for (alert, since) in batch.into_iter().rev() {
            if later(since, self.timing.give_up) <= now {
                health.failed(reason);
            } else if inner.waiting_place(&alert).is_none() {
                inner.waiting.push_front((alert, since));
            }
        }
    }
}

impl Inner {
    fn waiting_place(&mut self, alert: &GettableAlert) -> Option<&mut GettableAlert> {
        let mut waiting = self.waiting.iter_mut().map(|(waiting, _)| waiting);
        waiting.find(|waiting| waiting.fingerprint == alert.fingerprint)
    }

    /// Queues an alert. Returns false when the queue is full.
    fn keep(&mut self, alert: &GettableAlert, now: Timestamp) -> bool {
        if let Some(waiting) = self.waiting_place(alert) {
            *waiting = alert.clone();
            return true;
        }
        if self.waiting.len() >= MAX_WAITING {
            return false;
        }
        self.waiting.push_back((alert.clone(), now));
        true
    }
}

/// Writes an alert in Alertmanager's format.
fn postable(alert: &GettableAlert) -> Value {
    json!({
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": alert.starts_at.to_string(),
        "endsAt": alert.ends_at.to_string(),
        "generatorURL": alert.generator_url,
    })
}

#[cfg(test)]
mod tests;
