//! The alert rules and notifications of a server.

use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::alerting::{
    Address, Evaluator, EvaluatorConfig, NotifyConfig, RuleSet, Style, Webhook, spawn_notifications,
};
use crate::embedded::alertmanager::AlertStore;
use crate::embedded::prometheus::Tsdb;
use crate::secret::Secret;
use crate::settings::AlertingSettings;
use crate::telemetry::Metrics;

/// Rules and receivers that were read and checked but do not run yet.
pub(super) struct AlertingPlan {
    rules: RuleSet,
    notify: NotifyConfig,
}

/// Running rules and notifications.
pub(super) struct Alerting {
    pub(super) evaluator: Arc<Evaluator>,
    pub(super) tasks: Vec<JoinHandle<()>>,
}

impl AlertingPlan {
    /// Reads the rule files and the addresses of the receivers.
    pub(super) fn read(settings: &AlertingSettings) -> anyhow::Result<AlertingPlan> {
        let rules = RuleSet::load(&settings.rules)?;
        let webhooks = webhooks("webhook", &settings.webhooks, Style::Json)?;
        let slack = slack_webhooks(settings)?;
        let alertmanager = settings.alertmanager_url.as_ref();
        let alertmanager = alertmanager.map(|url| address("alertmanager-url", url));
        Ok(AlertingPlan {
            rules,
            notify: NotifyConfig {
                webhooks: webhooks.into_iter().chain(slack).collect(),
                alertmanager: alertmanager.transpose()?,
                // `start` sets it: it knows the address.
                external_url: String::new(),
                timing: settings.timing,
            },
        })
    }

    /// Evaluates the rules over `tsdb` and notifies the receivers, until `stop`.
    pub(super) fn start(
        self,
        settings: &AlertingSettings,
        ops_url: &str,
        (tsdb, alerts): (&Arc<Tsdb>, &Arc<AlertStore>),
        metrics: &Metrics,
        stop: &CancellationToken,
    ) -> anyhow::Result<Alerting> {
        let external_url = settings.external_url.clone();
        let external_url = external_url.unwrap_or_else(|| ops_url.to_owned());
        let notify = NotifyConfig {
            external_url: external_url.clone(),
            ..self.notify
        };
        let mut tasks = spawn_notifications(notify, Arc::clone(alerts), metrics, stop)
            .map_err(anyhow::Error::msg)?;
        let config = EvaluatorConfig {
            interval: settings.evaluation_interval,
            external_url,
            ..EvaluatorConfig::default()
        };
        let evaluator = Arc::new(Evaluator::new(self.rules, config, Arc::clone(tsdb)));
        let store = Arc::clone(alerts);
        tasks.extend(evaluator.spawn(
            move |alerts| {
                if let Err(error) = store.put(alerts, Timestamp::now()) {
                    tracing::debug!(%error, "the embedded Alertmanager refused alerts of the rules");
                }
            },
            stop,
        ));
        Ok(Alerting { evaluator, tasks })
    }
}

/// The receivers of `--slack-webhook`. Metrics and logs call them `slack`, `slack-2`, …
fn slack_webhooks(settings: &AlertingSettings) -> anyhow::Result<Vec<Webhook>> {
    let mut slack = webhooks("slack-webhook", &settings.slack_webhooks, Style::Slack)?;
    for webhook in &mut slack {
        webhook.name = webhook.name.replace("slack-webhook", "slack");
    }
    Ok(slack)
}

/// The receivers of one flag, named after it and numbered from the second on: `webhook`, `webhook-2`, …
fn webhooks(flag: &str, urls: &[Secret], style: Style) -> anyhow::Result<Vec<Webhook>> {
    let named = urls.iter().enumerate().map(|(index, url)| {
        Ok(Webhook {
            name: match index {
                0 => flag.to_owned(),
                n => format!("{flag}-{}", n + 1),
            },
            address: address(flag, url)?,
            style,
        })
    });
    named.collect()
}

fn address(flag: &str, url: &Secret) -> anyhow::Result<Address> {
    Address::parse(url.expose()).with_context(|| format!("--{flag}"))
}
