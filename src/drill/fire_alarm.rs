//! The check of the day before: an alert labelled `drill="true"` goes through the whole chain, and the check times each
//! hop.
//!
//! ```text
//! operations API ──▶ metric ──▶ rule fires ──▶ Alertmanager lists it ──▶ receiver is notified
//!        and back:               rule ends     ───────────────────────▶ receiver is notified
//! ```
//!
//! The fault `fire_alarm` breaks nothing: it sets `concert_fault_active{fault="fire_alarm"}`, which the shipped rule
//! `FireAlarm` reads. It ends by itself, so that a check that was killed leaves nothing behind.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::alerts::{EVERY, Receiver, Spell, Watcher};
use super::embedded::Embedded;
use super::{Moment, now};
use crate::api::ops::{Fault, FaultKind};
use crate::clients::alertmanager::Alertmanager;
use crate::clients::ops::Ops;
use crate::clients::prometheus::Prometheus;
use crate::clients::{HttpSource, Secret};

/// The alert of the shipped rule.
pub(super) const ALERT: &str = "FireAlarm";
/// The condition that the rule reads.
const METRIC: &str = "concert_fault_active{fault=\"fire_alarm\"} == 1";

/// A step of the chain, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hop {
    /// The server raised its metric.
    Raised,
    /// Prometheus has the metric.
    Scraped,
    /// The rule fires.
    Fires,
    /// Alertmanager lists the alert.
    Listed,
    /// The receiver got the notification.
    Notified,
    /// The rule no longer fires, after the server cleared the metric.
    Ends,
    /// The receiver got the notification of the end.
    EndNotified,
}

impl Hop {
    /// All hops, in order.
    pub const ALL: [Hop; 7] = [
        Hop::Raised,
        Hop::Scraped,
        Hop::Fires,
        Hop::Listed,
        Hop::Notified,
        Hop::Ends,
        Hop::EndNotified,
    ];

    /// A sentence about the hop.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Hop::Raised => "the server raises its metric",
            Hop::Scraped => "Prometheus has the metric",
            Hop::Fires => "the rule fires",
            Hop::Listed => "Alertmanager lists the alert",
            Hop::Notified => "the receiver is notified",
            Hop::Ends => "the rule ends",
            Hop::EndNotified => "the receiver is notified of the end",
        }
    }
}

/// One hop of a check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timed {
    /// The hop.
    pub hop: Hop,
    /// Seconds since the server raised the metric, or on the way back since it cleared the metric. Absent if the hop
    /// did not happen.
    pub seconds: Option<f64>,
    /// Advice on what to check. Only the first hop that did not happen has it.
    pub advice: Option<String>,
}

/// The servers of a chain.
#[derive(Debug)]
pub struct Chain {
    /// The server that raises the metric.
    pub ops: Ops,
    /// The server that evaluates the rules.
    pub prometheus: Prometheus,
    /// The server that gets the alerts of the rules.
    pub alertmanager: Alertmanager,
    receiver: Receiver,
    /// The URL of the check's own receiver, if the check has one. Without it, the number of notifications that
    /// Alertmanager counts shows the delivery.
    receives_at: Option<String>,
    own: Option<Embedded>,
}

impl Chain {
    /// The chain of a running system. With `receive` a receiver listens at that address, and Alertmanager must notify
    /// it.
    ///
    /// # Errors
    /// The address is taken, or does not belong to this machine.
    pub async fn running(
        ops: Ops,
        prometheus: Prometheus,
        alertmanager: Alertmanager,
        receive: Option<SocketAddr>,
    ) -> Result<Chain, String> {
        let addr = receive.unwrap_or_else(|| ([127, 0, 0, 1], 0).into());
        let receiver = Receiver::start(addr).await;
        let receiver = receiver.map_err(|error| format!("--receive {addr}: {error}"))?;
        Ok(Chain {
            ops,
            prometheus,
            alertmanager,
            receives_at: receive.map(|_| receiver.url.clone()),
            receiver,
            own: None,
        })
    }

    /// The chain of a server that the check starts. It notifies the check's own receiver.
    ///
    /// # Errors
    /// The server does not start.
    pub async fn embedded(program: &Path) -> Result<Chain, String> {
        let receiver = Receiver::start(([127, 0, 0, 1], 0).into()).await;
        let receiver = receiver.map_err(|error| error.to_string())?;
        let own = Embedded::start(program, &[], &receiver.url).await;
        let own = own.map_err(|error| error.to_string())?;
        let (prometheus, alertmanager) = own.alert_sources().map_err(|error| error.to_string())?;
        let target = own.target();
        let source = HttpSource::new(&target.ops_url).map_err(|error| error.to_string())?;
        Ok(Chain {
            ops: Ops::new(source, target.ops_token.as_deref().map(Secret::new)),
            prometheus,
            alertmanager,
            receives_at: Some(receiver.url.clone()),
            receiver,
            own: Some(own),
        })
    }

    /// Sends an alarm through the chain. All hops of the way there have `within` in total, and so have those of the way
    /// back.
    ///
    /// # Errors
    /// The alarm is on already, or the server could not raise it. Nothing was checked.
    pub async fn check(
        self,
        within: Duration,
        stop: &CancellationToken,
    ) -> Result<Vec<Timed>, String> {
        let Chain {
            ops,
            prometheus,
            alertmanager,
            receiver,
            receives_at,
            own,
        } = self;
        let watch = receiver.watch(prometheus.clone(), alertmanager.clone());
        let mut check = Check {
            sent: Sent::of(&alertmanager).await,
            ops,
            prometheus,
            alertmanager,
            watch,
            receives_at,
            within,
            at: BTreeMap::new(),
            broken: None,
        };
        let checked = check.conduct(stop).await;
        let hops = checked.map(|()| check.hops());
        if let Some(own) = own {
            own.end().await;
        }
        hops
    }
}

/// A check under way.
struct Check {
    ops: Ops,
    prometheus: Prometheus,
    alertmanager: Alertmanager,
    watch: Watcher,
    receives_at: Option<String>,
    within: Duration,
    /// The notifications that had been sent when the check began.
    sent: Option<Sent>,
    /// The time at which each hop was seen.
    at: BTreeMap<Hop, Moment>,
    /// The first hop that did not happen, and what to check.
    broken: Option<(Hop, String)>,
}

impl Check {
    async fn conduct(&mut self, stop: &CancellationToken) -> Result<(), String> {
        let firing = self.prometheus.alerts().await;
        let is_on = |alert: &crate::clients::prometheus::RuleAlert| {
            alert
                .labels
                .get("alertname")
                .is_some_and(|name| name == ALERT)
        };
        if firing.is_ok_and(|firing| firing.iter().any(is_on)) {
            return Err(format!(
                "{ALERT} is on already: await its end, or end it with `concertctl fault clear fire-alarm`"
            ));
        }
        self.forgotten(stop).await?;
        // The alarm lasts a little longer than the way there may take, and ends even if this process is killed.
        let length = self.within + Duration::from_secs(5);
        let raised = self
            .ops
            .inject_fault(&Fault::FireAlarm {}, length, Some("fire-alarm"));
        let raised = raised.await.map_err(|error| {
            format!("{} does not raise the alarm: {error}", self.ops.authority())
        })?;
        let began = raised.started_at.parse::<jiff::Timestamp>();
        let began = began.map_or_else(|_| now(), |began| began.as_millisecond());
        self.at.insert(Hop::Raised, began);
        self.until(&Hop::ALL[..5], stop).await;
        // The cause of a missing hop must be looked for while the alarm is on.
        self.explain(&Hop::ALL[..5]).await;
        let end = self.ops.end_faults(Some(FaultKind::FireAlarm)).await;
        let ended = now();
        end.map_err(|error| {
            let authority = self.ops.authority();
            format!("{authority} does not end the alarm, which ends by itself: {error}")
        })?;
        if self.at.contains_key(&Hop::Fires) {
            // A receiver that got no notification gets no notification of the end.
            let last = if self.at.contains_key(&Hop::Notified) {
                7
            } else {
                6
            };
            self.until(&Hop::ALL[5..last], stop).await;
            self.explain(&Hop::ALL[5..]).await;
            // The times of the way back count from the end of the alarm.
            for hop in [Hop::Ends, Hop::EndNotified] {
                if let Some(at) = self.at.get_mut(&hop) {
                    *at += began - ended;
                }
            }
        }
        Ok(())
    }

    /// Waits until Prometheus no longer has the sample of an earlier alarm, which would count as scraped. If Prometheus
    /// does not answer, the hop `Scraped` reports that.
    async fn forgotten(&self, stop: &CancellationToken) -> Result<(), String> {
        let over = now() + i64::try_from(self.within.as_millis()).unwrap_or(i64::MAX);
        loop {
            let found = self.prometheus.instant(METRIC, now()).await;
            let is_there = found.is_ok_and(|found| !found.is_empty());
            if !is_there || stop.is_cancelled() {
                return Ok(());
            }
            if now() >= over {
                return Err(
                    "Prometheus still has the sample of an earlier fire alarm: try again later"
                        .to_owned(),
                );
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Polls until all of `hops` were seen, or the time is over.
    async fn until(&mut self, hops: &[Hop], stop: &CancellationToken) {
        let over = now() + i64::try_from(self.within.as_millis()).unwrap_or(i64::MAX);
        while now() < over && !stop.is_cancelled() {
            self.look().await;
            if hops.iter().all(|hop| self.at.contains_key(hop)) {
                self.in_order(hops);
                return;
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Finds out why the first of `hops` did not happen, unless the chain broke before.
    async fn explain(&mut self, hops: &[Hop]) {
        let missing = hops.iter().find(|hop| !self.at.contains_key(hop));
        if let (Some(hop), None) = (missing, &self.broken) {
            self.broken = Some((*hop, self.advice(*hop).await));
        }
    }

    /// Puts the times in the order of the hops. A poll can see a hop later than the hop behind it, whose time is known
    /// to the millisecond.
    fn in_order(&mut self, hops: &[Hop]) {
        let mut latest = Moment::MAX;
        for hop in hops.iter().rev() {
            if let Some(at) = self.at.get_mut(hop) {
                *at = latest.min(*at);
                latest = *at;
            }
        }
    }

    async fn look(&mut self) {
        if !self.at.contains_key(&Hop::Scraped) {
            let found = self.prometheus.instant(METRIC, now()).await;
            if found.is_ok_and(|found| !found.is_empty()) {
                self.at.insert(Hop::Scraped, now());
            }
        }
        let alerts = self.watch.alerts();
        let spells = alerts.of(ALERT).iter();
        // Alertmanager may notify of an alert shortly after its end, which looks like another spell. Only a spell that
        // fired counts.
        let Some(spell) = spells.into_iter().find(|spell| spell.firing.is_some()) else {
            return;
        };
        self.take(spell);
        if self.receives_at.is_none() && spell.shown.is_some() {
            self.count(spell).await;
        }
    }

    fn take(&mut self, spell: &Spell) {
        let mut seen = vec![
            (Hop::Fires, spell.firing),
            (Hop::Listed, spell.shown),
            (Hop::Ends, spell.resolved),
        ];
        if self.receives_at.is_some() {
            seen.push((Hop::Notified, spell.notified));
            seen.push((Hop::EndNotified, spell.end_notified));
        }
        for (hop, at) in seen {
            if let Some(at) = at {
                self.at.entry(hop).or_insert(at);
            }
        }
        // A rule that fires has read a scraped metric, even if the last look at the metric came too early to see it.
        if let Some(at) = spell.firing {
            self.at.entry(Hop::Scraped).or_insert(at);
        }
    }

    /// Takes the delivery from Alertmanager's own count of notifications, because the check has no receiver.
    async fn count(&mut self, spell: &Spell) {
        let (Some(before), Some(after)) = (self.sent, Sent::of(&self.alertmanager).await) else {
            return;
        };
        if after.delivered <= before.delivered {
            return;
        }
        let hop = match spell.resolved {
            None => Hop::Notified,
            Some(_) => Hop::EndNotified,
        };
        if let Entry::Vacant(unseen) = self.at.entry(hop) {
            unseen.insert(now());
            self.sent = Some(after);
        }
    }

    fn hops(self) -> Vec<Timed> {
        let began = self.at.get(&Hop::Raised).copied().unwrap_or_default();
        let timed = |hop| Timed {
            hop,
            seconds: self.at.get(&hop).map(|at| (at - began).max(0) as f64 / 1e3),
            advice: match &self.broken {
                Some((broken, advice)) if *broken == hop => Some(advice.clone()),
                _ => None,
            },
        };
        Hop::ALL.into_iter().map(timed).collect()
    }

    async fn advice(&self, hop: Hop) -> String {
        match hop {
            Hop::Raised => "the operations API took the alarm and reported no beginning".to_owned(),
            Hop::Scraped => self.why_not_scraped().await,
            Hop::Fires => self.why_not_firing().await,
            Hop::Listed => format!(
                "The rule fires and {} does not list it. Look at `alerting:` in prometheus.yml (for the embedded rules \
                 at --alertmanager-url), whether both mean the same Alertmanager, and at prometheus_notifications_errors_total.",
                self.alertmanager.authority()
            ),
            Hop::Notified => self.why_not_notified().await,
            Hop::Ends => "The metric was taken back and the rule still fires. Look whether Prometheus scrapes this server \
                          still, and whether another server raises the alarm too."
                .to_owned(),
            Hop::EndNotified => format!(
                "The receiver does not hear of the end. Look at `send_resolved: true` of the receiver, and whether its \
                 group_interval is longer than {} s (--within).",
                self.within.as_secs()
            ),
        }
    }

    async fn why_not_scraped(&self) -> String {
        let address = self.prometheus.source().authority();
        match self.prometheus.instant("concert_fault_active", now()).await {
            Err(error) => format!(
                "Prometheus at {address} does not answer: {error}. Look at --prometheus-url."
            ),
            Ok(found) if found.is_empty() => format!(
                "Prometheus at {address} has no concert_fault_active at all. Look at its page Status > Targets: does it \
                 scrape this server's operations listener ({}), or the collector that the server pushes to?",
                self.ops.authority()
            ),
            Ok(_) => format!(
                "Prometheus at {address} has concert_fault_active, but not that of this alarm. Look whether it scrapes \
                 {} and not another server, and how long its scrape interval is.",
                self.ops.authority()
            ),
        }
    }

    async fn why_not_firing(&self) -> String {
        let address = self.prometheus.source().authority();
        let rules = self.prometheus.alert_rules().await.unwrap_or_default();
        match rules.iter().find(|rule| rule.name == ALERT) {
            None => format!(
                "Prometheus at {address} has the metric and no rule {ALERT}. Name otel/prometheus/alerts.yml under \
                 `rule_files:` in prometheus.yml and reload it; your own rules need this one too."
            ),
            Some(rule) if rule.health == "err" => {
                format!("The rule {ALERT} cannot be evaluated: {}.", rule.last_error)
            }
            Some(rule) => format!(
                "The rule {ALERT} ({}, for {} s) is there and does not fire within {} s. Look at the evaluation interval.",
                rule.query,
                rule.duration,
                self.within.as_secs()
            ),
        }
    }

    async fn why_not_notified(&self) -> String {
        let address = self.alertmanager.authority();
        let listed = self.alertmanager.alerts().await.unwrap_or_default();
        let alarm = listed.iter().find(|alert| {
            alert
                .labels
                .get("alertname")
                .is_some_and(|name| name == ALERT)
        });
        let status = alarm.map(|alert| alert.status.clone()).unwrap_or_default();
        if !status.silenced_by.is_empty() {
            let ids = status.silenced_by.join(", ");
            return format!("A silence holds the alarm back in {address}: {ids}. End it.");
        }
        if !status.inhibited_by.is_empty() {
            return format!(
                "Another alert inhibits the alarm in {address}. Look at `inhibit_rules:`."
            );
        }
        let where_to = match &self.receives_at {
            Some(url) => format!("whether that receiver posts to {url} and reaches this machine"),
            None => "whether alertmanager_notifications_failed_total rises".to_owned(),
        };
        format!(
            "{address} lists the alarm and notifies no one. If that is concertctl itself, start `serve` with --webhook URL. \
             If it is an Alertmanager, look which receiver `route:` gives to severity=\"warning\", \
             area=\"drill\", drill=\"true\" (amtool config routes test), {where_to}, and whether group_wait is longer \
             than {} s (--within).",
            self.within.as_secs()
        )
    }
}

/// The notifications by the count of Alertmanager, or of the embedded one.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sent {
    delivered: f64,
}

impl Sent {
    async fn of(alertmanager: &Alertmanager) -> Option<Sent> {
        // Both expose the count at the same path.
        let metrics = Ops::new(alertmanager.source().clone(), None)
            .metrics()
            .await;
        Some(Sent::read(&metrics.ok()?))
    }

    fn read(metrics: &str) -> Sent {
        let sum = |name: &str, label: &str| -> f64 {
            let lines = metrics.lines().filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']))
                    && line.contains(label)
            });
            lines
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum()
        };
        let tried = sum("alertmanager_notifications_total", "");
        let failed = sum("alertmanager_notifications_failed_total", "");
        let embedded = sum("concert_notifications_total", "outcome=\"delivered\"");
        Sent {
            delivered: tried - failed + embedded,
        }
    }
}

/// Returns whether every hop happened.
#[must_use]
pub fn is_whole(hops: &[Timed]) -> bool {
    hops.iter().all(|it| it.seconds.is_some())
}

/// The result of the check, for a terminal.
#[must_use]
pub fn text(hops: &[Timed]) -> String {
    let line = |it: &Timed| {
        let (sign, took) = match (it.seconds, &it.advice) {
            (Some(seconds), _) => ('✓', format!("{seconds:.1} s")),
            (None, Some(_)) => ('✗', "–".to_owned()),
            (None, None) => ('·', "–".to_owned()),
        };
        let advice = it.advice.as_ref();
        let advice = advice.map_or(String::new(), |advice| format!("    {advice}\n"));
        format!("  {sign} {:<36} {took:>8}\n{advice}", it.hop.words())
    };
    let lines: String = hops.iter().map(line).collect();
    match hops.iter().find(|it| it.seconds.is_none()) {
        None => lines + "The chain is whole. Times of the way back count from its beginning.\n",
        Some(broken) => format!("{lines}The chain is broken: {}.\n", negated(broken.hop)),
    }
}

const fn negated(hop: Hop) -> &'static str {
    match hop {
        Hop::Raised => "the server does not raise its metric",
        Hop::Scraped => "Prometheus does not have the metric",
        Hop::Fires => "the rule does not fire",
        Hop::Listed => "Alertmanager does not list the alert",
        Hop::Notified => "the receiver is not notified",
        Hop::Ends => "the rule does not end",
        Hop::EndNotified => "the receiver is not notified of the end",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_are_counted_as_alertmanager_and_the_embedded_one_expose_them() {
        let real = "# HELP alertmanager_notifications_total x\n\
             alertmanager_notifications_total{integration=\"webhook\"} 5\n\
             alertmanager_notifications_total{integration=\"slack\"} 2\n\
             alertmanager_notifications_failed_total{integration=\"webhook\"} 3\n";
        assert_eq!(Sent::read(real).delivered, 4.0);
        let own = "concert_notifications_total{receiver=\"a\",outcome=\"delivered\"} 2\n\
             concert_notifications_total{receiver=\"a\",outcome=\"failed\"} 9\n";
        assert_eq!(Sent::read(own).delivered, 2.0);
    }

    #[test]
    fn the_first_hop_that_fails_is_named_and_those_behind_it_are_not_blamed() {
        let timed = |hop, seconds, advice: Option<&str>| Timed {
            hop,
            seconds,
            advice: advice.map(str::to_owned),
        };
        let hops = [
            timed(Hop::Raised, Some(0.0), None),
            timed(Hop::Scraped, None, Some("Look there.")),
            timed(Hop::Fires, None, None),
        ];
        let told = text(&hops);
        assert!(
            told.contains("  ✗ Prometheus has the metric") && told.contains("    Look there.\n")
        );
        assert!(told.contains("  · the rule fires"));
        assert!(told.ends_with("The chain is broken: Prometheus does not have the metric.\n"));
        assert!(!is_whole(&hops) && is_whole(&hops[..1]));
    }
}
