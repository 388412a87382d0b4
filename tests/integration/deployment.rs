//! The files that deploy the service: no engine runs them here, so what can be read from them is.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::support::process::run;

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
    volumes: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Service {
    image: String,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    profiles: Vec<String>,
    #[serde(default)]
    depends_on: BTreeMap<String, Value>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    healthcheck: Option<Value>,
    #[serde(default)]
    deploy: Value,
}

fn file(name: &str) -> String {
    let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn compose() -> Compose {
    serde_saphyr::from_str(&file("docker-compose.yml")).unwrap()
}

/// A version, not a moving target.
fn is_pinned(image: &str) -> bool {
    let tag = image.rsplit_once(':').map(|(_, tag)| tag);
    tag.is_some_and(|tag| {
        tag.matches('.').count() >= 1 && tag.starts_with(|c: char| c.is_ascii_digit())
    })
}

#[test]
fn every_image_is_pinned_and_every_service_is_watched_and_bounded() {
    let compose = compose();
    for (name, service) in &compose.services {
        assert!(is_pinned(&service.image), "{name}: {}", service.image);
        for port in &service.ports {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        for needed in service.depends_on.keys() {
            assert!(
                compose.services.contains_key(needed),
                "{name} needs {needed}"
            );
        }
        for volume in &service.volumes {
            let (from, _) = volume.split_once(':').unwrap();
            match from.strip_prefix("./") {
                Some(path) => drop(file(path)),
                None => assert!(compose.volumes.contains_key(from), "{name}: {volume}"),
            }
        }
        if service.profiles.is_empty() {
            assert!(service.healthcheck.is_some(), "{name} has no health check");
        }
    }
    for name in ["app", "postgres"] {
        for kind in ["limits", "reservations"] {
            let bounds = &compose.services[name].deploy["resources"][kind];
            assert_eq!(
                (&bounds["cpus"], &bounds["memory"]),
                (&"2".into(), &"2048M".into()),
                "{name}"
            );
        }
    }
    assert!(is_pinned("redis:7.4.5") && !is_pinned("redis:7") && !is_pinned("redis:latest"));
}

#[tokio::test]
async fn what_the_containers_run_is_what_the_program_takes() {
    let (compose, help) = (compose(), run(&["serve", "--help"]).await.stdout);
    let app = &compose.services["app"];
    assert_eq!(app.command[0], "serve");
    for flag in app.command.iter().filter(|word| word.starts_with("--")) {
        assert!(
            help.contains(flag.as_str()),
            "{flag} is not a flag of serve"
        );
    }
    for variable in app.environment.keys() {
        assert!(
            help.contains(variable.as_str()),
            "{variable} is not read by serve"
        );
    }
    let check = app.healthcheck.as_ref().unwrap()["test"].clone();
    assert_eq!(check[1], "concertctl");
    let health = run(&["health", "--help"]).await;
    assert!(
        health.stdout.contains(check[3].as_str().unwrap()),
        "{health:?}"
    );
}

#[test]
fn the_image_is_built_by_the_toolchain_that_the_project_names() {
    let manifest = file("Cargo.toml");
    let wanted = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap();
    let dockerfile = file("Dockerfile");
    let from = format!("FROM rust:{}-", wanted.trim_matches('"'));
    assert!(dockerfile.contains(&from), "{from}");
    assert!(dockerfile.contains("USER concertctl"), "not as root");
    // What the compiler needs is not shut out of the build.
    let ignored = file(".dockerignore");
    for needed in [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "migrations",
        "scenarios",
        "seed",
    ] {
        assert!(ignored.contains(&format!("!{needed}\n")), "{needed}");
    }
}
