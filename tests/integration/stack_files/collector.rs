//! The configuration of the collector: every name is defined, every definition is used, all queues are bounded, and no
//! log line is forwarded twice.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{keys, list, service, texts, yaml};

fn config() -> Value {
    yaml("otel/collector/config.yml")
}

fn pipelines(config: &Value) -> Vec<(&str, &Value)> {
    let pipelines = config["service"]["pipelines"].as_object().unwrap();
    pipelines
        .iter()
        .map(|(name, it)| (name.as_str(), it))
        .collect()
}

#[test]
fn every_name_in_a_pipeline_is_defined_and_every_definition_is_used() {
    let config = config();
    for kind in ["receivers", "processors", "exporters"] {
        let used: BTreeSet<&str> = pipelines(&config)
            .into_iter()
            .flat_map(|(_, pipeline)| texts(&pipeline[kind]))
            .collect();
        let defined: BTreeSet<&str> = keys(&config[kind]).into_iter().collect();
        assert_eq!(used, defined, "{kind}");
    }
    let used: BTreeSet<&str> = texts(&config["service"]["extensions"])
        .into_iter()
        .collect();
    let defined: BTreeSet<&str> = keys(&config["extensions"]).into_iter().collect();
    assert_eq!(used, defined, "extensions");
    let storage = &config["receivers"]["file_log"]["storage"];
    assert!(defined.contains(storage.as_str().unwrap()), "{storage}");
}

#[test]
fn the_memory_limiter_comes_first_and_the_batch_processor_last() {
    let config = config();
    let signals: BTreeSet<&str> = pipelines(&config)
        .iter()
        .map(|(name, _)| name.split('/').next().unwrap())
        .collect();
    assert_eq!(signals, BTreeSet::from(["logs", "metrics", "traces"]));
    for (name, pipeline) in pipelines(&config) {
        let processors = texts(&pipeline["processors"]);
        assert_eq!(processors.first(), Some(&"memory_limiter"), "{name}");
        // A batch has no sender, so processors that need one come before it.
        assert_eq!(processors.last(), Some(&"batch"), "{name}");
        for kind in ["receivers", "exporters"] {
            assert!(!texts(&pipeline[kind]).is_empty(), "{name} has no {kind}");
        }
    }
    let limiter = &config["processors"]["memory_limiter"];
    let (limit, spike) = (
        &limiter["limit_percentage"],
        &limiter["spike_limit_percentage"],
    );
    assert!(
        spike.as_u64() < limit.as_u64() && limit.as_u64() < Some(100),
        "{limiter}"
    );
    let batch = &config["processors"]["batch"];
    let (usual, most) = (&batch["send_batch_size"], &batch["send_batch_max_size"]);
    assert!(
        Some(0) < usual.as_u64() && usual.as_u64() <= most.as_u64(),
        "{batch}"
    );
}

#[test]
fn exporters_retry_and_have_bounded_queues() {
    let config = config();
    for (name, exporter) in config["exporters"].as_object().unwrap() {
        if name == "prometheus" {
            // This exporter is scraped and sends nothing. Metrics that are no longer exported expire.
            assert!(exporter["metric_expiration"].is_string(), "{exporter}");
            continue;
        }
        let (retry, queue) = (&exporter["retry_on_failure"], &exporter["sending_queue"]);
        assert_eq!(retry["enabled"], true, "{name}");
        // 0 means no limit.
        assert_ne!(retry["max_elapsed_time"].as_str().unwrap(), "0", "{name}");
        assert_eq!(queue["enabled"], true, "{name}");
        assert_eq!(queue["sizer"], "bytes", "{name}");
        let size = queue["queue_size"].as_u64().unwrap();
        assert!(0 < size && size <= 128 << 20, "{name}: {size}");
        // A full queue must not block senders.
        assert_eq!(queue["block_on_overflow"], false, "{name}");
        let endpoint = exporter["endpoint"].as_str().unwrap();
        let host = endpoint
            .trim_start_matches("http://")
            .split(':')
            .next()
            .unwrap();
        service(host);
    }
}

#[test]
fn the_logs_of_other_containers_are_read_and_those_of_the_service_not_twice() {
    let config = config();
    let reader = &config["receivers"]["file_log"];
    let operators: Vec<_> = list(&reader["operators"]).collect();
    assert_eq!(operators[0]["type"], "container");
    assert_eq!(operators[0]["format"], "docker");
    let dropped: Vec<&str> = operators
        .iter()
        .filter(|it| it["type"] == "filter")
        .map(|it| it["expr"].as_str().unwrap())
        .collect();
    let drops = |words: &[&str]| {
        dropped
            .iter()
            .any(|it| words.iter().all(|word| it.contains(word)))
    };
    let compose = yaml("docker-compose.yml");
    let project = format!("\"com.docker.compose.project\"] != {}", compose["name"]);
    assert!(drops(&[&project]), "other projects");
    assert!(
        drops(&["== \"app\"", "== \"stdout\""]),
        "lines that arrive over OTLP"
    );
    assert!(
        drops(&["== \"collector\""]),
        "lines of the collector itself"
    );
    for (name, service) in compose["services"].as_object().unwrap() {
        if service["profiles"][0] == "tools" {
            continue;
        }
        // Docker writes the labels that the operators read.
        let labels = service["logging"]["options"]["labels"]
            .as_str()
            .unwrap_or_default();
        for label in ["com.docker.compose.project", "com.docker.compose.service"] {
            assert!(labels.split(',').any(|it| it == label), "{name}: {label}");
        }
    }
    let folder = "/var/lib/docker/containers";
    assert!(
        texts(&reader["include"])
            .iter()
            .all(|it| it.starts_with(folder))
    );
    let volumes = service("collector")["volumes"].clone();
    assert!(
        texts(&volumes).contains(&format!("{folder}:{folder}:ro").as_str()),
        "{volumes}"
    );
    let kept = config["extensions"]["file_storage"]["directory"]
        .as_str()
        .unwrap();
    assert!(
        texts(&volumes).contains(&format!("collector:{kept}").as_str()),
        "{volumes}"
    );
}

#[test]
fn the_collector_listens_on_the_ports_that_the_others_use() {
    let (config, service) = (config(), service("collector"));
    let port = |address: &Value| {
        address
            .as_str()
            .unwrap()
            .rsplit_once(':')
            .unwrap()
            .1
            .to_owned()
    };
    let protocols = &config["receivers"]["otlp"]["protocols"];
    for protocol in ["grpc", "http"] {
        let port = port(&protocols[protocol]["endpoint"]);
        let published = format!("127.0.0.1:{port}:{port}");
        assert!(
            texts(&service["ports"]).contains(&published.as_str()),
            "{published}"
        );
    }
    let health = port(&config["extensions"]["health_check"]["endpoint"]);
    let asked = service["healthcheck"]["test"].to_string();
    assert!(asked.contains(&format!("127.0.0.1:{health}/")), "{asked}");
    let own =
        &config["service"]["telemetry"]["metrics"]["readers"][0]["pull"]["exporter"]["prometheus"];
    let shown = port(&config["exporters"]["prometheus"]["endpoint"]);
    let prometheus = super::file("otel/prometheus/prometheus.yml");
    for port in [shown, own["port"].to_string()] {
        assert!(
            prometheus.contains(&format!("collector:{port}")),
            "{port} is not scraped"
        );
    }
    let settings = super::file("otel/telemetry.env");
    assert!(settings.contains("\nOTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318\n"));
}
