//! Compares the embedded Alertmanager with the real one: `amtool` and other clients get the same answers from both.

use std::path::Path;

use regex::Regex;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::real::{self, Program, missing};
use crate::support::{TestServer, eventually};

const CONFIG: &str = "global:\n  resolve_timeout: 5m\nroute:\n  receiver: embedded\n  group_by: [alertname, instance]\n\
                      receivers:\n- name: embedded\n";

/// The embedded Alertmanager and the real one.
struct Both {
    server: TestServer,
    real: Program,
    dir: tempfile::TempDir,
    client: Client,
}

/// The outcome of a command. Ids and times are replaced in the output, because they differ from run to run.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    success: bool,
    stdout: String,
}

impl Both {
    async fn start() -> Both {
        let dir = tempfile::tempdir().unwrap();
        let real = real::alertmanager(dir.path(), CONFIG).await;
        let server = TestServer::empty().await;
        let access = format!(
            "authorization:\n  credentials_file: {}\n",
            server.dir.path().join("ops-token").display()
        );
        std::fs::write(dir.path().join("http.yml"), access).unwrap();
        let client = crate::support::client();
        Both {
            server,
            real,
            dir,
            client,
        }
    }

    /// Runs `amtool` against the embedded Alertmanager and against the real one.
    fn amtool(&self, args: [&[&str]; 2]) -> [(bool, String); 2] {
        let access = self.dir.path().join("http.yml").display().to_string();
        let ours = format!("--http.config.file={access}");
        [
            run(
                &self.server.ops_url,
                &[&[ours.as_str()], args[0]].concat(),
                self.dir.path(),
            ),
            run(&self.real.url, args[1], self.dir.path()),
        ]
    }

    /// Runs the same command against both, asserts the same outcome, and returns both outputs.
    fn alike(&self, args: &[&str]) -> [String; 2] {
        self.alike_with(args, [&[], &[]])
    }

    /// The same, with further arguments for each of the two.
    fn alike_with(&self, args: &[&str], own: [&[&str]; 2]) -> [String; 2] {
        let all = own.map(|own| [args, own].concat());
        let [ours, theirs] = self.amtool([&all[0], &all[1]]);
        let outcome = |(success, stdout): &(bool, String)| Ended {
            success: *success,
            stdout: anonymous(stdout),
        };
        assert_eq!(outcome(&ours), outcome(&theirs), "amtool {args:?}");
        [ours.1, theirs.1]
    }

    /// Waits until both list `count` alerts, because the real one lists a new alert after a moment.
    async fn until_listed(&self, count: usize) {
        for base in [&self.server.ops_url, &self.real.url] {
            eventually("the alerts are listed", || async {
                let listed = self.client.get(format!("{base}/api/v2/alerts"));
                let listed: Vec<Value> = listed.send().await.unwrap().json().await.unwrap();
                (listed.len() == count).then_some(())
            })
            .await;
        }
    }

    /// Sends the same request to both. Returns status, content type and body of each answer.
    async fn ask(
        &self,
        method: &Method,
        path: &str,
        kind: &str,
        body: &str,
    ) -> [(u16, String, String); 2] {
        let mut answers = Vec::new();
        for base in [&self.server.ops_url, &self.real.url] {
            let mut request = self
                .client
                .request(method.clone(), format!("{base}{path}"))
                .bearer_auth(&self.server.ops_token);
            if !kind.is_empty() {
                request = request.header("content-type", kind).body(body.to_owned());
            }
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let kind = answer.headers().get("content-type");
            let kind = kind.map_or("", |kind| kind.to_str().unwrap()).to_owned();
            answers.push((status, kind, answer.text().await.unwrap()));
        }
        answers.try_into().unwrap()
    }
}

fn run(url: &str, args: &[&str], dir: &Path) -> (bool, String) {
    let output = std::process::Command::new("amtool")
        .arg(format!("--alertmanager.url={url}"))
        .args(args)
        .current_dir(dir)
        // Hides the `amtool` configuration of the user who runs the test.
        .env("HOME", dir)
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    (output.status.success(), stdout)
}

/// Replaces ids and times by fixed words.
fn anonymous(text: &str) -> String {
    let ids = Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap();
    let times = Regex::new(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC)").unwrap();
    let text = ids.replace_all(text, "ID");
    times.replace_all(&text, "TIME").into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amtool_adds_and_queries_alerts_as_with_the_real_alertmanager() {
    if missing(&["amtool", "prometheus-alertmanager"]) {
        return;
    }
    let both = Both::start().await;
    both.alike(&["alert", "query"]);
    both.alike(&[
        "alert",
        "add",
        "alertname=ByHand",
        "severity=page",
        "--annotation=summary=drill",
    ]);
    both.alike(&[
        "alert",
        "add",
        "alertname=Ends",
        "--end=2099-01-01T00:00:00Z",
        "--start=2026-01-01T00:00:00Z",
    ]);
    both.alike(&[
        "alert",
        "add",
        "alertname=Over",
        "--start=2020-01-01T00:00:00Z",
        "--end=2020-01-02T00:00:00Z",
    ]);
    both.until_listed(2).await;
    for query in [
        &["alert", "query"][..],
        &["alert", "query", "-o", "extended"],
        &["alert", "query", "-o", "json", "alertname=ByHand"],
        &["alert", "query", "severity=~pa.*"],
        &["alert", "query", "severity!=page"],
        &["alert", "query", "Ends"],
        &["alert", "query", "alertname=Nothing"],
        &[
            "alert",
            "query",
            "--silenced",
            "--active",
            "--receiver=embedded",
        ],
        &["alert", "query", "--receiver=other"],
        &["alert", "query", "--inhibited"],
        &["alert", "add", "a-b=c"],
        &["config", "routes"],
        &["config", "routes", "test", "alertname=ByHand"],
        &["cluster", "show"],
    ] {
        both.alike(query);
    }
    let [ours, _] = both.alike(&["alert", "query", "ByHand"]);
    assert!(ours.contains("drill"), "{ours}");
    both.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amtool_makes_changes_ends_and_imports_silences_as_with_the_real_alertmanager() {
    if missing(&["amtool", "prometheus-alertmanager"]) {
        return;
    }
    let both = Both::start().await;
    both.alike(&["alert", "add", "alertname=Loud", "instance=a"]);
    both.until_listed(1).await;
    let silence = [
        "silence",
        "add",
        "--author=me",
        "--comment=drill",
        "alertname=Loud",
        "instance=~a|b",
    ];
    let ids = both.alike(&silence).map(|id| id.trim().to_owned());
    let own = [&[ids[0].as_str()][..], &[ids[1].as_str()]];
    let listed = [
        &["silence", "query"][..],
        &["silence", "query", "-q"],
        &["silence", "query", "-o", "extended"],
        &["silence", "query", "alertname=Loud"],
        &["silence", "query", "alertname=Other"],
        &["silence", "query", "--created-by=me"],
        &["silence", "query", "--within=2h"],
    ];
    for query in listed {
        both.alike(query);
    }
    both.alike(&["alert", "query", "--silenced"]);
    both.alike_with(
        &["silence", "update", "--duration=3h", "--comment=longer"],
        own,
    );
    both.alike_with(&["silence", "query", "-o", "json"], [&[], &[]]);
    both.alike_with(&["silence", "expire"], own);
    // Expiring a silence twice is not an error.
    both.alike_with(&["silence", "expire"], own);
    both.alike(&["silence", "query", "--expired"]);
    both.alike(&["alert", "query"]);
    // An expired silence is not changed: an update makes a new one.
    both.alike_with(&["silence", "update", "--duration=3h"], own);
    let exported = both.alike(&["silence", "query", "-o", "json"]);
    std::fs::write(both.dir.path().join("silences.json"), &exported[0]).unwrap();
    both.alike(&["silence", "import", "--force", "silences.json"]);
    both.alike(&["silence", "query", "-q"]);
    for refused in [
        &["silence", "expire", "00000000-0000-4000-8000-000000000000"][..],
        &["silence", "expire", "x"],
        &[
            "silence",
            "add",
            "--author=me",
            "--comment=c",
            "--start=2020-01-01T00:00:00Z",
            "--end=2021-01-01T00:00:00Z",
            "a=b",
        ],
        &["silence", "add", "--author=me", "--comment=c", "a=~.*"],
    ] {
        both.alike(refused);
    }
    both.server.stop().await;
}

/// Requests that Alertmanager refuses: method, path, content type, body.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    ("POST", "/api/v2/alerts", "application/json", "nonsense"),
    ("POST", "/api/v2/alerts", "application/json", "{}"),
    (
        "POST",
        "/api/v2/alerts",
        "application/json",
        "[{\"annotations\":{}}]",
    ),
    (
        "POST",
        "/api/v2/alerts",
        "application/json",
        "[{\"labels\":{\"a\":1}}]",
    ),
    (
        "POST",
        "/api/v2/alerts",
        "application/json",
        "[{\"labels\":{}}]",
    ),
    (
        "POST",
        "/api/v2/alerts",
        "application/json",
        "[{\"labels\":{\"a b\":\"c\"}}]",
    ),
    (
        "POST",
        "/api/v2/alerts",
        "application/json",
        "[{\"labels\":{\"a\":\"b\"},\"startsAt\":\"yesterday\"}]",
    ),
    (
        "POST",
        "/api/v2/alerts",
        "application/json",
        "[{\"labels\":{\"a\":\"b\"},\"startsAt\":\"2026-01-02T00:00:00Z\",\"endsAt\":\"2026-01-01T00:00:00Z\"}]",
    ),
    ("POST", "/api/v2/alerts", "text/plain", "[]"),
    (
        "POST",
        "/api/v2/alerts",
        "application/x-www-form-urlencoded",
        "a=b",
    ),
    ("GET", "/api/v2/alerts?filter=nonsense", "", ""),
    ("GET", "/api/v2/alerts?filter=a%3D~%22(%22", "", ""),
    ("GET", "/api/v2/alerts?receiver=(", "", ""),
    ("GET", "/api/v2/alerts/groups?filter=nonsense", "", ""),
    ("GET", "/api/v2/silence/x", "", ""),
    ("DELETE", "/api/v2/silence/x", "", ""),
    ("PUT", "/api/v2/alerts", "", ""),
    ("POST", "/api/v2/silences", "application/json", "{}"),
    (
        "POST",
        "/api/v2/silences",
        "application/json",
        "{\"matchers\":[],\"startsAt\":\"2026-01-01T00:00:00Z\",\"endsAt\":\"2099-01-01T00:00:00Z\",\"createdBy\":\"a\",\"comment\":\"b\"}",
    ),
    (
        "POST",
        "/api/v2/silences",
        "application/json",
        "{\"matchers\":[{\"name\":\"a\",\"value\":\"b\",\"isRegex\":false}],\"endsAt\":\"2099-01-01T00:00:00Z\",\"createdBy\":\"a\",\"comment\":\"b\"}",
    ),
    (
        "POST",
        "/api/v2/silences",
        "application/json",
        "{\"id\":\"nothere\",\"matchers\":[{\"name\":\"a\",\"value\":\"b\",\"isRegex\":false}],\"startsAt\":\"2026-01-01T00:00:00Z\",\
       \"endsAt\":\"2099-01-01T00:00:00Z\",\"createdBy\":\"a\",\"comment\":\"b\"}",
    ),
];

/// The shape of a refusal: a plain text, or an object with code and message.
fn shape(body: &str) -> Value {
    match serde_json::from_str(body) {
        Ok(Value::String(_)) => json!("text"),
        Ok(Value::Object(body)) => {
            json!({"code": body["code"], "message": body["message"].is_string()})
        }
        other => panic!("{other:?}: {body}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_have_the_status_type_and_shape_of_the_real_alertmanager() {
    if missing(&["prometheus-alertmanager"]) {
        return;
    }
    let both = Both::start().await;
    for (method, path, kind, body) in REFUSED {
        let method = method.parse().unwrap();
        let [ours, theirs] = both.ask(&method, path, kind, body).await;
        let seen =
            |(status, kind, body): &(u16, String, String)| (*status, kind.clone(), shape(body));
        assert_eq!(
            seen(&ours),
            seen(&theirs),
            "{method} {path} {body}: {ours:?} {theirs:?}"
        );
    }
    both.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_are_read_and_alerts_are_grouped_as_by_the_real_alertmanager() {
    if missing(&["prometheus-alertmanager"]) {
        return;
    }
    let both = Both::start().await;
    let zero = "0001-01-01T00:00:00.000Z";
    let alerts = json!([
        {"labels": {"alertname": "A", "instance": "2"}, "startsAt": zero, "endsAt": zero},
        {"labels": {"alertname": "A", "instance": "1", "job": "z"}, "startsAt": null, "endsAt": null},
        {"labels": {"alertname": "A", "instance": "1", "x": "y"}, "startsAt": "2026-01-01T00:00:00"},
        {"labels": {"alertname": "B"}, "startsAt": "2025-12-31T23:00:00.5Z", "endsAt": "2099-01-01T00:00:00Z"},
        {"labels": {"alertname": "Over"}, "endsAt": "2026-01-01T00:00:00Z"},
    ]);
    let sent = both
        .ask(
            &Method::POST,
            "/api/v2/alerts",
            "application/json",
            &alerts.to_string(),
        )
        .await;
    assert_eq!(sent.map(|answer| answer.0), [200, 200]);
    both.until_listed(4).await;
    for path in [
        "/api/v2/alerts",
        "/api/v2/alerts/groups",
        "/api/v2/alerts/groups?filter=alertname%3DB",
        "/api/v2/receivers",
    ] {
        let [ours, theirs] = both.ask(&Method::GET, path, "", "").await;
        let seen = |(status, kind, body): &(u16, String, String)| {
            (*status, kind.clone(), comparable(body))
        };
        assert_eq!(seen(&ours), seen(&theirs), "{path}");
    }
    for path in ["/-/healthy", "/-/ready"] {
        let [ours, theirs] = both.ask(&Method::GET, path, "", "").await;
        assert_eq!(ours, theirs, "{path}");
    }
    // The embedded one starts an alert without `startsAt` now. The real one takes its `endsAt` as its start.
    let ends = json!([{"labels": {"alertname": "Ends"}, "endsAt": "2099-01-01T00:00:00Z"}]);
    both.ask(
        &Method::POST,
        "/api/v2/alerts",
        "application/json",
        &ends.to_string(),
    )
    .await;
    let [ours, _] = both
        .ask(
            &Method::GET,
            "/api/v2/alerts?filter=alertname%3DEnds",
            "",
            "",
        )
        .await;
    let listed: Value = serde_json::from_str(&ours.2).unwrap();
    let begins: jiff::Timestamp = listed[0]["startsAt"].as_str().unwrap().parse().unwrap();
    assert!(begins <= jiff::Timestamp::now(), "{listed}");
    both.server.stop().await;
}

/// Replaces the times of this run in a list and sorts its alerts by their labels.
fn comparable(body: &str) -> Value {
    let mut body: Value = serde_json::from_str(&anonymous_since(body)).unwrap();
    let listed = body.as_array_mut().unwrap();
    for alert in listed.iter_mut() {
        // Only later versions of Alertmanager have this field.
        if let Some(status) = alert.get_mut("status") {
            status.as_object_mut().unwrap().remove("mutedBy");
        }
        for alert in alert
            .get_mut("alerts")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            alert["status"].as_object_mut().unwrap().remove("mutedBy");
        }
    }
    if listed.iter().all(|one| one.get("alerts").is_none()) {
        listed.sort_by_key(|alert| alert["labels"].to_string());
    }
    body
}

/// Replaces the times of this run by a word. The times that the test sent are in other years and stay.
fn anonymous_since(text: &str) -> String {
    let times = Regex::new(r#""(\d{4})-[^"]*T[^"]*Z""#).unwrap();
    let sent = ["2026-01-01", "2025-12-31", "2099-"];
    let word = |found: &regex::Captures<'_>| {
        let whole = &found[0];
        let was_sent = sent.iter().any(|sent| whole[1..].starts_with(sent));
        if was_sent {
            whole.to_owned()
        } else {
            "\"TIME\"".to_owned()
        }
    };
    times.replace_all(text, word).into_owned()
}

#[tokio::test]
async fn a_client_of_alertmanager_is_refused_in_json_without_the_token() {
    let server = TestServer::empty().await;
    let client = crate::support::client();
    let post = client
        .post(format!("{}/api/v2/alerts", server.ops_url))
        .json(&json!([]));
    let answer = post.send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert!(answer.headers().contains_key("www-authenticate"));
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["code"], 401, "{body}");
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains("operations token"),
        "{body}"
    );
    // The routes of the trace store are unchanged by this.
    let other = client
        .get(format!("{}/api/v2/traces/a1", server.ops_url))
        .send()
        .await
        .unwrap();
    assert_eq!(other.headers()["content-type"], "application/problem+json");
    server.stop().await;
}
