//! Notifications by a listener that answers well, badly, late or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use concertctl::alerting::{Address, NotifyConfig, Style, Timing, Webhook, spawn_notifications};
use concertctl::embedded::alertmanager::{AlertConfig, AlertStore, PostableAlert};
use concertctl::secret::Secret;
use concertctl::telemetry::Metrics;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::listener::{Answer, Listener};
use crate::support::{TestServer, eventually};

/// An alert store and who is told of it, with short times.
pub(super) struct World {
    store: Arc<AlertStore>,
    metrics: Metrics,
    stop: CancellationToken,
}

impl Drop for World {
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

impl World {
    pub(super) fn telling(
        webhooks: &[(&str, &Listener, Style)],
        alertmanager: Option<&Listener>,
    ) -> World {
        World::with(QUICK, webhooks, alertmanager)
    }

    pub(super) fn with(
        timing: Timing,
        webhooks: &[(&str, &Listener, Style)],
        alertmanager: Option<&Listener>,
    ) -> World {
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
        World {
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

/// Long enough for several messages, if there were any.
async fn several_intervals(listener: &Listener, world: &World) {
    // Another alert passes through the same queue after whatever there was for the first.
    let before = listener.count();
    for name in ["Probe1", "Probe2", "Probe3"] {
        world.fire(name);
        listener
            .until("the probe is told", is(name, "firing"))
            .await;
    }
    assert_eq!(listener.count(), before + 3, "{:?}", listener.posts());
}

#[tokio::test]
async fn an_alert_is_told_once_and_so_is_its_end() {
    let listener = Listener::start().await;
    let world = World::telling(&[("webhook", &listener, Style::Json)], None);
    world.fire("A");
    let post = listener.until("it is told", is("A", "firing")).await;
    assert_eq!(post.path, "/hook/s3cret");
    assert_eq!(post.body["version"], "4");
    several_intervals(&listener, &world).await;
    // Sent again, as a rule evaluator does: nothing has changed.
    world.fire("A");
    several_intervals_again(&listener, &world).await;
    world.resolve("A");
    let post = listener.until("its end is told", is("A", "resolved")).await;
    assert_eq!(post.body["alerts"][0]["status"], "resolved");
    let of_a = |posts: Vec<super::listener::Post>| {
        let a = posts
            .iter()
            .filter(|p| p.body["groupLabels"]["alertname"] == "A");
        a.count()
    };
    world.fire("Last");
    listener
        .until("the last is told", is("Last", "firing"))
        .await;
    assert_eq!(of_a(listener.posts()), 2);
    assert_eq!(
        world.counted("webhook", "delivered"),
        listener.count() as u64
    );
}

async fn several_intervals_again(listener: &Listener, world: &World) {
    let before = listener.count();
    for name in ["Probe4", "Probe5"] {
        world.fire(name);
        listener
            .until("the probe is told", is(name, "firing"))
            .await;
    }
    assert_eq!(listener.count(), before + 2, "{:?}", listener.posts());
}

#[tokio::test]
async fn a_webhook_that_fails_twice_gets_exactly_one_notice() {
    let listener =
        Listener::answering(|before| Answer::status(if before < 2 { 500 } else { 200 })).await;
    let world = World::telling(&[("webhook", &listener, Style::Json)], None);
    world.fire("A");
    eventually("it is delivered", || async {
        (world.counted("webhook", "delivered") == 1).then_some(())
    })
    .await;
    assert_eq!(
        (listener.count(), world.counted("webhook", "retried")),
        (3, 2)
    );
    several_intervals(&listener, &world).await;
    world.resolve("A");
    listener.until("its end is told", is("A", "resolved")).await;
    assert_eq!(world.counted("webhook", "failed"), 0);
}

#[tokio::test]
async fn a_receiver_that_is_busy_is_left_alone_for_as_long_as_it_says() {
    let listener = Listener::answering(|before| match before {
        0 => Answer::retry_after(429, "1"),
        _ => Answer::status(200),
    })
    .await;
    let world = World::telling(&[("webhook", &listener, Style::Json)], None);
    world.fire("A");
    eventually("it is told", || async {
        (listener.count() == 2).then_some(())
    })
    .await;
    let posts = listener.posts();
    let pause = posts[1].at.duration_since(posts[0].at);
    assert!(pause >= Duration::from_secs(1), "{pause:?}");
}

#[tokio::test]
async fn what_is_refused_is_given_up_and_not_sent_again_until_it_changes() {
    let listener = Listener::answering(|_| Answer::status(400)).await;
    let world = World::telling(&[("webhook", &listener, Style::Json)], None);
    world.fire("A");
    eventually("it is refused", || async {
        (world.counted("webhook", "failed") == 1).then_some(())
    })
    .await;
    several_intervals(&listener, &world).await;
    world.resolve("A");
    listener
        .until("its end is tried", is("A", "resolved"))
        .await;
}

#[tokio::test]
async fn one_that_hangs_is_bounded_and_holds_up_no_other() {
    let hanging = Listener::answering(|_| Answer::After(Duration::from_secs(600))).await;
    let well = Listener::start().await;
    let webhooks = [
        ("hangs", &hanging, Style::Json),
        ("well", &well, Style::Slack),
    ];
    let world = World::telling(&webhooks, None);
    let began = Instant::now();
    world.fire("A");
    let told = |body: &Value| body["text"] == "[FIRING:1] A";
    let post = well.until("the other is told", told).await;
    assert!(post.at.duration_since(began) < Duration::from_secs(5));
    eventually("attempts are cut and made again", || async {
        (world.counted("hangs", "retried") >= 2).then_some(())
    })
    .await;
    world.resolve("A");
    let told = |body: &Value| body["text"] == "[RESOLVED] A";
    well.until("the end is told", told).await;
    assert_eq!(well.count(), 2);
    assert_eq!(world.counted("hangs", "delivered"), 0);
}

#[tokio::test]
async fn what_cannot_be_delivered_for_too_long_is_given_up() {
    let timing = Timing {
        give_up: Duration::from_millis(300),
        ..QUICK
    };
    let listener = Listener::answering(|_| Answer::status(503)).await;
    let world = World::with(timing, &[("webhook", &listener, Style::Json)], None);
    world.fire("A");
    eventually("it is given up", || async {
        (world.counted("webhook", "failed") == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_silenced_alert_is_not_told() {
    let listener = Listener::start().await;
    let world = World::telling(&[("webhook", &listener, Style::Json)], None);
    world.silence("A");
    world.fire("A");
    several_intervals(&listener, &world).await;
    world.resolve("A");
    several_intervals_again(&listener, &world).await;
}

#[tokio::test]
async fn what_does_not_change_is_told_again_after_the_repeat_interval() {
    let timing = Timing {
        repeat_interval: Duration::from_millis(500),
        ..QUICK
    };
    let listener = Listener::start().await;
    let world = World::with(timing, &[("webhook", &listener, Style::Json)], None);
    world.fire("A");
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
async fn another_alertmanager_gets_every_alert_also_after_it_was_away() {
    let listener =
        Listener::answering(|before| Answer::status(if before < 2 { 503 } else { 200 })).await;
    let world = World::telling(&[], Some(&listener));
    world.silence("A");
    world.fire("A");
    world.fire("B");
    eventually("both are taken", || async {
        (world.counted("alertmanager", "delivered") >= 1).then_some(())
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
    // Silences are the other's own matter, as they are when Prometheus sends.
    assert_eq!(names(&last.body), ["A", "B"]);
    world.resolve("B");
    let ended = |body: &Value| {
        let end = body[0]["endsAt"]
            .as_str()
            .map(|end| end.parse::<Timestamp>().unwrap());
        names(body) == ["B"] && end.is_some_and(|end| end <= Timestamp::now())
    };
    listener.until("the end is told", ended).await;
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
        // None: no other alert than this one.
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
    listener.until("it is told", is("ByHand", "firing")).await;
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
    assert_eq!(times, 1, "a failing receiver is told of once: {text}");
    assert_eq!(counted(&metrics().await, "webhook", "delivered"), 1);
    server.stop().await;
}
