//! Rules and notifications of a server, made of its settings.

use std::net::SocketAddr;
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
use crate::settings::{AlertingSettings, SecretUrl};
use crate::telemetry::Metrics;

/// Rules and receivers that were found good, not yet at work.
pub(super) struct Prepared {
    rules: RuleSet,
    notify: NotifyConfig,
}

/// Rules and receivers at work.
pub(super) struct Alerting {
    pub(super) evaluator: Arc<Evaluator>,
    pub(super) work: Vec<JoinHandle<()>>,
}

impl Prepared {
    /// Reads rule files and addresses. Made first of all: a mistake in them is told before anything is
    /// opened.
    pub(super) fn new(settings: &AlertingSettings) -> anyhow::Result<Prepared> {
        let rules = RuleSet::load(&settings.rules)?;
        let webhooks = webhooks("webhook", &settings.webhooks, Style::Json)?;
        let slack = webhooks_of_slack(settings)?;
        let alertmanager = settings.alertmanager_url.as_ref();
        let alertmanager = alertmanager.map(|url| address("alertmanager-url", url));
        Ok(Prepared {
            rules,
            notify: NotifyConfig {
                webhooks: webhooks.into_iter().chain(slack).collect(),
                alertmanager: alertmanager.transpose()?,
                external_url: String::new(),
                timing: settings.timing,
            },
        })
    }

    pub(super) fn start(
        self,
        settings: &AlertingSettings,
        ops_addr: SocketAddr,
        (tsdb, alerts): (&Arc<Tsdb>, &Arc<AlertStore>),
        metrics: &Metrics,
        stop: &CancellationToken,
    ) -> anyhow::Result<Alerting> {
        let own = || format!("http://{ops_addr}");
        let external_url = settings.external_url.clone().unwrap_or_else(own);
        let notify = NotifyConfig {
            external_url: external_url.clone(),
            ..self.notify
        };
        let mut work = spawn_notifications(notify, Arc::clone(alerts), metrics, stop)
            .map_err(anyhow::Error::msg)?;
        let config = EvaluatorConfig {
            interval: settings.evaluation_interval,
            external_url,
            ..EvaluatorConfig::default()
        };
        let evaluator = Arc::new(Evaluator::new(self.rules, config, Arc::clone(tsdb)));
        let store = Arc::clone(alerts);
        work.extend(evaluator.spawn(
            move |alerts| {
                if let Err(error) = store.put(alerts, Timestamp::now()) {
                    tracing::debug!(%error, "alerts were not taken by the embedded store");
                }
            },
            stop,
        ));
        Ok(Alerting { evaluator, work })
    }
}

fn webhooks_of_slack(settings: &AlertingSettings) -> anyhow::Result<Vec<Webhook>> {
    let mut slack = webhooks("slack-webhook", &settings.slack_webhooks, Style::Slack)?;
    for webhook in &mut slack {
        webhook.name = webhook.name.replace("slack-webhook", "slack");
    }
    Ok(slack)
}

/// Named after their flag, with a number from the second on.
fn webhooks(flag: &str, urls: &[SecretUrl], style: Style) -> anyhow::Result<Vec<Webhook>> {
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

fn address(flag: &str, url: &SecretUrl) -> anyhow::Result<Address> {
    Address::parse(url.expose()).with_context(|| format!("--{flag}"))
}
