//! The console on a real Prometheus and a real Alertmanager: an alert is raised, acknowledged and
//! silenced by keys, and other tools see it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::console_steering::audit;
use crate::support::TestServer;
use crate::terminal::Console;

use super::real::{self, Program};

/// Two rules: one fires from `at` (Unix seconds) on, the other stays pending for an hour.
fn rules(at: i64) -> String {
    format!(
        "groups:
- name: test
  rules:
  - {{alert: Holds, expr: vector(time()) > {at}, labels: {{severity: critical}}}}
  - {{alert: Comes, expr: vector(1), for: 1h, labels: {{severity: warning}}}}
"
    )
}

async fn prometheus(dir: &Path, alertmanager: &Program) -> Program {
    // Prometheus discovers Alertmanager every 5 s, and repeats a failed send only after a minute. So no alert may fire
    // before.
    let at = jiff::Timestamp::now().as_second() + 8;
    std::fs::write(dir.join("rules.yml"), rules(at)).unwrap();
    let alertmanager = alertmanager.url.trim_start_matches("http://");
    let config = format!(
        "global: {{evaluation_interval: 1s, external_labels: {{cluster: test}}}}\nrule_files: [rules.yml]\n\
         alerting:\n  alertmanagers:\n  - static_configs: [{{targets: ['{alertmanager}']}}]\n"
    );
    real::prometheus(dir, &config).await
}

/// The silences as `amtool` lists them.
fn amtool(url: &str) -> String {
    let url = format!("--alertmanager.url={url}");
    let output = Command::new("amtool")
        .args(["silence", "query", &url, "-o", "extended"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn amtool_until(url: &str, what: &str, seen: impl Fn(&str) -> bool) {
    let started = Instant::now();
    loop {
        let text = amtool(url);
        if seen(&text) {
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "never {what}:\n{text}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The line of the list with the alert `name`; empty if there is none.
fn line<'t>(text: &'t str, name: &str) -> &'t str {
    let lines = text.lines().take_while(|line| !line.contains("╭ Alert ─"));
    lines
        .skip(4)
        .find(|line| line.contains(name))
        .unwrap_or_default()
}

fn by_keys(mut console: Console, url: &str, home: &Path) {
    console.until("a firing and a pending alert", |text| {
        line(text, "Holds").contains("firing") && line(text, "Comes").contains("pending")
    });
    // The pending alert was chosen first, and stays chosen.
    console.press("k");
    console.see("✖ Holds  since");
    console.press("r");
    console.see("it comes back");
    console.press("n");
    console.press("apayments hang\r");
    console.until("it is raised", |text| {
        line(text, "OperatorAlert").contains("firing")
    });
    // It is one line below the critical alert.
    console.press("j");
    console.see("▲ OperatorAlert  since");
    console.press("A");
    console.see("Acknowledge OperatorAlert");
    console.press("\r");
    console.until("it is acknowledged", |text| {
        let line = line(text, "OperatorAlert");
        line.contains("acknowledged") && line.contains("by mona")
    });
    let seen = amtool(url);
    assert!(
        seen.contains("mona") && seen.contains("acknowledged in concertctl tui"),
        "{seen}"
    );
    for matcher in [
        "alertname=\"OperatorAlert\"",
        "severity=\"warning\"",
        "source=\"operator\"",
    ] {
        assert!(seen.contains(matcher), "{seen}");
    }
    // The acknowledged alert is still chosen: end its silence.
    console.press("U");
    console.see("End the silence?");
    console.press("y");
    console.until("the silence has ended", |text| {
        line(text, "OperatorAlert").contains("firing")
    });
    amtool_until(url, "ended", |text| !text.contains("mona"));
    console.press("kS");
    console.see("Silence Holds");
    console.press("being replaced\t\x151h\r");
    console.until("it is silenced", |text| {
        line(text, "Holds").contains("silenced") && line(text, "Holds").contains("by mona")
    });
    let seen = amtool(url);
    assert!(
        seen.contains("being replaced") && seen.contains("cluster=\"test\""),
        "{seen}"
    );
    console.press("q");
    let (status, _) = console.ended_with_the_terminal_restored();
    assert!(status.success(), "{status:?}");
    let written: Vec<String> = audit(home).into_iter().map(|(action, ..)| action).collect();
    assert_eq!(
        written,
        [
            "alert OperatorAlert raised",
            "alert OperatorAlert acknowledged by mona for 30 min",
            "silence of OperatorAlert by mona ended",
            "alert Holds silenced by mona for 1 h",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_that_is_acknowledged_in_the_console_is_silenced_in_a_real_alertmanager() {
    if real::missing(&["prometheus", "prometheus-alertmanager", "amtool"]) {
        return;
    }
    let (dir, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = "route: {receiver: none}\nreceivers:\n- name: none\n";
    let alertmanager = real::alertmanager(dir.path(), config).await;
    let prometheus = prometheus(dir.path(), &alertmanager).await;
    let server = TestServer::empty().await;
    let args = [
        "--data-dir",
        home.path().to_str().unwrap(),
        "--as",
        "mona",
        "--screen",
        "alerts",
        "--prometheus-url",
        &prometheus.url,
        "--alertmanager-url",
        &alertmanager.url,
    ];
    let console = Console::start_with(&server.ops_url, &server.ops_token, &args, (120, 40));
    let (url, home) = (alertmanager.url.clone(), home.path().to_owned());
    tokio::task::spawn_blocking(move || by_keys(console, &url, &home))
        .await
        .unwrap();
    server.stop().await;
}
