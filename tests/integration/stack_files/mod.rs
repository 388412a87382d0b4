//! The files of the telemetry stack: no engine runs the stack here, so each is checked by the real tool
//! where there is one to be had, by its structure where there is none.

mod collector;
mod dashboards;
mod grafana;
mod prometheus;
// Under the names of the node exporter a host tells the most on Linux.
#[cfg(target_os = "linux")]
mod queries;

use serde_json::Value;

/// A file of the project.
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

/// The elements of a list, none where there is none.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The texts of a list.
fn texts(value: &Value) -> Vec<&str> {
    list(value).map(|it| it.as_str().unwrap()).collect()
}

/// The keys of a map, none where there is none.
fn keys(value: &Value) -> Vec<&str> {
    let map = value.as_object();
    map.into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect()
}
