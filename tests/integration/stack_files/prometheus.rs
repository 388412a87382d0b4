//! The configuration of Prometheus: promtool accepts it, every target exists, and nothing is scraped twice.

use std::process::Command;

use regex::Regex;
use serde_json::Value;

use super::{list, service, texts, yaml};
use crate::support::process::finish;
use crate::support::{on_path, skipped};

#[tokio::test]
async fn promtool_accepts_the_file_and_its_rules() {
    if on_path("promtool").is_none() {
        assert!(skipped("promtool"));
        return;
    }
    let mut command = Command::new("promtool");
    command.args(["check", "config", "otel/prometheus/prometheus.yml"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let ended = finish(command).await;
    assert!(ended.code == Some(0), "{ended:?}");
    assert!(ended.stdout.contains("1 rule files found"), "{ended:?}");
}

#[test]
fn every_target_is_a_service_of_the_compose_file() {
    let config = yaml("otel/prometheus/prometheus.yml");
    for name in ["scrape_interval", "evaluation_interval"] {
        assert_eq!(config["global"][name], "5s", "{name}");
    }
    let scraped = list(&config["scrape_configs"]).flat_map(|job| list(&job["static_configs"]));
    let built_in =
        list(&config["alerting"]["alertmanagers"]).flat_map(|it| list(&it["static_configs"]));
    let targets: Vec<&str> = scraped
        .chain(built_in)
        .flat_map(|it| texts(&it["targets"]))
        .collect();
    for target in &targets {
        let (host, port) = target.split_once(':').unwrap();
        match host {
            "docker-host" => {
                let hosts = service("prometheus")["extra_hosts"].to_string();
                assert!(
                    hosts.contains("docker-host:${DOCKER_BRIDGE_ADDRESS"),
                    "{hosts}"
                );
                let listens = service("node-exporter")["command"].to_string();
                let address = "--web.listen-address=${DOCKER_BRIDGE_ADDRESS";
                assert!(
                    listens.contains(address) && listens.contains(port),
                    "{listens}"
                );
            }
            "127.0.0.1" => assert_eq!(port, "9090"),
            _ => drop(service(host)),
        }
    }
    let compose = yaml("docker-compose.yml");
    for (name, service) in compose["services"].as_object().unwrap() {
        let watched = service["profiles"][0] == "telemetry" && name != "alert-receiver";
        let found = targets.iter().any(|it| it.starts_with(&format!("{name}:")));
        let itself = matches!(name.as_str(), "node-exporter" | "prometheus");
        assert!(!watched || found || itself, "{name} is not scraped");
    }
}

#[test]
fn exported_metrics_keep_their_labels_and_scraped_ones_are_stored_once() {
    let config = yaml("otel/prometheus/prometheus.yml");
    let job = |name: &str| {
        let mut jobs = list(&config["scrape_configs"]);
        jobs.find(|it| it["job_name"] == name).unwrap().clone()
    };
    let pushed = job("otlp");
    assert_eq!(pushed["honor_labels"], true);
    // The job of the service has the same name as in the embedded store.
    let renamed = &pushed["metric_relabel_configs"][0];
    assert_eq!(
        (&renamed["regex"], &renamed["replacement"]),
        (&"concertctl-api".into(), &"concertctl".into())
    );
    let own = job("concertctl");
    assert_eq!(own["dns_sd_configs"][0]["names"][0], "app");
    // These are both exported and scraped, and must be stored once.
    let server = ["process_open_fds", "concert_seats", "loadgen_users"];
    for name in server {
        assert!(!drops(&pushed, name) && drops(&own, name), "{name}");
    }
    assert!(drops(&pushed, "node_load1") && drops(&own, "node_load1"));
    assert!(!drops(&job("node"), "node_load1"));
}

/// Returns whether a job drops the metric with this name.
fn drops(job: &Value, metric: &str) -> bool {
    list(&job["metric_relabel_configs"])
        .filter(|it| it["action"] == "drop" && it["source_labels"][0] == "__name__")
        .any(|it| {
            let regex = format!("^(?:{})$", it["regex"].as_str().unwrap());
            Regex::new(&regex).unwrap().is_match(metric)
        })
}

#[test]
fn exemplars_are_kept_from_the_service_to_prometheus() {
    let collector = yaml("otel/collector/config.yml");
    assert_eq!(
        collector["exporters"]["prometheus"]["enable_open_metrics"],
        true
    );
    let flags = service("prometheus")["command"].clone();
    assert!(
        texts(&flags).contains(&"--enable-feature=exemplar-storage"),
        "{flags}"
    );
}
