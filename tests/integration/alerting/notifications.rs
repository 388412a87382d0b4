//! Notifications to a listener that accepts them, refuses them, answers late or never answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use concertctl::alerting::{Address, NotifyConfig, Style, Timing, Webhook, spawn_notifications};
use concertctl::embedded::alertmanager::{AlertConfig, AlertStore, PostableAlert};
use concertctl::secret::Secret;
use concertctl::telemetry::Metrics;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::listener::{Answer, Listener};
use crate::support::{TestServer, eventually};

/// An alert store that notifies receivers, with short intervals.
pub(super) struct Notifier {
    store: Arc<AlertStore>,
    metrics: Metrics,
    stop: CancellationToken,
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(super) const QUICK: Timing = Timing {
    group_wait: Duration::from_millis(50),
    group_interval: Duration::from_millis(100),
    repeat_interval: Duration::from_secs(3600),
    attempt: Duration::from_millis(300),
    least_pause: Duration::from_millis(40),
    most_pause: Duration::from_secs(5),
    give_up: Duration::from_secs(60),
};

impl Notifier {
    pub(super) fn notifying(
        webhooks: &[(&str, &Listener, Style)],
        alertmanager: Option<&Listener>,
    ) -> Notifier {
        Notifier::with(QUICK, webhooks, alertmanager)
    }

    pub(super) fn with(
        timing: Timing,
        webhooks: &[(&str, &Listener, Style)],
        alertmanager: Option<&Listener>,
    ) -> Notifier {
        let store = Arc::new(AlertStore::new(AlertConfig::default()));
        let metrics = Metrics::new().unwrap();
        let stop = CancellationToken::new();
        let address = |listener: &Listener| Address::parse(&listener.url).unwrap();
        let webhooks = webhooks.iter().map(|(name, listener, style)| Webhook {
            name: (*name).to_owned(),
            address: address(listener).join("hook/s3cret"),
            style: *style,
        });
        let config = NotifyConfig {
            webhooks: webhooks.collect(),
            alertmanager: alertmanager.map(address),
            external_url: "http://ops".to_owned(),
            timing,
        };
        spawn_notifications(config, Arc::clone(&store), &metrics, &stop).unwrap();
        Notifier {
            store,
            metrics,
            stop,
        }
    }

    fn put(&self, name: &str, ends_in: i64) {
        let now = Timestamp::now();
        let ends_at = now.checked_add(SignedDuration::from_secs(ends_in)).unwrap();
        let alert = PostableAlert {
            labels: BTreeMap::from([("alertname".to_owned(), name.to_owned())]),
            starts_at: Some(now.checked_sub(SignedDuration::from_secs(1)).unwrap()),
            ends_at: Some(ends_at),
            ..PostableAlert::default()
        };
        self.store.put(vec![alert], now).unwrap();
    }

    pub(super) fn fire(&self, name: &str) {
        self.put(name, 3600);
    }

    pub(super) fn resolve(&self, name: &str) {
        self.put(name, 0);
    }

    fn silence(&self, name: &str) {
        let now = Timestamp::now();
        let ends = now.checked_add(SignedDuration::from_secs(600)).unwrap();
        let silence = serde_json::from_value(json!({
            "matchers": [{"name": "alertname", "value": name, "isRegex": false}],
            "startsAt": now.to_string(), "endsAt": ends.to_string(),
            "createdBy": "test", "comment": "known",
        }));
        self.store.silence(silence.unwrap(), now).unwrap();
    }

    pub(super) fn counted(&self, receiver: &str, outcome: &str) -> u64 {
        counted(&self.metrics.render(), receiver, outcome)
    }
}

pub(super) fn counted(metrics: &str, receiver: &str, outcome: &str) -> u64 {
    let name =
        format!("concert_notifications_total{{outcome=\"{outcome}\",receiver=\"{receiver}\"}} ");
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(&name));
    value
        .unwrap_or_else(|| panic!("no {name}"))
        .parse()
        .unwrap()
}

pub(super) fn is(name: &'static str, status: &'static str) -> impl Fn(&Value) -> bool {
    move |body| body["groupLabels"]["alertname"] == name && body["status"] == status
}

/// Waits through several notification intervals. Fails if the listener receives anything but the probes.
async fn several_intervals(listener: &Listener, notifier: &Notifier) {
    // A probe passes through the same queue, so it arrives after any message about an earlier alert.
    let before = listener.count();
    for name in ["Probe1", "Probe2", "Probe3"] {
        notifier.fire(name);
        listener
            .until("the probe is sent", is(name, "firing"))
            .await;
    }
    assert_eq!(listener.count(), before + 3, "{:?}", listener.posts());
}

#[tokio::test]
async fn an_alert_and_its_end_are_each_sent_once() {
    let listener = Listener::start().await;
    let notifier = Notifier::notifying(&[("webhook", &listener, Style::Json)], None);
    notifier.fire("A");
    let post = listener.until("the alert is sent", is("A", "firing")).await;
    assert_eq!(post.path, "/hook/s3cret");
    assert_eq!(post.body["version"], "4");
    several_intervals(&listener, &notifier).await;
    // A rule evaluator sends an unchanged alert again and again.
    notifier.fire("A");
    several_intervals_again(&listener, &notifier).await;
    notifier.resolve("A");
    let post = listener
        .until("the end of the alert is sent", is("A", "resolved"))
        .await;
    assert_eq!(post.body["alerts"][0]["status"], "resolved");
    let of_a = |posts: Vec<super::listener::Post>| {
        let a = posts
            .iter()
            .filter(|p| p.body["groupLabels"]["alertname"] == "A");
        a.count()
    };
    notifier.fire("Last");
    listener
        .until("the last alert is sent", is("Last", "firing"))
        .await;
    assert_eq!(of_a(listener.posts()), 2);
    assert_eq!(
        notifier.counted("webhook", "delivered"),
        listener.count() as u64
    );
}

async fn several_intervals_again(listener: &Listener, notifier: &Notifier) {
    let before = listener.count();
    for name in ["Probe4", "Probe5"] {
        notifier.fire(name);
        listener
            .until("the probe is sent", is(name, "firing"))
            .await;
    }
    assert_eq!(listener.count(), before + 2, "{:?}", listener.posts());
}

#[tokio::test]
async fn a_webhook_that_fails_twice_gets_exactly_one_notice() {
    let listener =
        Listener::answering(|before| Answer::status(if before < 2 { 500 } else { 200 })).await;
    let notifier = Notifier::notifying(&[("webhook", &listener, Style::Json)], None);
    notifier.fire("A");
    eventually("it is delivered", || async {
        (notifier.counted("webhook", "delivered") == 1).then_some(())
    })
    .await;
    assert_eq!(
        (listener.count(), notifier.counted("webhook", "retried")),
        (3, 2)
    );
    several_intervals(&listener, &notifier).await;
    notifier.resolve("A");
    listener
        .until("the end of the alert is sent", is("A", "resolved"))
        .await;
    assert_eq!(notifier.counted("webhook", "failed"), 0);
}

#[tokio::test]
async fn a_busy_receiver_is_retried_after_the_pause_that_it_asks_for() {
    let listener = Listener::answering(|before| match before {
        0 => Answer::retry_after(429, "1"),
        _ => Answer::status(200),
    })
    .await;
    let notifier = Notifier::notifying(&[("webhook", &listener, Style::Json)], None);
    notifier.fire("A");
    eventually("the alert is sent", || async {
        (listener.count() == 2).then_some(())
    })
    .await;
    let posts = listener.posts();
    let pause = posts[1].at.duration_since(posts[0].at);
    assert!(pause >= Duration::from_secs(1), "{pause:?}");
}

#[tokio::test]
async fn a_refused_message_is_given_up_and_not_sent_again_until_the_alert_changes() {
    let listener = Listener::answering(|_| Answer::status(400)).await;
    let notifier = Notifier::notifying(&[("webhook", &listener, Style::Json)], None);
    notifier.fire("A");
    eventually("it is refused", || async {
        (notifier.counted("webhook", "failed") == 1).then_some(())
    })
    .await;
    several_intervals(&listener, &notifier).await;
    notifier.resolve("A");
    listener
        .until("the end of the alert is tried", is("A", "resolved"))
        .await;
}

#[tokio::test]
async fn a_hanging_receiver_is_cut_off_and_delays_no_other() {
    let hanging = Listener::answering(|_| Answer::After(Duration::from_secs(600))).await;
    let well = Listener::start().await;
    let webhooks = [
        ("hangs", &hanging, Style::Json),
        ("well", &well, Style::Slack),
    ];
    let notifier = Notifier::notifying(&webhooks, None);
    notifier.fire("A");
    let notified = |body: &Value| body["text"] == "[FIRING:1] A";
    let post = well.until("the other receiver is notified", notified).await;
    eventually("attempts are cut and made again", || async {
        (notifier.counted("hangs", "retried") >= 2).then_some(())
    })
    .await;
    let attempts = hanging.posts();
    assert!(post.at < attempts[1].at, "one waited for the other");
    notifier.resolve("A");
    let notified = |body: &Value| body["text"] == "[RESOLVED] A";
    well.until("the end of the alert is sent", notified).await;
    assert_eq!(well.count(), 2);
    assert_eq!(notifier.counted("hangs", "delivered"), 0);
}

#[tokio::test]
async fn a_message_that_cannot_be_delivered_is_given_up_in_time() {
    let timing = Timing {
        give_up: Duration::from_millis(300),
        ..QUICK
    };
    let listener = Listener::answering(|_| Answer::status(503)).await;
    let notifier = Notifier::with(timing, &[("webhook", &listener, Style::Json)], None);
    notifier.fire("A");
    eventually("it is given up", || async {
        (notifier.counted("webhook", "failed") == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_silenced_alert_is_not_sent() {
    let listener = Listener::start().await;
    let notifier = Notifier::notifying(&[("webhook", &listener, Style::Json)], None);
    notifier.silence("A");
    notifier.fire("A");
    several_intervals(&listener, &notifier).await;
    notifier.resolve("A");
    several_intervals_again(&listener, &notifier).await;
}

#[tokio::test]
async fn an_unchanged_alert_is_sent_again_after_the_repeat_interval() {
    let timing = Timing {
        repeat_interval: Duration::from_millis(500),
        ..QUICK
    };
    let listener = Listener::start().await;
    let notifier = Notifier::with(timing, &[("webhook", &listener, Style::Json)], None);
    notifier.fire("A");
    eventually("it is repeated", || async {
        (listener.count() >= 3).then_some(())
    })
    .await;
    let posts = listener.posts();
    for pair in posts.windows(2) {
        let pause = pair[1].at.duration_since(pair[0].at);
        assert!(pause >= Duration::from_millis(400), "{pause:?}");
    }
}

#[tokio::test]
async fn an_external_alertmanager_gets_every_alert_even_after_an_outage() {
    let listener =
        Listener::answering(|before| Answer::status(if before < 2 { 503 } else { 200 })).await;
    let notifier = Notifier::notifying(&[], Some(&listener));
    notifier.silence("A");
    notifier.fire("A");
    notifier.fire("B");
    eventually("both are taken", || async {
        (notifier.counted("alertmanager", "delivered") >= 1).then_some(())
    })
    .await;
    let last = listener.posts().pop().unwrap();
    assert_eq!(last.path, "/api/v2/alerts");
    let names = |body: &Value| -> Vec<String> {
        let alerts = body.as_array().unwrap().iter();
        let mut names: Vec<_> = alerts
            .map(|a| a["labels"]["alertname"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    // The other Alertmanager applies its own silences, as for alerts that Prometheus sends.
    assert_eq!(names(&last.body), ["A", "B"]);
    notifier.resolve("B");
    let ended = |body: &Value| {
        let end = body[0]["endsAt"]
            .as_str()
            .map(|end| end.parse::<Timestamp>().unwrap());
        names(body) == ["B"] && end.is_some_and(|end| end <= Timestamp::now())
    };
    listener.until("the end of the alert is sent", ended).await;
}

#[tokio::test]
async fn an_alert_raised_by_hand_notifies_and_no_secret_is_logged_or_shown() {
    let listener = Listener::start().await;
    let dead = {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}/services/hunter2", socket.local_addr().unwrap())
    };
    let secret = |url: &str| url.parse::<Secret>().unwrap();
    let rules = tempfile::NamedTempFile::new().unwrap();
    let server = TestServer::with(|settings| {
        // An empty rule file, so that no other alert fires.
        settings.alerting.rules = vec![rules.path().to_owned()];
        settings.alerting.webhooks = vec![secret(&format!("{}/hunter2", listener.url))];
        settings.alerting.slack_webhooks = vec![secret(&dead)];
        settings.alerting.timing = QUICK;
        assert!(!format!("{settings:?}").contains("hunter2"), "{settings:?}");
    })
    .await;
    let client = crate::support::client();
    let raised = client
        .post(format!("{}/api/v2/alerts", server.ops_url))
        .bearer_auth(&server.ops_token)
        .json(&json!([{"labels": {"alertname": "ByHand"}}]))
        .send();
    assert_eq!(raised.await.unwrap().status(), 200);
    listener
        .until("the alert is sent", is("ByHand", "firing"))
        .await;
    let logged = eventually("the failure is logged", || async {
        let url = format!(
            "{}/loki/api/v1/query_range?query=%7Blevel%3D~%22warn%22%7D",
            server.ops_url
        );
        let asked = client.get(url).bearer_auth(&server.ops_token);
        let text = asked.send().await.unwrap().text().await.unwrap();
        text.contains("notifications do not get through")
            .then_some(text)
    })
    .await;
    assert!(!logged.contains("hunter2"), "{logged}");
    let metrics = || async {
        let url = format!("{}/metrics", server.ops_url);
        client.get(url).send().await.unwrap().text().await.unwrap()
    };
    eventually("attempts go on", || async {
        (counted(&metrics().await, "slack", "retried") >= 3).then_some(())
    })
    .await;
    let url = format!(
        "{}/loki/api/v1/query_range?query=%7Blevel%3D~%22warn%22%7D%20%7C%3D%20%22slack%22",
        server.ops_url
    );
    let asked = client.get(url).bearer_auth(&server.ops_token);
    let text = asked.send().await.unwrap().text().await.unwrap();
    let times = text.matches("notifications do not get through").count();
    assert_eq!(times, 1, "a failing receiver is logged once: {text}");
    assert_eq!(counted(&metrics().await, "webhook", "delivered"), 1);
    server.stop().await;
}
