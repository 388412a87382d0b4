//! A drill on a running system: a server on PostgreSQL and Redis, a real Prometheus with the shipped
//! rules, a real Alertmanager that posts to the drill.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::end_to_end::prometheus;
use super::real::{self, Program};
use crate::support::backend::{Parts, PostgresRedis};
use crate::support::port::Port;
use crate::support::process::{ServerProcess, concertctl};

/// A drill that stops the real Redis and continues it.
fn drill_file(redis: &[rustix::process::Pid]) -> String {
    let ids: Vec<String> = redis
        .iter()
        .map(|pid| pid.as_raw_nonzero().to_string())
        .collect();
    let ids = ids.join(" ");
    format!(
        "title: Redis stands still\nload: onsale-short\n\
         set: {{ admission.batch: 10, admission.every: 1s, limits.duration: 3m, generator.lag_p99: 60s }}\n\
         hypothesis: {{ buying.p95: 2s, buying.error_rate: 0.001, for: 2s }}\n\
         injects:\n  - at: 1s\n    fault: {{ kind: command, run: 'kill -STOP {ids}', undo: 'kill -CONT {ids}', for: 12s }}\n\
         \x20   cause: {{ component: redis, mechanism: frozen }}\n\
         \x20   expect:\n      fires: {{ RedisUnreachable: 12s }}\n      notified: 10s\n      resolved: 60s\n\
         may_fire: [HighErrorRate, QueueErrors, SlowBuying, ErrorBudgetBurnFast, ErrorBudgetBurnSlow, SeatLockFailures, QueueStalled, SlowStatements, ConnectionWaitHigh, ServerDown, HostCpuBusy, HostLoadHigh]\n"
    )
}

fn run(dir: &Path, server: &ServerProcess, sources: [&Program; 2], notified_at: &Port) -> Command {
    let mut command = concertctl();
    let token = dir.join("token");
    std::fs::write(&token, &server.ops_token).unwrap();
    command
        .current_dir(dir)
        .args(["drill", "drill.yaml", "--allow-commands", "--reseed"]);
    command.args(["--report", "report.json", "--target", &server.api]);
    command.args(["--ops-url", &server.ops_url]);
    command.args(["--ops-token-file", "token"]);
    command.args(["--prometheus-url", &sources[0].url]);
    command.args(["--alertmanager-url", &sources[1].url]);
    command.args(["--notified-at", &notified_at.addr().to_string()]);
    command
}

/// The SHA-256 of the rules that Prometheus lists: group, name, expression, `for` and labels of each, sorted.
async fn identity_of(prometheus: &Program) -> String {
    let answer = prometheus.get("/api/v1/rules", &[]).await;
    let mut rules = Vec::new();
    for group in answer["data"]["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            let labels = match &rule["labels"] {
                Value::Null => json!({}),
                labels => labels.clone(),
            };
            let for_seconds = rule["duration"].as_f64().unwrap_or_default();
            let fields = json!([
                group["name"],
                rule["name"],
                rule["query"],
                for_seconds,
                labels
            ]);
            rules.push(fields.to_string());
        }
    }
    assert!(rules.len() > 20, "{answer}");
    rules.sort();
    hex::encode(Sha256::digest(rules.join("\n")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_on_a_running_system_follows_real_prometheus_and_alertmanager() {
    let programs = ["prometheus", "prometheus-alertmanager"];
    if real::missing(&programs)
        || Parts::missing::<PostgresRedis>().is_some_and(crate::support::skipped)
    {
        return;
    }
    let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut parts = Parts::start::<PostgresRedis>().await;
    let mut command = concertctl();
    command.envs(parts.environment());
    let server = ServerProcess::with(command, data.path(), &[]).await;
    let port = Port::claim();
    let config = format!(
        "route: {{receiver: drill, group_by: [alertname], group_wait: 2s, group_interval: 2s}}\n\
         receivers:\n- name: drill\n  webhook_configs: [{{url: 'http://{}/'}}]\n",
        port.addr()
    );
    let alertmanager = real::alertmanager(dir.path(), &config).await;
    let prometheus = prometheus(dir.path(), &server.ops_url, &alertmanager).await;
    let redis = parts.redis.as_mut().unwrap().processes();
    std::fs::write(dir.path().join("drill.yaml"), drill_file(&redis)).unwrap();

    let mut command = run(dir.path(), &server, [&prometheus, &alertmanager], &port);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    println!("{stderr}");
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let reports = std::fs::read(dir.path().join("report.json")).unwrap();
    let reports: Value = serde_json::from_slice(&reports).unwrap();
    let fires = &reports["drills"][0]["expectations"][0];
    assert_eq!(fires["what"], "RedisUnreachable fires");
    // Two scrapes, one evaluation and `for` take 4 s. The server notices the loss within 2 s.
    assert_eq!(fires["predicted"], 6.0, "{fires}");
    let rule = fires["rule"].as_str().unwrap();
    assert!(
        rule.contains("alerts.yml:") && !rule.ends_with(":0"),
        "{rule}"
    );
    let identity = &reports["drills"][0]["basis"]["rules"];
    let expected = json!([{
        "file": format!("/api/v1/rules of {}", prometheus.url.trim_start_matches("http://")),
        "sha256": identity_of(&prometheus).await,
    }]);
    assert_eq!(identity, &expected);
    let notifies = &reports["drills"][0]["expectations"][1];
    // The `group_wait` of the real Alertmanager is 2 s, and a delivery takes at most 1 s.
    assert_eq!(notifies["predicted"], 3.0, "{notifies}");
}
