//! The metrics of a run are exported to a collector, which decodes them like a real one.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use parking_lot::Mutex;
use prost::Message as _;
use tokio_util::task::AbortOnDropHandle;

use crate::support::port::Port;
use crate::support::process::{Ended, finish, small_rehearsal};

/// The contents of the last export.
#[derive(Clone, Debug, Default)]
struct Received {
    service: String,
    /// The number of requests by operation and status.
    requests: BTreeMap<String, u64>,
    /// The number of observations in the latency histogram.
    latencies: u64,
    pushes: u64,
}

struct Collector {
    url: String,
    received: Arc<Mutex<Received>>,
    _serving: AbortOnDropHandle<()>,
}

impl Collector {
    async fn start() -> Collector {
        let received = Arc::new(Mutex::new(Received::default()));
        let into = Arc::clone(&received);
        let router = Router::new().route(
            "/v1/metrics",
            post(async move |body: Bytes| match take(&body) {
                // The embedded server exports its own metrics too.
                Ok(now) if now.service != "concertctl-load" => StatusCode::OK,
                Ok(now) => {
                    let mut received = into.lock();
                    let pushes = received.pushes + 1;
                    *received = Received { pushes, ..now };
                    StatusCode::OK
                }
                Err(_) => StatusCode::BAD_REQUEST,
            }),
        );
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(socket, router).await.unwrap() });
        Collector {
            url,
            received,
            _serving: AbortOnDropHandle::new(serving),
        }
    }
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|it| it.key == key);
    match found.and_then(|it| it.value.as_ref()) {
        Some(AnyValue {
            value: Some(Value::StringValue(text)),
        }) => text.clone(),
        other => format!("{other:?}"),
    }
}

fn take(body: &[u8]) -> Result<Received, prost::DecodeError> {
    let push = ExportMetricsServiceRequest::decode(body)?;
    let mut now = Received::default();
    for resource in push.resource_metrics {
        let attributes = resource.resource.unwrap_or_default().attributes;
        now.service = text(&attributes, "service.name");
        let scopes = resource.scope_metrics.into_iter();
        for metric in scopes.flat_map(|scope| scope.metrics) {
            match (metric.name.as_str(), metric.data) {
                ("loadgen_requests", Some(Data::Sum(sum))) => {
                    for point in sum.data_points {
                        let of = |key| text(&point.attributes, key);
                        let name = format!("{} {}", of("operation"), of("status"));
                        let Some(Number::AsInt(count)) = point.value else {
                            continue;
                        };
                        *now.requests.entry(name).or_default() += count as u64;
                    }
                }
                ("loadgen_request_duration_seconds", Some(Data::Histogram(histogram))) => {
                    now.latencies = histogram.data_points.iter().map(|it| it.count).sum();
                }
                _ => {}
            }
        }
    }
    Ok(now)
}

async fn rehearse(collector: &str) -> Ended {
    let mut command = small_rehearsal();
    // The interval is longer than the run, so what arrives was exported at its end.
    command.env("OTEL_METRIC_EXPORT_INTERVAL", "600000");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector);
    finish(command).await
}

#[tokio::test]
async fn every_request_of_the_run_reaches_the_collector() {
    let collector = Collector::start().await;
    let ended = rehearse(&collector.url).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let summary: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let received = collector.received.lock().clone();
    assert!(received.pushes > 0, "{ended:?}");
    assert_eq!(received.service, "concertctl-load");
    let operations = summary["operations"].as_array().unwrap();
    for operation in operations {
        let name = operation["operation"].as_str().unwrap();
        let of = |(kind, _): &(&String, &u64)| kind.split(' ').next() == Some(name);
        let exported: u64 = received.requests.iter().filter(of).map(|it| it.1).sum();
        assert_eq!(Some(exported), operation["count"].as_u64(), "{name}");
    }
    let all: u64 = received.requests.values().sum();
    assert_eq!(received.latencies, all);
    assert_eq!(received.requests["register 201"], 200);
}

#[tokio::test]
async fn an_unreachable_collector_is_reported_and_does_not_affect_the_run() {
    let port = Port::claim();
    let ended = rehearse(&format!("http://{}", port.addr())).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert!(
        lines.len() == 1 && lines[0].starts_with("--otlp: metrics were lost: "),
        "{lines:?}"
    );
}

#[tokio::test]
async fn an_invalid_collector_address_is_refused_before_the_run() {
    for (url, named) in [
        ("ftp://x:4318", "https://host:4318"),
        ("x:4317", "http://host:4318"),
    ] {
        rehearse(url)
            .await
            .failed_with(2, &["OTEL_EXPORTER_OTLP_ENDPOINT", named]);
    }
}
