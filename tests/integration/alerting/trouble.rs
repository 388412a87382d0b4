//! Receivers that are unreachable for a time or redirect, and rules that cannot be evaluated: which messages are sent,
//! and that the log reports each problem once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::response::IntoResponse as _;
use concertctl::alerting::{Style, Timing};
use concertctl::api::ops::Fault;
use concertctl::secret::Secret;
use parking_lot::Mutex;
use serde_json::json;

use super::listener::{Answer, Listener};
use super::notifications::{Notifier, QUICK, is};
use crate::support::{TestServer, User, eventually};

#[tokio::test]
async fn a_redirect_by_a_receiver_is_not_followed() {
    let elsewhere = Listener::start().await;
    let location = elsewhere.url.clone();
    let listener = Listener::answering(move |_| {
        let status = axum::http::StatusCode::TEMPORARY_REDIRECT;
        Answer::Now((status, [("location", location.clone())]).into_response())
    })
    .await;
    let notifier = Notifier::notifying(&[("webhook", &listener, Style::Json)], None);
    notifier.fire("A");
    eventually("it is given up", || async {
        (notifier.counted("webhook", "failed") == 1).then_some(())
    })
    .await;
    assert_eq!((listener.count(), elsewhere.count()), (1, 0));
}

/// If the pauses were not reset, their doubling would add up to minutes.
#[tokio::test]
async fn pauses_are_reset_after_a_delivered_message() {
    let timing = Timing {
        most_pause: Duration::from_secs(600),
        ..QUICK
    };
    let every_other = |before: usize| Answer::status([503, 200][before % 2]);
    let listener = Listener::answering(every_other).await;
    let notifier = Notifier::with(timing, &[("webhook", &listener, Style::Json)], None);
    for n in 1..=13 {
        notifier.fire(&format!("A{n}"));
        eventually("it is delivered", || async {
            (notifier.counted("webhook", "delivered") == n).then_some(())
        })
        .await;
    }
    assert_eq!(notifier.counted("webhook", "retried"), 13);
}

#[tokio::test]
async fn a_failed_message_is_retried_before_the_next_group_interval() {
    let timing = Timing {
        group_interval: Duration::from_secs(3600),
        ..QUICK
    };
    let status = |before: usize| Answer::status(if before < 2 { 503 } else { 200 });
    let listener = Listener::answering(status).await;
    let notifier = Notifier::with(timing, &[("webhook", &listener, Style::Json)], None);
    notifier.fire("A");
    eventually("it is delivered", || async {
        (notifier.counted("webhook", "delivered") == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_alert_that_fired_and_resolved_while_its_receiver_was_unreachable_is_not_sent() {
    let well = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&well);
    let status = move |_| match is_well.load(Ordering::Relaxed) {
        true => Answer::status(200),
        false => Answer::status(503),
    };
    let listener = Listener::answering(status).await;
    let notifier = Notifier::notifying(&[("webhook", &listener, Style::Json)], None);
    notifier.fire("A");
    listener.until("A is tried", is("A", "firing")).await;
    notifier.resolve("A");
    notifier.fire("B");
    // The message about B waits behind the one about A until the message about A is obsolete.
    listener.until("B is tried", is("B", "firing")).await;
    well.store(true, Ordering::Relaxed);
    eventually("B is sent", || async {
        (notifier.counted("webhook", "delivered") == 1).then_some(())
    })
    .await;
    let resolved = |posts: Vec<super::listener::Post>| {
        let mut posts = posts.iter();
        posts.any(|post| post.body["status"] == "resolved")
    };
    assert!(!resolved(listener.posts()), "{:?}", listener.posts());
}

/// A server with these rules that notifies `listener`.
async fn serve(rules: &str, listener: &Listener) -> TestServer {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rules).unwrap();
    let url: Secret = listener.url.parse().unwrap();
    TestServer::with(|settings| {
        settings.alerting.rules = vec![file.path().to_owned()];
        settings.alerting.webhooks = vec![url];
        settings.alerting.timing = QUICK;
        settings.alerting.evaluation_interval = Duration::from_millis(50);
    })
    .await
}

/// The number of log lines that contain `words`. First waits until the store has every line logged so far.
async fn times_logged(server: &TestServer, words: &str) -> usize {
    let last = Fault::Errors {
        share: 0.0,
        status: 500,
        routes: None,
    };
    let length = Duration::from_secs(1);
    let injected = server.ops.inject_fault(&last, length, None);
    injected.await.unwrap();
    let url = format!("{}/loki/api/v1/query_range", server.ops_url);
    let query = r#"{service_name="concertctl-api"}"#;
    let client = crate::support::client();
    let text = eventually("the last line is there", || async {
        let asked = client
            .get(&url)
            .bearer_auth(&server.ops_token)
            .query(&[("query", query), ("limit", "5000")]);
        let text = asked.send().await.unwrap().text().await.unwrap();
        text.contains("a fault is injected").then_some(text)
    })
    .await;
    text.matches(words).count()
}

#[tokio::test]
async fn the_recovery_of_a_receiver_is_logged_once() {
    let status = |before: usize| Answer::status(if before < 2 { 503 } else { 200 });
    let listener = Listener::answering(status).await;
    let server = serve("groups: []\n", &listener).await;
    for name in ["A", "B", "C"] {
        let raised = crate::support::client()
            .post(format!("{}/api/v2/alerts", server.ops_url))
            .bearer_auth(&server.ops_token)
            .json(&json!([{"labels": {"alertname": name}}]));
        assert_eq!(raised.send().await.unwrap().status(), 200);
        eventually("the alert is sent", || async {
            let posts = listener.posts();
            let mut delivered = posts.iter().skip(2);
            delivered
                .any(|post| post.body["groupLabels"]["alertname"] == name)
                .then_some(())
        })
        .await;
    }
    eventually("the last answer is taken", || async {
        let text = User::new(&server.ops_url, 0).get("/metrics").await.text;
        let three = r#"concert_notifications_total{outcome="delivered",receiver="webhook"} 3"#;
        text.contains(three).then_some(())
    })
    .await;
    let away = times_logged(&server, "notifications do not get through").await;
    let again = times_logged(&server, "notifications get through again").await;
    assert_eq!((away, again), (1, 1));
    server.stop().await;
}

#[tokio::test]
async fn a_rule_that_cannot_be_evaluated_is_logged_once_and_not_each_time() {
    let rules =
        "groups:\n- name: g\n  limit: 1\n  rules:\n  - record: r\n    expr: concert_fault_active\n";
    let server = serve(rules, &Listener::start().await).await;
    let evaluations = Mutex::new(BTreeSet::new());
    eventually("it has failed several times", || async {
        let answer = User::new(&server.ops_url, 0).get("/api/v1/rules").await;
        let rule = answer.json()["data"]["groups"][0]["rules"][0].clone();
        let mut evaluations = evaluations.lock();
        if rule["health"] == "err" {
            evaluations.insert(rule["lastEvaluation"].to_string());
        }
        (evaluations.len() >= 5).then_some(())
    })
    .await;
    assert_eq!(times_logged(&server, "a rule cannot be evaluated").await, 1);
    server.stop().await;
}
