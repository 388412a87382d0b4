//! The formats of notifications: Alertmanager's webhook (version 4,
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>), and Slack's incoming webhook.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::groups::GroupUpdate;
use crate::embedded::alertmanager::{GettableAlert, time_text as time};

/// The largest number of alerts in one webhook message. The message gives the number of the rest.
const MAX_ALERTS: usize = 100;

/// The largest number of attachments in one Slack message: one for each alert, or the last one with the number of the
/// remaining alerts. docs/telemetry.md gives it.
const MAX_ATTACHMENTS: usize = 10;

/// The largest length of one label, annotation or group name in a Slack message, in characters before they are escaped.
const MAX_CHARACTERS: usize = 1000;

/// The format of notifications. The flags `--webhook` and `--slack-webhook` choose it (`serve::alerting`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Alertmanager's webhook, version 4.
    Json,
    /// Slack's incoming webhooks.
    Slack,
}

/// The alerts of one group for one receiver.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) receiver: &'a str,
    pub(super) external_url: &'a str,
    pub(super) update: &'a GroupUpdate,
    /// The alerts of the message: all firing ones, and those that ended since the last message.
    pub(super) alerts: &'a [GettableAlert],
}

impl Message<'_> {
    pub(super) fn body(&self, style: Style) -> Value {
        match style {
            Style::Json => self.json(),
            Style::Slack => self.slack(),
        }
    }

    /// Returns whether the alert had ended at the time of the update, which may be earlier than now.
    fn ended(&self, alert: &GettableAlert) -> bool {
        alert.ends_at <= self.update.at
    }

    fn status(&self) -> &'static str {
        match self.alerts.iter().all(|alert| self.ended(alert)) {
            true => "resolved",
            false => "firing",
        }
    }

    fn json(&self) -> Value {
        let shown = self.alerts.iter().take(MAX_ALERTS);
        let alerts: Vec<Value> = shown.map(|alert| self.alert(alert)).collect();
        json!({
            "version": "4",
            "groupKey": self.update.key,
            "truncatedAlerts": self.alerts.len().saturating_sub(MAX_ALERTS),
            "status": self.status(),
            "receiver": self.receiver,
            "groupLabels": self.update.labels,
            "commonLabels": self.common(|alert| &alert.labels),
            "commonAnnotations": self.common(|alert| &alert.annotations),
            "externalURL": self.external_url,
            "alerts": alerts,
        })
    }

    fn alert(&self, alert: &GettableAlert) -> Value {
        let (status, ends_at) = match self.ended(alert) {
            true => ("resolved", time(alert.ends_at)),
            // The end of a firing alert is only an estimate, so it is left out.
            false => ("firing", "0001-01-01T00:00:00Z".to_owned()),
        };
        json!({
            "status": status,
            "labels": alert.labels,
            "annotations": alert.annotations,
            "startsAt": time(alert.starts_at),
            "endsAt": ends_at,
            "generatorURL": alert.generator_url,
            "fingerprint": alert.fingerprint,
        })
    }

    /// The pairs that all alerts have in common.
    fn common<'a>(
        &'a self,
        of: impl Fn(&'a GettableAlert) -> &'a BTreeMap<String, String>,
    ) -> BTreeMap<&'a String, &'a String> {
        let Some((first, others)) = self.alerts.split_first() else {
            return BTreeMap::new();
        };
        let everywhere = |(name, value): &(&String, &String)| {
            others
                .iter()
                .all(|other| of(other).get(*name) == Some(*value))
        };
        of(first).iter().filter(everywhere).collect()
    }

    fn slack(&self) -> Value {
        let firing = self
            .alerts
            .iter()
            .filter(|alert| !self.ended(alert))
            .count();
        let state = match firing {
            0 => "RESOLVED".to_owned(),
            n => format!("FIRING:{n}"),
        };
        let group: Vec<&str> = self.update.labels.values().map(String::as_str).collect();
        // The number of the remaining alerts takes one of the attachments.
        let shown = match self.alerts.len() > MAX_ATTACHMENTS {
            true => MAX_ATTACHMENTS - 1,
            false => self.alerts.len(),
        };
        let alerts = self.alerts.iter().take(shown);
        let mut attachments: Vec<Value> = alerts.map(|alert| self.attachment(alert)).collect();
        let more = self.alerts.len() - shown;
        if more > 0 {
            attachments.push(json!({"text": format!("and {more} more")}));
        }
        let text = format!("[{state}] {}", slack_text(&group.join(" ")));
        json!({"text": text, "attachments": attachments})
    }

    fn attachment(&self, alert: &GettableAlert) -> Value {
        let label = |name: &str| alert.labels.get(name).map(String::as_str);
        let annotation = |name: &str| alert.annotations.get(name).map(String::as_str);
        // Slack's names of colours: good is green, warning yellow, danger red.
        let color = match (self.ended(alert), label("severity")) {
            (true, _) => "good",
            (false, Some("warning" | "info")) => "warning",
            (false, _) => "danger",
        };
        let title = annotation("summary")
            .or(label("alertname"))
            .unwrap_or("alert");
        let mut lines = Vec::new();
        lines.extend(annotation("description").map(slack_text));
        lines.extend(annotation("runbook_url").map(|url| format!("Runbook: {}", slack_text(url))));
        let since = time(alert.starts_at);
        lines.push(match self.ended(alert) {
            true => format!("resolved {}, began {since}", time(alert.ends_at)),
            false => format!("since {since}"),
        });
        let short = |name: &str| {
            let value = label(name)?;
            Some(json!({"title": name, "value": slack_text(value), "short": true}))
        };
        let fields: Vec<Value> = ["severity", "instance"]
            .into_iter()
            .filter_map(short)
            .collect();
        json!({
            "color": color,
            "title": slack_text(title),
            "text": lines.join("\n"),
            "fallback": slack_text(title),
            "fields": fields,
        })
    }
}

/// Limits the length of a text from outside, and escapes the three characters that Slack interprets.
fn slack_text(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(MAX_CHARACTERS) {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            c => shown.push(c),
        }
    }
    shown
}
