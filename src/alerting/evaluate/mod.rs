//! Evaluates rules over the embedded metrics store, with the semantics of Prometheus 2.42.
//!
//! Each group has its own task. At each interval it evaluates its rules in order, so that a rule may use the series
//! that an earlier rule recorded. The results are written into the store, and a series without a new value is marked
//! as ended. Firing and resolved alerts are passed on.

mod alert;
mod group;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::rules::RuleSet;
use crate::embedded::alertmanager::PostableAlert;
use crate::embedded::now_ms;
use crate::embedded::prometheus::{QueryLimits, Tsdb};
pub(super) use alert::{ActiveAlert, State};
pub(super) use group::{LiveGroup, RuleStatus};

/// The settings of the evaluation.
#[derive(Debug, Clone)]
pub struct EvaluatorConfig {
    /// The default interval between two evaluations of a group.
    pub interval: Duration,
    /// The limits of one expression.
    pub limits: QueryLimits,
    /// An alert that still fires, or that resolved a short while ago, is sent again after this time.
    pub resend: Duration,
    /// Labels that are added to alerts that lack them when they are sent. Templates can read them.
    pub external_labels: BTreeMap<String, String>,
    /// The address of the metrics API, for the link from an alert to its expression.
    pub external_url: String,
}

impl Default for EvaluatorConfig {
    fn default() -> Self {
        EvaluatorConfig {
            interval: Duration::from_secs(1),
            limits: QueryLimits {
                timeout: Duration::from_secs(10),
                ..QueryLimits::default()
            },
            resend: Duration::from_secs(60),
            external_labels: BTreeMap::new(),
            external_url: String::new(),
        }
    }
}

/// The rules, their state, and the store.
#[derive(Debug)]
pub struct Evaluator {
    pub(super) groups: Vec<LiveGroup>,
    config: EvaluatorConfig,
    tsdb: Arc<Tsdb>,
}

impl Evaluator {
    /// Creates an evaluator. It has evaluated no rule yet.
    #[must_use]
    pub fn new(rules: RuleSet, mut config: EvaluatorConfig, tsdb: Arc<Tsdb>) -> Evaluator {
        config.limits.subquery_step = config.interval;
        let live = |group| LiveGroup::new(group, config.interval);
        let groups = rules.groups.into_iter().map(live).collect();
        Evaluator {
            groups,
            config,
            tsdb,
        }
    }

    /// Evaluates all groups once at the time `at` (milliseconds since 1970). Returns the alerts to send: those that
    /// fire, have changed or have resolved.
    pub fn evaluate(&self, at: i64) -> Vec<PostableAlert> {
        let groups = self.groups.iter();
        groups
            .flat_map(|group| self.evaluate_group(group, at))
            .collect()
    }

    /// Evaluates the group of that name once at the time `at`.
    pub fn evaluate_only(&self, name: &str, at: i64) -> Vec<PostableAlert> {
        let groups = self.groups.iter().filter(|group| group.spec.name == name);
        groups
            .flat_map(|group| self.evaluate_group(group, at))
            .collect()
    }

    fn evaluate_group(&self, group: &LiveGroup, at: i64) -> Vec<PostableAlert> {
        group.evaluate(&self.tsdb, &self.config, at)
    }

    /// Evaluates every group at its interval until `stop`, and passes the alerts to `send`.
    ///
    /// Must be called within a Tokio runtime.
    pub fn spawn(
        self: &Arc<Self>,
        send: impl Fn(Vec<PostableAlert>) + Send + Sync + 'static,
        stop: &CancellationToken,
    ) -> Vec<JoinHandle<()>> {
        let send = Arc::new(send);
        let run = |index| {
            let (evaluator, send) = (Arc::clone(self), Arc::clone(&send));
            tokio::spawn(evaluator.run_group(index, send, stop.clone()))
        };
        (0..self.groups.len()).map(run).collect()
    }

    async fn run_group(
        self: Arc<Self>,
        index: usize,
        send: Arc<impl Fn(Vec<PostableAlert>) + Send + Sync + 'static>,
        stop: CancellationToken,
    ) {
        let Some(group) = self.groups.get(index) else {
            return;
        };
        let interval = group.interval;
        let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(10)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let (evaluator, send) = (Arc::clone(&self), Arc::clone(&send));
            // Expressions take processor time, so they run on a blocking thread.
            let evaluated = tokio::task::spawn_blocking(move || {
                if let Some(group) = evaluator.groups.get(index) {
                    let alerts = evaluator.evaluate_group(group, now_ms());
                    if !alerts.is_empty() {
                        send(alerts);
                    }
                }
            });
            if evaluated.await.is_err() && !stop.is_cancelled() {
                tracing::error!(index, group = %group.spec.name, "the evaluation of a rule group ended unexpectedly");
            }
        }
    }
}

#[cfg(test)]
mod tests;
