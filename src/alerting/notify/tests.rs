use std::collections::BTreeMap;

use serde_json::json;

use super::groups::Groups;
use super::payload::Message;
use super::*;
use crate::embedded::alertmanager::{AlertConfig, GettableAlert, PostableAlert};

fn alerts(ends: &[Option<&str>]) -> (Vec<GettableAlert>, groups::GroupUpdate) {
    let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
    let store = AlertStore::new(AlertConfig::default());
    let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let own = |(n, v): &(&str, &str)| ((*n).to_owned(), (*v).to_owned());
        pairs.iter().map(own).collect()
    };
    for (n, ends) in ends.iter().enumerate() {
        let alert = PostableAlert {
            labels: pairs(&[
                ("alertname", "Slow <p95>"),
                ("instance", "a:1"),
                ("severity", "critical"),
                ("n", &n.to_string()),
            ]),
            annotations: pairs(&[
                ("summary", "It is slow & <!channel>"),
                ("description", "more"),
                ("runbook_url", "https://runbooks.example/Slow"),
            ]),
            starts_at: Some("2026-01-01T00:00:00.5Z".parse().unwrap()),
            ends_at: ends.map(|ends| ends.parse().unwrap()),
            generator_url: "http://127.0.0.1:8081/api/v1/query?query=m".to_owned(),
        };
        store.put(vec![alert], now).unwrap();
    }
    let mut groups = Groups::new(Timing::default());
    let mut update = groups.due(&store.all(now), now);
    let update = update.remove(0);
    let mut all = update.firing.clone();
    all.extend(update.resolved.clone());
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    (all, update)
}

fn body(style: Style, ends: &[Option<&str>]) -> serde_json::Value {
    let (alerts, update) = alerts(ends);
    let message = Message {
        receiver: "webhook",
        external_url: "http://127.0.0.1:8081",
        update: &update,
        alerts: &alerts,
    };
    message.body(style)
}

#[test]
fn a_webhook_gets_what_alertmanagers_version_4_has() {
    let mut body = body(Style::Json, &[None, Some("2026-01-01T00:00:30Z")]);
    let alerts = body["alerts"].take();
    assert_eq!(
        body,
        json!({
            "version": "4",
            "groupKey": "{}:{alertname=\"Slow <p95>\", instance=\"a:1\"}",
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "webhook",
            "groupLabels": {"alertname": "Slow <p95>", "instance": "a:1"},
            "commonLabels": {"alertname": "Slow <p95>", "instance": "a:1", "severity": "critical"},
            "commonAnnotations": {"summary": "It is slow & <!channel>", "description": "more",
                "runbook_url": "https://runbooks.example/Slow"},
            "externalURL": "http://127.0.0.1:8081",
            "alerts": null,
        })
    );
    assert_eq!(alerts[0]["status"], "firing");
    assert_eq!(alerts[0]["startsAt"], "2026-01-01T00:00:00.500Z");
    assert_eq!(alerts[0]["endsAt"], "0001-01-01T00:00:00Z");
    assert_eq!(alerts[0]["labels"]["n"], "0");
    assert_eq!(alerts[0]["fingerprint"].as_str().unwrap().len(), 16);
    assert_eq!(alerts[1]["status"], "resolved");
    assert_eq!(alerts[1]["endsAt"], "2026-01-01T00:00:30.000Z");
    let many = self::body(Style::Json, &[None; 103]);
    assert_eq!(many["truncatedAlerts"], 3);
    assert_eq!(many["alerts"].as_array().unwrap().len(), 100);
}

#[test]
fn slack_gets_a_text_and_one_attachment_an_alert_and_nothing_it_would_act_on() {
    let body = body(Style::Slack, &[None, Some("2026-01-01T00:00:30Z")]);
    assert_eq!(body["text"], "[FIRING:1] Slow &lt;p95&gt; a:1");
    let [firing, ended] = body["attachments"].as_array().unwrap().as_slice() else {
        panic!("{body}")
    };
    assert_eq!(firing["color"], "danger");
    assert_eq!(firing["title"], "It is slow &amp; &lt;!channel&gt;");
    assert_eq!(
        firing["text"],
        "more\nRunbook: https://runbooks.example/Slow\nsince 2026-01-01T00:00:00.500Z"
    );
    assert_eq!(firing["fields"][0]["value"], "critical");
    assert_eq!(ended["color"], "good");
    let resolved = self::body(Style::Slack, &[Some("2026-01-01T00:00:30Z")]);
    assert_eq!(resolved["text"], "[RESOLVED] Slow &lt;p95&gt; a:1");
    let many = self::body(Style::Slack, &[None; 30]);
    assert_eq!(many["attachments"].as_array().unwrap().len(), 10);
    assert_eq!(many["attachments"][9]["text"], "and 21 more");
    let ten = self::body(Style::Slack, &[None; 10]);
    assert_eq!(ten["attachments"].as_array().unwrap().len(), 10);
    assert_eq!(ten["attachments"][9]["color"], "danger");
}

#[test]
fn a_text_for_people_is_cut_where_it_gets_too_long() {
    let (mut alerts, update) = alerts(&[None]);
    let long = "x".repeat(5_000);
    alerts[0].annotations.insert("summary".to_owned(), long);
    let message = Message {
        receiver: "webhook",
        external_url: "",
        update: &update,
        alerts: &alerts,
    };
    let title = message.body(Style::Slack)["attachments"][0]["title"].take();
    assert_eq!(title.as_str().unwrap(), "x".repeat(1_000));
}
