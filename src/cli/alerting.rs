//! The flags of alert rules and notifications.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::flags::between;
use crate::alerting::Timing;
use crate::duration::show;
use crate::secret::Secret;
use crate::settings::AlertingSettings;

#[derive(Debug, Args)]
#[command(next_help_heading = "Alerts")]
pub(super) struct AlertingArgs {
    /// Rule file in Prometheus's format; may be given several times [default: the shipped rules,
    /// otel/prometheus/alerts.yml]
    #[arg(long, value_name = "FILE", env = "CONCERTCTL_RULES")]
    rules: Vec<PathBuf>,
    /// Time between two evaluations of the rules, from 100ms to 1h
    #[arg(long, value_name = "DURATION", default_value = show(AlertingSettings::default().evaluation_interval), value_parser = between("100ms", "1h"), env = "CONCERTCTL_EVALUATION_INTERVAL")]
    evaluation_interval: Duration,
    /// The address at which people reach the operations API, for the links in notifications and alerts:
    /// https://ops.example/concert [default: the URL of --ops-addr]
    #[arg(long, value_name = "URL", value_parser = external_url, env = "CONCERTCTL_WEB_EXTERNAL_URL")]
    web_external_url: Option<String>,
    /// An Alertmanager outside of this server, which receives every alert: http://HOST:9093
    #[arg(
        long,
        value_name = "URL",
        env = "CONCERTCTL_ALERTMANAGER_URL",
        hide_env_values = true
    )]
    alertmanager_url: Option<Secret>,
    /// URL to post alerts to, in the format of Alertmanager's webhook; may be given several times
    #[arg(
        long,
        value_name = "URL",
        env = "CONCERTCTL_WEBHOOK",
        hide_env_values = true
    )]
    webhook: Vec<Secret>,
    /// URL to post alerts to, in Slack's format; may be given several times
    #[arg(
        long,
        value_name = "URL",
        env = "CONCERTCTL_SLACK_WEBHOOK",
        hide_env_values = true
    )]
    slack_webhook: Vec<Secret>,
    /// Time for which the first notification of a group of alerts waits for more alerts, at most 1h
    #[arg(long, value_name = "DURATION", default_value = show(Timing::default().group_wait), value_parser = between("0s", "1h"), env = "CONCERTCTL_GROUP_WAIT")]
    group_wait: Duration,
    /// Time between two notifications of a group whose alerts change, from 100ms to 24h
    #[arg(long, value_name = "DURATION", default_value = show(Timing::default().group_interval), value_parser = between("100ms", "24h"), env = "CONCERTCTL_GROUP_INTERVAL")]
    group_interval: Duration,
    /// Time until a notification about unchanged alerts is repeated, from 1s to 720h
    #[arg(long, value_name = "DURATION", default_value = show(Timing::default().repeat_interval), value_parser = between("1s", "720h"), env = "CONCERTCTL_REPEAT_INTERVAL")]
    repeat_interval: Duration,
}

impl AlertingArgs {
    pub(super) fn settings(&self) -> AlertingSettings {
        AlertingSettings {
            rules: self.rules.clone(),
            evaluation_interval: self.evaluation_interval,
            external_url: self.web_external_url.clone(),
            alertmanager_url: self.alertmanager_url.clone(),
            webhooks: self.webhook.clone(),
            slack_webhooks: self.slack_webhook.clone(),
            timing: Timing {
                group_wait: self.group_wait,
                group_interval: self.group_interval,
                repeat_interval: self.repeat_interval,
                ..Timing::default()
            },
        }
    }
}

/// Parses the address that links begin with, and removes slashes at its end. It is http or https, and it has no user,
/// query or fragment.
fn external_url(text: &str) -> Result<String, String> {
    let url = text.trim().trim_end_matches('/');
    let uri: Option<http::Uri> = url.parse().ok();
    let is_base = uri.is_some_and(|uri| {
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let has_plain_host = uri
            .authority()
            .is_some_and(|host| !host.as_str().contains('@'));
        is_http && has_plain_host && uri.query().is_none()
    });
    match is_base && !url.contains('#') {
        true => Ok(url.to_owned()),
        false => Err(
            "not an http or https address without user, query and fragment; write one such as https://ops.example \
             or https://ops.example/concert"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_external_url_has_no_user_query_or_fragment() {
        assert_eq!(
            external_url("https://ops.example/c/"),
            Ok("https://ops.example/c".to_owned())
        );
        assert_eq!(
            external_url("http://10.0.0.1:8081"),
            Ok("http://10.0.0.1:8081".to_owned())
        );
        for wrong in [
            "",
            "ops.example",
            "ftp://a",
            "http://u:p@a",
            "http://a/?x=1",
            "http://a#b",
            "http://",
        ] {
            assert!(
                external_url(wrong)
                    .unwrap_err()
                    .contains("https://ops.example"),
                "{wrong}"
            );
        }
    }
}
