//! The stored alerts and their changes over time. The caller passes the time in.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use super::labels::fingerprint;
use super::origin::{Origin, Refused};
use super::silences::Silences;
use super::wire::{
    AlertStatus, GettableAlert, GettableSilence, PostableAlert, PostableSilence, Receiver,
};
use super::{AlertConfig, RECEIVER};
use crate::embedded::matcher::Matcher;
use crate::embedded::prometheus::exposition::is_name;

/// The reason why an alert or a silence was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The value is invalid, for this reason.
    #[error("{0}")]
    Invalid(String),
    /// The value refers to something that does not exist.
    #[error("{0}")]
    NotFound(&'static str),
}

impl Rejected {
    pub(super) fn invalid(reason: &str) -> Rejected {
        Rejected::Invalid(reason.to_owned())
    }
}

/// Alerts and silences. Share the store in an [`std::sync::Arc`].
#[derive(Debug)]
pub struct AlertStore {
    pub(super) config: AlertConfig,
    pub(super) started: Timestamp,
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
    refused: [AtomicU64; 3],
}

#[derive(Debug, Default)]
struct Inner {
    /// Alerts by fingerprint, which is also the order of the list.
    alerts: BTreeMap<u64, Alert>,
    silences: Silences,
}

#[derive(Debug, Clone)]
struct Alert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    generator_url: String,
    starts_at: Timestamp,
    ends_at: Timestamp,
    updated_at: Timestamp,
    origin: Origin,
    /// The sender gave no end, so the time-out set it.
    timeout: bool,
}

/// Selects the alerts to list.
#[derive(Debug)]
pub(super) struct AlertFilter {
    pub(super) matchers: Vec<Matcher>,
    pub(super) active: bool,
    pub(super) silenced: bool,
}

impl AlertStore {
    /// A store without alerts.
    #[must_use]
    pub fn new(config: AlertConfig) -> AlertStore {
        AlertStore {
            config,
            started: Timestamp::now(),
            inner: Mutex::default(),
            changed: watch::Sender::new(()),
            refused: Default::default(),
        }
    }

    /// Stores every valid alert of this process's rules. A new alert fires, a known one is extended, changed or
    /// resolved.
    ///
    /// # Errors
    /// The reasons why the other alerts are invalid. The valid ones are stored anyway, as in Alertmanager.
    pub fn put(&self, alerts: Vec<PostableAlert>, now: Timestamp) -> Result<(), Rejected> {
        self.put_from(Origin::Rules, alerts, now)
    }

    /// Like `put`, for alerts from the HTTP API. They have their own limit.
    pub fn put_from_api(&self, alerts: Vec<PostableAlert>, now: Timestamp) -> Result<(), Rejected> {
        self.put_from(Origin::Api, alerts, now)
    }

    fn put_from(
        &self,
        origin: Origin,
        alerts: Vec<PostableAlert>,
        now: Timestamp,
    ) -> Result<(), Rejected> {
        let mut reasons = Vec::new();
        let mut inner = self.inner.lock();
        inner.forget_resolved(&self.config, now);
        for alert in alerts {
            let taken = Alert::new(alert, origin, &self.config, now)
                .and_then(|alert| inner.take(alert, &self.config, now));
            reasons.extend(taken.err());
        }
        drop(inner);
        self.changed.send_replace(());
        if reasons.is_empty() {
            return Ok(());
        }
        let kind = match origin {
            Origin::Rules => Refused::RuleAlert,
            Origin::Api => Refused::Alert,
        };
        self.count_refused(kind, reasons.len());
        // A thousand alerts can be refused for the same reason, which is reported once.
        reasons.dedup();
        Err(Rejected::Invalid(reasons.join("; ")))
    }

    fn count_refused(&self, kind: Refused, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.refused[kind as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// The number of refused alerts or silences of that kind since the start.
    #[must_use]
    pub fn refused(&self, kind: Refused) -> u64 {
        self.refused[kind as usize].load(Ordering::Relaxed)
    }

    /// All firing alerts, also silenced ones.
    #[must_use]
    pub fn firing(&self, now: Timestamp) -> Vec<GettableAlert> {
        self.list(
            &AlertFilter {
                matchers: Vec::new(),
                active: true,
                silenced: true,
            },
            now,
        )
    }

    /// All firing alerts, and those that resolved recently.
    #[must_use]
    pub fn all(&self, now: Timestamp) -> Vec<GettableAlert> {
        let mut inner = self.inner.lock();
        inner.forget_resolved(&self.config, now);
        let alerts = inner.alerts.iter();
        let listed = alerts.map(|(fingerprint, alert)| {
            let silenced_by = inner.silences.silencing(&alert.labels, now);
            alert.to_wire(*fingerprint, silenced_by)
        });
        listed.collect()
    }

    /// Notifies of each change of alerts or silences.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn list(&self, filter: &AlertFilter, now: Timestamp) -> Vec<GettableAlert> {
        let inner = self.inner.lock();
        let passes = |alert: &Alert| {
            let value = |name: &str| alert.labels.get(name).map_or("", String::as_str);
            !alert.resolved(now) && Matcher::all(&filter.matchers, value)
        };
        inner
            .alerts
            .iter()
            .filter(|(_, alert)| passes(alert))
            .map(|(fingerprint, alert)| {
                let silenced_by = inner.silences.silencing(&alert.labels, now);
                alert.to_wire(*fingerprint, silenced_by)
            })
            .filter(|alert| match alert.status.silenced_by.is_empty() {
                true => filter.active,
                false => filter.silenced,
            })
            .collect()
    }

    /// Creates a silence or changes an existing one. Returns its id.
    pub fn silence(&self, silence: PostableSilence, now: Timestamp) -> Result<Uuid, Rejected> {
        let set = self.inner.lock().silences.set(silence, &self.config, now);
        match set {
            Ok(_) => self.changed.send_replace(()),
            Err(_) => self.count_refused(Refused::Silence, 1),
        }
        set
    }

    /// Ends a silence.
    pub fn expire_silence(&self, id: Uuid, now: Timestamp) -> Result<(), Rejected> {
        let expired = self.inner.lock().silences.expire(id, now);
        self.changed.send_replace(());
        expired
    }

    pub(super) fn silences(&self, filter: &[Matcher], now: Timestamp) -> Vec<GettableSilence> {
        self.inner.lock().silences.list(filter, now)
    }

    pub(super) fn get_silence(&self, id: Uuid, now: Timestamp) -> Option<GettableSilence> {
        self.inner.lock().silences.get(id, now)
    }
}

impl Inner {
    fn forget_resolved(&mut self, config: &AlertConfig, now: Timestamp) {
        let until = |alert: &Alert| alert.ends_at.checked_add(config.resolved_retention);
        self.alerts
            .retain(|_, alert| until(alert).map_or(true, |until| until > now));
    }

    /// Returns whether another alert of `origin` may fire. Only firing alerts of the same origin count. The latest
    /// resolved ones are kept, up to the same number.
    fn has_room(&mut self, origin: Origin, limit: usize, now: Timestamp) -> bool {
        let alike = self.alerts.iter().filter(|(_, it)| it.origin == origin);
        let (resolved, firing): (Vec<_>, Vec<_>) = alike.partition(|(_, it)| it.resolved(now));
        let has_room = firing.len() < limit;
        if resolved.len() >= limit {
            let oldest = resolved.into_iter().min_by_key(|(_, alert)| alert.ends_at);
            if let Some(oldest) = oldest.map(|(fingerprint, _)| *fingerprint) {
                self.alerts.remove(&oldest);
            }
        }
        has_room
    }

    fn take(&mut self, alert: Alert, config: &AlertConfig, now: Timestamp) -> Result<(), String> {
        let fingerprint = fingerprint(&alert.labels);
        let (origin, limit) = (alert.origin, config.limit(alert.origin));
        let counts = |known: &Alert| !known.resolved(now) && known.origin == origin;
        // An alert of a rule stays one when the API extends or resolves it, so it does not count for the API.
        let of_rules = |known: &Alert| !known.resolved(now) && known.origin == Origin::Rules;
        let known = self.alerts.get(&fingerprint);
        let grows = !known.is_some_and(|known| counts(known) || of_rules(known));
        let full = grows && !self.has_room(origin, limit, now) && !alert.resolved(now);
        match self.alerts.entry(fingerprint) {
            _ if full => {
                return Err(format!("too many alerts are firing (limit: {limit})"));
            }
            Entry::Occupied(mut known) => {
                let merged = known.get().succeeded_by(alert, now);
                known.insert(merged);
            }
            Entry::Vacant(free) => {
                free.insert(alert);
            }
        }
        Ok(())
    }
}

impl Alert {
    fn new(
        alert: PostableAlert,
        origin: Origin,
        config: &AlertConfig,
        now: Timestamp,
    ) -> Result<Alert, String> {
        let timeout = alert.ends_at.is_none();
        // For an alert with only an end, Alertmanager sets the start to the end, even if it lies in the future. Here
        // the alert starts when it was sent.
        let latest = alert.ends_at.map_or(now, |end| end.min(now));
        let starts_at = alert.starts_at.unwrap_or(latest);
        let ends_at = match alert.ends_at {
            Some(ends_at) => ends_at,
            None => now
                .checked_add(config.resolve_timeout)
                .unwrap_or(Timestamp::MAX),
        };
        if ends_at < starts_at {
            return Err("start time must be before end time".into());
        }
        let mut labels = alert.labels;
        labels.retain(|_, value| !value.is_empty());
        if labels.is_empty() {
            return Err("at least one label pair required".into());
        }
        check_pairs("a label", &labels, config)?;
        check_pairs("an annotation", &alert.annotations, config)?;
        if alert.generator_url.len() > config.max_text_bytes {
            return Err(format!(
                "the generator's URL is longer than {} bytes",
                config.max_text_bytes
            ));
        }
        let texts = labels.iter().chain(&alert.annotations);
        let bytes: usize = texts.map(|(name, value)| name.len() + value.len()).sum();
        if origin == Origin::Api && bytes > config.max_bytes {
            return Err(format!(
                "labels and annotations of an alert are {bytes} bytes (limit: {})",
                config.max_bytes
            ));
        }
        Ok(Alert {
            labels,
            annotations: alert.annotations,
            generator_url: alert.generator_url,
            starts_at,
            ends_at,
            updated_at: now,
            origin,
            timeout,
        })
    }

    fn resolved(&self, now: Timestamp) -> bool {
        self.ends_at <= now
    }

    /// The state after `next` was sent for the same labels. If the two overlap, the earlier start stays, and so does
    /// a later end that a sender gave, unless `next` resolves the alert.
    fn succeeded_by(&self, next: Alert, now: Timestamp) -> Alert {
        let within = |time: Timestamp| time > self.starts_at && time < self.ends_at;
        let mut merged = next;
        if !self.resolved(now) && self.origin == Origin::Rules {
            merged.origin = Origin::Rules;
        }
        if !within(merged.ends_at) && !within(merged.starts_at) {
            return merged;
        }
        merged.starts_at = merged.starts_at.min(self.starts_at);
        if merged.resolved(now) {
            if self.resolved(now) {
                merged.ends_at = merged.ends_at.max(self.ends_at);
            }
        } else if !self.timeout {
            merged.ends_at = merged.ends_at.max(self.ends_at);
        }
        merged
    }

    fn to_wire(&self, fingerprint: u64, silenced_by: Vec<String>) -> GettableAlert {
        let state = if silenced_by.is_empty() {
            "active"
        } else {
            "suppressed"
        };
        GettableAlert {
            annotations: self.annotations.clone(),
            ends_at: self.ends_at,
            fingerprint: format!("{fingerprint:016x}"),
            receivers: vec![Receiver { name: RECEIVER }],
            starts_at: self.starts_at,
            status: AlertStatus {
                inhibited_by: Vec::new(),
                muted_by: Vec::new(),
                silenced_by,
                state,
            },
            updated_at: self.updated_at,
            generator_url: self.generator_url.clone(),
            labels: self.labels.clone(),
        }
    }
}

/// Checks the names and values. `kind` includes its article: `a label`.
fn check_pairs(
    kind: &str,
    pairs: &BTreeMap<String, String>,
    config: &AlertConfig,
) -> Result<(), String> {
    let bare = kind.split_once(' ').map_or(kind, |(_, bare)| bare);
    if pairs.len() > config.max_pairs {
        return Err(format!("more than {} {bare}s", config.max_pairs));
    }
    for (name, value) in pairs {
        if name.len().max(value.len()) > config.max_text_bytes {
            return Err(format!(
                "{kind} is longer than {} bytes",
                config.max_text_bytes
            ));
        }
        if !is_name(name, false) {
            return Err(format!("invalid {bare} set: invalid name {name:?}"));
        }
    }
    Ok(())
}
