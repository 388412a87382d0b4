//! The embedded Alertmanager over TCP has the shapes and rules of Alertmanager's API.

use std::sync::Arc;
use std::time::{Duration, Instant};

use concertctl::embedded::alertmanager::{AlertConfig, AlertStore, read_routes, write_routes};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

struct Server {
    base: String,
    client: Client,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(config: AlertConfig) -> Server {
        let store = Arc::new(AlertStore::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = read_routes(Arc::clone(&store)).merge(write_routes(store));
        let task = tokio::spawn(async move {
            axum::serve(listener, app).await.unwrap();
        });
        Server {
            base: format!("http://{address}/api/v2"),
            client: concertctl::http_client::builder()
                .timeout(Duration::from_secs(30))
                .build()
                .unwrap(),
            task,
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let mut request = self.client.request(method, format!("{}/{path}", self.base));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(Method::POST, path, Some(body)).await
    }

    async fn raise(&self, alerts: Value) {
        let (status, body) = self.post("alerts", &alerts).await;
        assert_eq!(status, 200, "{body}");
    }

    async fn alerts(&self, query: &str) -> Vec<Value> {
        let (status, body) = self
            .send(Method::GET, &format!("alerts{query}"), None)
            .await;
        assert_eq!(status, 200, "{body}");
        body.as_array().unwrap().clone()
    }

    async fn names(&self, query: &str) -> Vec<String> {
        let alerts = self.alerts(query).await;
        let mut names: Vec<_> = alerts
            .iter()
            .map(|a| a["labels"]["alertname"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }
}

/// The message of a refusal, in either shape.
fn reason_of(body: &Value) -> &str {
    let text = body.as_str().or_else(|| body["message"].as_str());
    text.unwrap_or_else(|| panic!("no refusal: {body}"))
}

fn in_seconds(seconds: i64) -> String {
    let span = jiff::SignedDuration::from_secs(seconds);
    jiff::Timestamp::now()
        .checked_add(span)
        .unwrap()
        .to_string()
}

#[tokio::test]
async fn an_alert_is_listed_in_alertmanagers_shape() {
    let server = Server::start(AlertConfig::default()).await;
    assert_eq!(server.alerts("").await, Vec::<Value>::new());
    server
        .raise(json!([{
            "labels": {"name": "garland, briggs", "fear": "love is not enough", "empty": ""},
            "annotations": {"summary": "raised by hand"},
            "startsAt": "2026-01-02T03:04:05.678901Z",
            "endsAt": "2099-01-01T00:00:00+01:00",
            "generatorURL": "http://localhost/x",
        }]))
        .await;
    let alerts = server.alerts("").await;
    assert_eq!(alerts.len(), 1);
    let mut alert = alerts[0].clone();
    let updated: jiff::Timestamp = alert["updatedAt"].take().as_str().unwrap().parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(updated).as_secs() < 60);
    assert_eq!(
        alert,
        json!({
            "annotations": {"summary": "raised by hand"},
            "endsAt": "2098-12-31T23:00:00.000Z",
            // 5799056148416392346 in decimal, as the Prometheus libraries compute it.
            "fingerprint": "507a62d79ee76c9a",
            "receivers": [{"name": "embedded"}],
            "startsAt": "2026-01-02T03:04:05.678Z",
            "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"},
            "updatedAt": null,
            "generatorURL": "http://localhost/x",
            "labels": {"fear": "love is not enough", "name": "garland, briggs"},
        })
    );
}

#[tokio::test]
async fn an_alert_not_sent_again_resolves_and_one_sent_with_an_end_stays() {
    let config = AlertConfig {
        resolve_timeout: Duration::from_millis(300),
        ..AlertConfig::default()
    };
    let server = Server::start(config).await;
    server.raise(json!([
        {"labels": {"alertname": "short"}},
        {"labels": {"alertname": "zero"}, "startsAt": "0001-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00.000Z"},
        {"labels": {"alertname": "long"}, "endsAt": in_seconds(3600), "startsAt": in_seconds(0)},
    ]))
    .await;
    assert_eq!(server.names("").await, ["long", "short", "zero"]);
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.names("").await != ["long"] {
        assert!(Instant::now() < deadline, "{:?}", server.names("").await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn sending_an_alert_again_keeps_its_beginning_and_an_end_in_the_past_resolves_it() {
    let server = Server::start(AlertConfig::default()).await;
    let labels = json!({"alertname": "HighErrorRate", "severity": "critical"});
    server
        .raise(json!([{"labels": labels, "startsAt": in_seconds(-100)}]))
        .await;
    let first = server.alerts("").await[0].clone();
    server
        .raise(json!([{"labels": labels, "annotations": {"value": "2"}}]))
        .await;
    let second = server.alerts("").await[0].clone();
    assert_eq!(second["startsAt"], first["startsAt"]);
    assert_eq!(second["annotations"]["value"], "2");
    server
        .raise(json!([{"labels": labels, "endsAt": in_seconds(-1)}]))
        .await;
    assert_eq!(server.alerts("").await.len(), 0);
    // Sent again, it is a new alert.
    server.raise(json!([{"labels": labels}])).await;
    assert_ne!(server.alerts("").await[0]["startsAt"], first["startsAt"]);
}

#[tokio::test]
async fn filters_select_by_label_and_state() {
    let server = Server::start(AlertConfig::default()).await;
    server
        .raise(json!([
            {"labels": {"alertname": "A", "severity": "critical"}},
            {"labels": {"alertname": "B", "severity": "warning"}},
            {"labels": {"alertname": "C"}},
        ]))
        .await;
    let (status, body) = server
        .post("silences", &json!({
            "matchers": [{"name": "alertname", "value": "B", "isRegex": false}],
            "startsAt": in_seconds(-10), "endsAt": in_seconds(3600), "createdBy": "me", "comment": "known",
        }))
        .await;
    assert_eq!(status, 200, "{body}");
    for (query, expected) in [
        ("?filter=severity%3D%22critical%22", vec!["A"]),
        ("?filter=severity%3D~%22crit.*%7Cwarning%22", vec!["A", "B"]),
        ("?filter=severity%3D~%22crit%22", vec![]),
        ("?filter=severity!%3Dcritical", vec!["B", "C"]),
        ("?filter=severity%3D%22%22", vec!["C"]),
        (
            "?filter=severity!%3D%22%22&filter=alertname!~%22A%22",
            vec!["B"],
        ),
        ("?silenced=false", vec!["A", "C"]),
        ("?active=false", vec!["B"]),
        ("?active=false&silenced=false", vec![]),
        ("?inhibited=false&unprocessed=false", vec!["A", "B", "C"]),
        ("?inhibited=maybe", vec!["A", "B", "C"]),
        ("?silenced=TRUE&active=T", vec!["A", "B", "C"]),
        ("?silenced=Yes", vec!["A", "B", "C"]),
        ("?silenced=on", vec!["A", "B", "C"]),
        ("?silenced=maybe", vec!["A", "C"]),
        ("?silenced=okay", vec!["A", "C"]),
        ("?silenced=true&silenced=f", vec!["A", "C"]),
        ("?silenced=false&silenced=", vec!["A", "B", "C"]),
        ("/?silenced=false", vec!["A", "C"]),
        ("?receiver=embed.*", vec!["A", "B", "C"]),
        ("?receiver=embed", vec![]),
    ] {
        assert_eq!(server.names(query).await, expected, "{query}");
    }
    for (query, reason) in [
        ("?filter=nonsense", "bad matcher format: nonsense"),
        (
            "?filter=a%3D~%22(%22",
            "invalid regular expression `(`: unclosed group",
        ),
        (
            "?receiver=(",
            "failed to parse receiver param: invalid regular expression",
        ),
    ] {
        let (status, body) = server
            .send(Method::GET, &format!("alerts{query}"), None)
            .await;
        assert_eq!(status, 400, "{query}");
        assert!(reason_of(&body).starts_with(reason), "{query}: {body}");
    }
}

#[tokio::test]
async fn a_silence_suppresses_alerts_until_it_ends() {
    let server = Server::start(AlertConfig::default()).await;
    server
        .raise(json!([{"labels": {"alertname": "QueueStalled", "team": "core"}}]))
        .await;
    let ends_at = in_seconds(3600);
    let mut silence = json!({
        "matchers": [
            {"name": "alertname", "value": "Queue.*", "isRegex": true},
            {"name": "team", "value": "other", "isRegex": false, "isEqual": false},
        ],
        "startsAt": in_seconds(-10), "endsAt": ends_at, "createdBy": "me", "comment": "looking",
    });
    let (status, body) = server.post("silences", &silence).await;
    assert_eq!(status, 200, "{body}");
    let id = body["silenceID"].as_str().unwrap().to_owned();
    let status = server.alerts("").await[0]["status"].clone();
    assert_eq!(
        (&status["state"], &status["silencedBy"]),
        (&json!("suppressed"), &json!([id]))
    );

    let (_, listed) = server
        .send(Method::GET, &format!("silence/{id}"), None)
        .await;
    assert_eq!(listed["status"], json!({"state": "active"}));
    assert_eq!(
        listed["matchers"][1],
        json!({"isEqual": false, "isRegex": false, "name": "team", "value": "other"})
    );
    assert_eq!(
        (&listed["createdBy"], &listed["comment"]),
        (&json!("me"), &json!("looking"))
    );

    // Prolonging a silence keeps its id. Other matchers make a new silence and end the old one.
    silence["id"] = json!(id);
    silence["startsAt"] = listed["startsAt"].clone();
    let (status, body) = server.post("silences", &silence).await;
    assert_eq!((status.as_u16(), &body["silenceID"]), (200, &json!(id)));
    silence["matchers"] = json!([{"name": "alertname", "value": "Other", "isRegex": false}]);
    let (_, body) = server.post("silences", &silence).await;
    let other = body["silenceID"].as_str().unwrap().to_owned();
    assert_ne!(other, id);
    assert_eq!(server.alerts("").await[0]["status"]["state"], "active");
    let (_, all) = server.send(Method::GET, "silences", None).await;
    let states: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|s| {
            (
                s["id"].as_str().unwrap(),
                s["status"]["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        states,
        [(other.as_str(), "active"), (id.as_str(), "expired")]
    );
    let (_, filtered) = server
        .send(Method::GET, "silences?filter=alertname%3DOther", None)
        .await;
    assert_eq!(filtered.as_array().unwrap().len(), 1);

    assert_eq!(
        server
            .send(Method::DELETE, &format!("silence/{other}"), None)
            .await
            .0,
        200
    );
    let (status, body) = server
        .send(Method::DELETE, &format!("silence/{other}"), None)
        .await;
    assert_eq!(
        (status.as_u16(), body),
        (200, Value::Null),
        "ending it twice succeeds"
    );
    let unknown = "00000000-0000-4000-8000-000000000000";
    assert_eq!(
        server
            .send(Method::DELETE, &format!("silence/{unknown}"), None)
            .await
            .0,
        404
    );
    assert_eq!(
        server
            .send(Method::GET, &format!("silence/{unknown}"), None)
            .await
            .0,
        404
    );
    assert_eq!(server.send(Method::DELETE, "silence/x", None).await.0, 422);
}

#[tokio::test]
async fn an_invalid_alert_or_silence_is_refused_with_the_reason() {
    let server = Server::start(AlertConfig {
        max_pairs: 3,
        max_text_bytes: 100,
        ..AlertConfig::default()
    })
    .await;
    let labels = json!({"alertname": "A"});
    let long = "x".repeat(101);
    for (alert, reason) in [
        (json!({"labels": {}}), "at least one label pair required"),
        (
            json!({"labels": {"alertname": ""}}),
            "at least one label pair required",
        ),
        (
            json!({"labels": {"a b": "c"}}),
            "invalid label set: invalid name \"a b\"",
        ),
        (
            json!({"labels": {"a": "1", "b": "1", "c": "1", "d": "1"}}),
            "more than 3 labels",
        ),
        (
            json!({"labels": {"a": long}}),
            "a label is longer than 100 bytes",
        ),
        (
            json!({"labels": labels, "annotations": {"a": long}}),
            "an annotation is longer than 100 bytes",
        ),
        (
            json!({"labels": labels, "startsAt": in_seconds(10), "endsAt": in_seconds(5)}),
            "start time must be before end time",
        ),
        (
            json!({"labels": labels, "startsAt": "yesterday"}),
            "parsing alerts body failed, because at line 1, column 52: [0].startsAt: \"yesterday\" is not an RFC 3339 time",
        ),
        (json!({"annotations": {}}), "0.labels in body is required"),
        (json!({"labels": null}), "0.labels in body is required"),
        (
            json!({"labels": labels, "generatorURL": "x"}),
            "0.generatorURL in body must be of type uri: \"x\"",
        ),
        (
            json!({"labels": {"a": 1}}),
            "parsing alerts body failed, because at line 1, column 17: [0].labels.a: `1` is not a text",
        ),
    ] {
        let (status, body) = server.post("alerts", &json!([alert])).await;
        let expected = if reason.contains(" in body ") {
            422
        } else {
            400
        };
        assert_eq!(status, expected, "{alert}");
        assert!(reason_of(&body).starts_with(reason), "{alert}: {body}");
    }
    // The valid alerts of a request are accepted.
    let (status, _) = server
        .post(
            "alerts",
            &json!([{"labels": {}}, {"labels": {"alertname": "taken"}}]),
        )
        .await;
    assert_eq!(status, 400);
    assert_eq!(server.names("").await, ["taken"]);

    let silence = |field: &str, value: Value| {
        let mut silence = json!({
            "matchers": [{"name": "a", "value": "b", "isRegex": false}],
            "startsAt": in_seconds(0), "endsAt": in_seconds(60), "createdBy": "me", "comment": "why",
        });
        silence[field] = value;
        silence
    };
    for (silence, status, reason) in [
        (
            silence("endsAt", json!(in_seconds(-60))),
            400,
            "Failed to create silence: start time must be before end time",
        ),
        (
            silence("matchers", json!([])),
            422,
            "matchers in body should have at least 1 items",
        ),
        (
            silence(
                "matchers",
                json!([{"name": "a", "value": ".*", "isRegex": true}]),
            ),
            400,
            "invalid silence: at least one matcher must not match the empty string",
        ),
        (
            silence(
                "matchers",
                json!([{"name": "a", "value": "(", "isRegex": true}]),
            ),
            400,
            "invalid silence: invalid regular expression",
        ),
        (
            silence(
                "matchers",
                json!([{"name": "a-b", "value": "c", "isRegex": false}]),
            ),
            400,
            "invalid silence: invalid label name",
        ),
        (
            silence("comment", json!(null)),
            422,
            "comment in body is required",
        ),
        (
            silence("startsAt", json!(null)),
            422,
            "startsAt in body is required",
        ),
        (
            silence("matchers", json!(null)),
            422,
            "matchers in body is required",
        ),
        (
            silence(
                "matchers",
                json!([{"name": "a", "value": null, "isRegex": false}]),
            ),
            422,
            "matchers.0.value in body is required",
        ),
        (
            silence("matchers", json!([{"name": "a"}])),
            422,
            "matchers.0.isRegex in body is required",
        ),
        (
            silence("endsAt", json!("")),
            400,
            "Failed to create silence: start time must be before end time",
        ),
        (json!({}), 422, "comment in body is required"),
        (Value::Null, 422, "comment in body is required"),
        (silence("id", json!("nothere")), 404, "silence not found"),
    ] {
        let (got, body) = server.post("silences", &silence).await;
        assert_eq!(got, status, "{silence}: {body}");
        assert!(reason_of(&body).starts_with(reason), "{silence}: {body}");
    }
    for (path, body) in [
        ("alerts", Value::Null),
        ("alerts/", json!([])),
        ("silences", silence("startsAt", json!(""))),
        ("silences/", silence("id", Value::Null)),
    ] {
        let (status, answer) = server.post(path, &body).await;
        assert_eq!(status, 200, "{path} {body}: {answer}");
    }
    let huge = format!("[{}]", " ".repeat(2 << 20));
    let response = server
        .client
        .post(format!("{}/alerts", server.base))
        .header("content-type", "application/json")
        .body(huge)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 413);
}

#[tokio::test]
async fn too_many_filters_are_refused() {
    let server = Server::start(AlertConfig::default()).await;
    let with = |filters: usize| format!("alerts?{}", vec!["filter=a%3Db"; filters].join("&"));
    let (status, _) = server.send(Method::GET, &with(64), None).await;
    assert_eq!(status, 200);
    let (status, body) = server.send(Method::GET, &with(65), None).await;
    assert_eq!(
        (status.as_u16(), body),
        (400, json!("more than 64 filters"))
    );
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_as_json() {
    let server = Server::start(AlertConfig::default()).await;
    let large = json!([{"labels": {"alertname": "a", "text": "x".repeat(1 << 20)}}]);
    let (status, body) = server.post("alerts", &large).await;
    assert_eq!(status, 413);
    let text = reason_of(&body);
    assert!(text.contains("larger than 1048576 bytes"), "{text}");
    let wordy: Value = (0..30)
        .map(|n| (format!("text{n}"), json!("x".repeat(1_000))))
        .collect();
    let (status, body) = server
        .post(
            "alerts",
            &json!([
                {"labels": {"alertname": "wordy"}, "annotations": wordy},
                {"labels": {"alertname": "short"}},
            ]),
        )
        .await;
    assert_eq!(status, 400);
    assert!(reason_of(&body).contains("limit: 16384"), "{body}");
    assert_eq!(server.names("").await, ["short"]);
}

#[tokio::test]
async fn alerts_and_silences_are_bounded() {
    let server = Server::start(AlertConfig {
        max_alerts: 2,
        max_silences: 2,
        ..AlertConfig::default()
    })
    .await;
    let alert = |name: &str| json!({"labels": {"alertname": name}});
    let (status, body) = server
        .post("alerts", &json!([alert("a"), alert("b"), alert("c")]))
        .await;
    assert_eq!(
        (status.as_u16(), body),
        (400, json!("too many alerts are firing (limit: 2)"))
    );
    assert_eq!(server.names("").await, ["a", "b"]);
    // A resolved alert makes room; an alert that is known already needs none.
    server
        .raise(json!([{"labels": {"alertname": "a"}, "endsAt": in_seconds(-1)}]))
        .await;
    server.raise(json!([alert("b"), alert("c")])).await;
    assert_eq!(server.names("").await, ["b", "c"]);

    let silence = json!({
        "matchers": [{"name": "a", "value": "b", "isRegex": false}],
        "startsAt": in_seconds(0), "endsAt": in_seconds(60), "createdBy": "me", "comment": "why",
    });
    let (_, first) = server.post("silences", &silence).await;
    assert_eq!(server.post("silences", &silence).await.0, 200);
    let (status, body) = server.post("silences", &silence).await;
    assert_eq!(
        (status.as_u16(), body),
        (
            400,
            json!("exceeded maximum number of silences: 2 (limit: 2)")
        )
    );
    let id = first["silenceID"].as_str().unwrap();
    assert_eq!(
        server
            .send(Method::DELETE, &format!("silence/{id}"), None)
            .await
            .0,
        200
    );
    assert_eq!(server.post("silences", &silence).await.0, 200);
}

#[tokio::test]
async fn reading_and_writing_are_separate_routers() {
    let store = Arc::new(AlertStore::new(AlertConfig::default()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        axum::serve(listener, read_routes(store)).await.unwrap();
    });
    let client = crate::support::client();
    let base = format!("http://{address}/api/v2");
    assert_eq!(
        client
            .get(format!("{base}/alerts"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(
        client
            .post(format!("{base}/alerts"))
            .body("[]")
            .send()
            .await
            .unwrap()
            .status(),
        405
    );
    let status: Value = client
        .get(format!("{base}/status"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        status["cluster"],
        json!({"peers": [], "status": "disabled"})
    );
    assert!(
        status["versionInfo"]["version"]
            .as_str()
            .unwrap()
            .starts_with("concertctl "),
        "{status}"
    );
    task.abort();
}
