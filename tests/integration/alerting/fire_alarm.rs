//! `drill fire-alarm`: an alarm passes through the embedded stores, and through a real Prometheus and Alertmanager.
//! Each kind of break in the chain is reported at its hop.

use std::path::Path;

use concertctl::embedded::prometheus::labels::Labels;
use serde_json::{Value, json};

use super::listener::Listener;
use super::real::{self, Program};
use crate::promql_differential::remote_write;
use crate::support::eventually;
use crate::support::port::Port;
use crate::support::process::{Ended, ServerProcess, concertctl, finish};

const HOPS: [&str; 7] = [
    "raised",
    "scraped",
    "fires",
    "listed",
    "notified",
    "ends",
    "end_notified",
];

fn shipped_rules() -> String {
    format!(
        "['{}/otel/prometheus/alerts.yml']",
        env!("CARGO_MANIFEST_DIR")
    )
}

fn prometheus_config(rules: &str, target: &str, alertmanager: &str) -> String {
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let (target, alertmanager) = (address(target), address(alertmanager));
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\nrule_files: {rules}\n\
         scrape_configs:\n- job_name: concertctl\n  static_configs: [{{targets: ['{target}']}}]\n\
         alerting:\n  alertmanagers:\n  - static_configs: [{{targets: ['{alertmanager}']}}]\n"
    )
}

async fn alertmanager(dir: &Path, hook: &str) -> Program {
    let config = format!(
        "route: {{receiver: hook, group_by: [alertname], group_wait: 1s, group_interval: 2s}}\n\
         receivers:\n- name: hook\n  webhook_configs: [{{url: '{hook}', send_resolved: true}}]\n"
    );
    real::alertmanager(dir, &config).await
}

/// A running system of real programs.
struct System {
    dir: tempfile::TempDir,
    data: tempfile::TempDir,
    server: ServerProcess,
    prometheus: Program,
    alertmanager: Program,
}

impl System {
    async fn start(hook: &str) -> System {
        let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let server = ServerProcess::start(data.path(), &[]).await;
        let alertmanager = alertmanager(dir.path(), hook).await;
        let config = prometheus_config(&shipped_rules(), &server.ops_url, &alertmanager.url);
        let prometheus = real::prometheus(dir.path(), &config).await;
        eventually("the server is scraped", || async {
            let query = [("query", "concert_fault_active")];
            let answer = prometheus.get("/api/v1/query", &query).await;
            (!answer["data"]["result"].as_array()?.is_empty()).then_some(())
        })
        .await;
        System {
            dir,
            data,
            server,
            prometheus,
            alertmanager,
        }
    }

    async fn check(&self, more: &[&str]) -> Ended {
        let mut command = concertctl();
        command.args(["drill", "fire-alarm", "--target", &self.server.ops_url]);
        command.arg("--data-dir").arg(self.data.path());
        command.args(["--prometheus-url", &self.prometheus.url]);
        command.args(["--alertmanager-url", &self.alertmanager.url]);
        command.args(more);
        finish(command).await
    }

    /// Makes Prometheus load another configuration.
    async fn configure(&self, config: &str) {
        std::fs::write(self.dir.path().join("prometheus.yml"), config).unwrap();
        self.prometheus.reload().await;
    }

    async fn silence(&self) {
        let now = jiff::Timestamp::now();
        let silence = json!({
            "matchers": [{ "name": "drill", "value": "true", "isRegex": false, "isEqual": true }],
            "startsAt": now.to_string(), "endsAt": (now + std::time::Duration::from_secs(600)).to_string(),
            "createdBy": "a test", "comment": "quiet"
        });
        let url = format!("{}/api/v2/silences", self.alertmanager.url);
        let answer = crate::support::client()
            .post(url)
            .json(&silence)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success());
    }

    /// Waits until neither Prometheus nor Alertmanager has the alarm.
    async fn calm(&self) {
        // A busy machine may raise other alerts.
        let none = |alerts: &Value| {
            let mut alerts = alerts.as_array()?.iter();
            let is_alarm = |alert: &Value| alert["labels"]["alertname"] == "FireAlarm";
            (!alerts.any(is_alarm)).then_some(())
        };
        eventually("the alarm is over", || async {
            let answer = self.prometheus.get("/api/v1/alerts", &[]).await;
            none(&answer["data"]["alerts"])?;
            none(&self.alertmanager.get("/api/v2/alerts", &[]).await)
        })
        .await;
    }
}

/// The seconds of each hop. Asserts that every hop happened.
fn whole(ended: &Ended) -> Vec<f64> {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let hops: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    let names: Vec<&str> = hops
        .iter()
        .map(|hop| hop["hop"].as_str().unwrap())
        .collect();
    assert_eq!(names, HOPS);
    hops.iter()
        .map(|hop| hop["seconds"].as_f64().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_goes_through_the_embedded_chain_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = concertctl();
    command
        .args(["drill", "fire-alarm", "--embedded", "--json"])
        .env("TMPDIR", dir.path());
    let seconds = whole(&finish(command).await);
    println!("embedded: {seconds:?}");
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 0, "the server's data goes with the check");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_of_the_users_server_do_not_reach_the_embedded_one() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("settings.toml");
    // Nothing listens on port 1.
    std::fs::write(&config, "[serve]\nredis-url = \"redis://127.0.0.1:1\"\n").unwrap();
    let mut command = concertctl();
    command
        .args(["drill", "fire-alarm", "--embedded", "--json"])
        .env("TMPDIR", dir.path())
        .env("CONCERTCTL_CONFIG", &config)
        .env("CONCERTCTL_DATABASE_URL", "postgres://u:p@127.0.0.1:1/d");
    whole(&finish(command).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_goes_through_a_real_prometheus_and_alertmanager_to_a_receiver() {
    if real::missing(&["prometheus", "prometheus-alertmanager"]) {
        return;
    }
    let port = Port::claim();
    let receive = format!("127.0.0.1:{}", port.number());
    let system = System::start(&format!("http://{receive}")).await;
    let seconds = whole(&system.check(&["--receive", &receive, "--json"]).await);
    println!("Prometheus and Alertmanager: {seconds:?}");
    assert!(
        seconds[2] <= seconds[4],
        "the alert fires before it is sent: {seconds:?}"
    );
    let text = crate::support::client().get(format!("{}/metrics", system.server.ops_url));
    let text = text.send().await.unwrap().text().await.unwrap();
    assert!(
        text.contains("concert_fault_active{fault=\"fire_alarm\"} 0"),
        "the alarm was ended"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_receiver_here_alertmanager_says_what_it_delivered() {
    if real::missing(&["prometheus", "prometheus-alertmanager"]) {
        return;
    }
    let listener = Listener::start().await;
    let system = System::start(&listener.url).await;
    whole(&system.check(&["--json"]).await);
    let posts = listener.posts();
    let labels = &posts[0].body["alerts"][0]["labels"];
    assert_eq!(labels["drill"], "true", "{labels}");
    assert_eq!(labels["alertname"], "FireAlarm");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_hop_that_does_not_happen_is_named_with_what_to_look_at() {
    if real::missing(&["prometheus", "prometheus-alertmanager"]) {
        return;
    }
    let listener = Listener::start().await;
    let system = System::start(&listener.url).await;
    let broken = async |words: &[&str]| {
        let ended = system.check(&["--within", "4s"]).await;
        assert_eq!(ended.code, Some(99), "{ended:?}");
        for word in words {
            assert!(ended.stdout.contains(word), "{word}: {ended:?}");
        }
        system.calm().await;
    };
    let (target, alertmanager) = (&system.server.ops_url, &system.alertmanager.url);
    system.silence().await;
    broken(&[
        "✗ the receiver is notified",
        "A silence holds the alarm back",
    ])
    .await;
    // Port 9 discards.
    system
        .configure(&prometheus_config(
            &shipped_rules(),
            target,
            "http://127.0.0.1:9",
        ))
        .await;
    broken(&[
        "✗ Alertmanager lists the alert",
        "`alerting:` in prometheus.yml",
    ])
    .await;
    system
        .configure(&prometheus_config("[]", target, alertmanager))
        .await;
    broken(&["✗ the rule fires", "no rule FireAlarm", "alerts.yml"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sample_of_an_earlier_alarm_does_not_count_as_scraped() {
    if real::missing(&["prometheus", "prometheus-alertmanager"]) {
        return;
    }
    let listener = Listener::start().await;
    let system = System::start(&listener.url).await;
    // Without scrapes the sample of an earlier alarm stays.
    system.configure("scrape_configs: []\n").await;
    let write = async |value| {
        let labels = [
            ("__name__", "concert_fault_active"),
            ("fault", "fire_alarm"),
            ("instance", "earlier"),
        ];
        let labels = Labels::from_pairs(labels);
        let sample = (jiff::Timestamp::now().as_millisecond(), value);
        remote_write(&system.prometheus.url, &[(labels, vec![sample])]).await;
    };
    write(1.0).await;
    let ended = system.check(&["--within", "2s"]).await;
    ended.failed_with(1, &["still has the sample of an earlier fire alarm"]);
    write(0.0).await;
    let ended = system.check(&["--within", "2s"]).await;
    assert_eq!(ended.code, Some(99), "{ended:?}");
    let missed = "✗ Prometheus has the metric";
    assert!(ended.stdout.contains(missed), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_cannot_be_made_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &[]).await;
    let check = async |more: &[&str]| {
        let mut command = concertctl();
        command
            .args(["drill", "fire-alarm", "--target", &server.ops_url])
            .args(more);
        command.env_remove("CONCERTCTL_OPS_TOKEN");
        finish(command).await
    };
    let other = tempfile::tempdir().unwrap();
    let other = other.path().to_str().unwrap();
    let ended = check(&["--data-dir", other]).await;
    ended.failed_with(1, &["does not raise the alarm"]);
    let ended = check(&["--data-dir", other, "--receive", "192.0.2.1:1"]).await;
    ended.failed_with(1, &["--receive 192.0.2.1:1"]);
}
