//! The files of the telemetry stack. No container engine runs here, so the real tool checks each file if it is
//! installed; other tests check the structure.

mod collector;
mod dashboards;
mod grafana;
mod prometheus;
// On Linux only, where a server exports the most metrics with names of the node exporter.
#[cfg(target_os = "linux")]
mod queries;

use serde_json::Value;

/// The text of a file of the project.
fn file(name: &str) -> String {
    let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A service of the Compose file.
fn service(name: &str) -> Value {
    let service = yaml("docker-compose.yml")["services"][name].clone();
    assert!(service.is_object(), "the Compose file has no {name}");
    service
}

/// The elements of a list; empty if there is no list.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The strings of a list.
fn texts(value: &Value) -> Vec<&str> {
    list(value).map(|it| it.as_str().unwrap()).collect()
}

/// The keys of a map; empty if there is no map.
fn keys(value: &Value) -> Vec<&str> {
    let map = value.as_object();
    map.into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect()
}
