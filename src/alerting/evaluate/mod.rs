//! Rules evaluated over the embedded metrics store, with the meaning they have in Prometheus 2.42.
//!
//! Each group has a task and an instant at which its rules are evaluated one after the other, so that
//! one may use what another recorded. What a rule yields is written into the store, a series that it
//! no longer yields is marked as ended, and alerts that fire or have resolved are handed on.

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

/// How rules are evaluated.
#[derive(Debug, Clone)]
pub struct EvaluatorConfig {
    /// The default interval between two evaluations of a group.
    pub interval: Duration,
    /// What one expression may cost.
    pub limits: QueryLimits,
    /// An alert that goes on is sent again after this.
    pub resend: Duration,
    /// Added to alerts when they are sent, where they have no such label; templates can read them.
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

/// The rules, their state, and the store over which they are evaluated.
#[derive(Debug)]
pub struct Evaluator {
    pub(super) groups: Vec<LiveGroup>,
    config: EvaluatorConfig,
    tsdb: Arc<Tsdb>,
}

impl Evaluator {
    /// Rules that were never evaluated so far.
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

    /// Evaluates all groups once, as of `at` (milliseconds since 1970). What comes back is to be sent:
    /// alerts that fire, have changed or have resolved.
    pub fn evaluate(&self, at: i64) -> Vec<PostableAlert> {
        let groups = self.groups.iter();
        groups
            .flat_map(|group| self.evaluate_group(group, at))
            .collect()
    }

    /// Evaluates the group of that name once, as of `at`.
    pub fn evaluate_only(&self, name: &str, at: i64) -> Vec<PostableAlert> {
        let groups = self.groups.iter().filter(|group| group.spec.name == name);
        groups
            .flat_map(|group| self.evaluate_group(group, at))
            .collect()
    }

    fn evaluate_group(&self, group: &LiveGroup, at: i64) -> Vec<PostableAlert> {
        group.evaluate(&self.tsdb, &self.config, at)
    }

    /// Evaluates every group at its interval until `stop`; `send` gets what is to be sent.
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
            // Expressions are computed, not awaited.
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
