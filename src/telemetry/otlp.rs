//! Metrics pushed over OTLP, to a collector.
//!
//! OTLP over HTTP with protobuf bodies, as in <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.
//! Headers (`OTEL_EXPORTER_OTLP_HEADERS`), the time-out (`OTEL_EXPORTER_OTLP_TIMEOUT`), the interval
//! (`OTEL_METRIC_EXPORT_INTERVAL`) and the resource (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`)
//! are those of every program that speaks OpenTelemetry.

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry_otlp::{MetricExporter, Protocol, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::PeriodicReader;

/// A minute, as the specification has it, is longer than many a run.
const INTERVAL: Duration = Duration::from_secs(5);
/// A collector that does not answer holds up the end of a program for that long.
const TIME_OUT: Duration = Duration::from_secs(3);
const INTERVAL_VARIABLE: &str = "OTEL_METRIC_EXPORT_INTERVAL";
const TIME_OUT_VARIABLES: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
];
const PROTOCOL_VARIABLES: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];

/// A collector that metrics are pushed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// Without the signal's path.
    base: String,
}

impl Otlp {
    /// The collector at `url`, `http://host:port`, of the port for OTLP over HTTP (4318).
    ///
    /// # Errors
    /// When it is no such URL, or the environment asks for another protocol; in one line, without the
    /// URL, which may hold a password.
    pub fn at(url: &str) -> Result<Otlp, String> {
        let uri: Result<http::Uri, _> = url.parse();
        let uri = uri.ok().filter(|uri| uri.host().is_some());
        match uri.as_ref().and_then(http::Uri::scheme_str) {
            Some("http") => {}
            Some("https") => {
                return Err(
                    "TLS is not spoken: push to a collector on this machine, which can send \
                            it on"
                        .to_owned(),
                );
            }
            _ => return Err("write http://host:4318, the collector's port for HTTP".to_owned()),
        }
        let protocol = PROTOCOL_VARIABLES.iter().find_map(|name| set(name));
        if let Some(other) = protocol.filter(|name| name != "http/protobuf") {
            return Err(format!(
                "OTEL_EXPORTER_OTLP_PROTOCOL asks for {other}: only http/protobuf is spoken"
            ));
        }
        Ok(Otlp {
            base: url.trim_end_matches('/').to_owned(),
        })
    }

    /// What collects and pushes, on a thread of its own.
    pub(super) fn reader(&self) -> anyhow::Result<PeriodicReader<MetricExporter>> {
        let mut exporter = MetricExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/metrics", self.base));
        if TIME_OUT_VARIABLES.iter().all(|name| set(name).is_none()) {
            exporter = exporter.with_timeout(TIME_OUT);
        }
        let exporter = exporter.build().context("OTLP")?;
        let mut reader = PeriodicReader::builder(exporter);
        if set(INTERVAL_VARIABLE).is_none() {
            reader = reader.with_interval(INTERVAL);
        }
        Ok(reader.build())
    }
}

/// Who says it: `service`, unless the environment names it otherwise.
pub(super) fn resource(service: &'static str) -> Resource {
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_attribute(version);
    match set("OTEL_SERVICE_NAME") {
        Some(_) => resource.build(),
        None => resource.with_service_name(service).build(),
    }
}

fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_pushed_to_is_taken() {
        assert!(Otlp::at("http://127.0.0.1:4318/").is_ok());
        assert!(
            Otlp::at("https://collector:4318")
                .unwrap_err()
                .contains("TLS")
        );
        for wrong in [
            "",
            "127.0.0.1:4318",
            "grpc://secret@x:4317",
            "http://",
            "/v1",
        ] {
            let told = Otlp::at(wrong).unwrap_err();
            assert!(told.contains("http://host:4318"), "{wrong}: {told}");
            assert!(!told.contains("secret"), "{told}");
        }
    }
}
