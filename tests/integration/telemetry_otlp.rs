//! Logs, traces and metrics of a running server arrive at a collector that decodes them with the published message
//! types.

use std::path::Path;

use concertctl::api::ops::{AdmissionChange, Opening};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use crate::support::collector::{Collector, Received, attribute, text};
use crate::support::process::{ServerProcess, concertctl, finish, small_rehearsal};
use crate::support::{eventually, profile, seed};

/// Starts a server that exports everything to `collector`, with a dataset and an open sale.
async fn serve(dir: &Path, collector: &Collector, environment: &[(&str, &str)]) -> ServerProcess {
    let mut command = concertctl();
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    command.env("OTEL_METRIC_EXPORT_INTERVAL", "500");
    command.envs(environment.iter().copied());
    let all = ["--log", "info", "--trace-ratio", "1", "--slow-query", "0s"];
    let server = ServerProcess::with(command, dir, &all).await;
    seed(&server.ops, &profile(2, 10, 20)).await;
    server
}

/// Registers and reserves as one user; returns the trace ids of both requests.
async fn buy(server: &ServerProcess) -> [String; 2] {
    let mut user = server.user(1);
    let registered = user.register().await;
    assert_eq!(registered.status, 201, "{registered:?}");
    let open = AdmissionChange {
        opening: Some(Opening::Now),
        every_ms: Some(100),
        ..AdmissionChange::default()
    };
    server.ops.set_admission(&open).await.unwrap();
    user.until_active().await;
    let reserved = user.reserve(1).await;
    assert_eq!(reserved.status, 201, "{reserved:?}");
    [registered, reserved].map(|answer| answer.header("x-trace-id").unwrap().to_owned())
}

fn spans_of<'a>(received: &'a Received, trace: &str) -> Vec<&'a (Vec<KeyValue>, Span)> {
    let of = |it: &&(Vec<KeyValue>, Span)| hex::encode(&it.1.trace_id) == trace;
    received.spans.iter().filter(of).collect()
}

async fn everything_of_a_request_is_received(collector: Collector, environment: &[(&str, &str)]) {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), &collector, environment).await;
    let [_, reserved] = buy(&server).await;
    let received = eventually("logs, trace and metrics come", || async {
        let received = collector.received();
        let logged = |name: &str| {
            received.logs.iter().any(|(_, it)| {
                hex::encode(&it.trace_id) == reserved
                    && it.body.as_ref().is_some_and(|b| text(b).contains(name))
            })
        };
        // The metrics of host and process are exported with those of the service.
        let metered = ["concert_reservations", "process_resident_memory_bytes"]
            .iter()
            .all(|name| received.metrics.iter().any(|(_, it)| it.name == *name));
        let traced = !spans_of(&received, &reserved).is_empty();
        (logged("POST /reservations 201") && logged("slow query") && metered && traced)
            .then_some(received)
    })
    .await;
    resource_is_right(&received, &server);
    spans_are_right(&received, &reserved);
    logs_are_right(&received, &reserved);
    server.terminate();
    assert!(server.exited().await.success());
}

fn resource_is_right(received: &Received, server: &ServerProcess) {
    let resources = received.logs.iter().map(|it| &it.0);
    let resources = resources.chain(received.spans.iter().map(|it| &it.0));
    for resource in resources.chain(received.metrics.iter().map(|it| &it.0)) {
        assert_eq!(attribute(resource, "service.name"), "concertctl-api");
        assert_eq!(
            attribute(resource, "service.version"),
            env!("CARGO_PKG_VERSION")
        );
        let instance = attribute(resource, "service.instance.id");
        assert!(
            server.ops_url.ends_with(&instance) && !instance.is_empty(),
            "{instance}"
        );
        assert!(!attribute(resource, "host.name").is_empty());
    }
}

fn spans_are_right(received: &Received, trace: &str) {
    let spans = spans_of(received, trace);
    let roots: Vec<&Span> = spans
        .iter()
        .map(|it| &it.1)
        .filter(|it| it.parent_span_id.is_empty())
        .collect();
    let [root] = roots[..] else {
        panic!("{roots:?}")
    };
    assert_eq!(root.name, "POST /reservations");
    assert_eq!(root.kind(), SpanKind::Server);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/reservations"),
        ("http.response.status_code", "201"),
        ("user.id", "1"),
    ] {
        assert_eq!(attribute(&root.attributes, name), value, "{name}");
    }
    let mut steps: Vec<&str> = Vec::new();
    for (_, span) in spans.iter().filter(|it| !it.1.parent_span_id.is_empty()) {
        assert_eq!(span.parent_span_id, root.span_id, "{span:?}");
        assert!(
            span.start_time_unix_nano >= root.start_time_unix_nano,
            "{span:?}"
        );
        assert!(
            span.end_time_unix_nano >= span.start_time_unix_nano,
            "{span:?}"
        );
        assert!(
            span.status
                .as_ref()
                .is_none_or(|it| it.code() == StatusCode::Unset)
        );
        steps.push(&span.name);
    }
    for wanted in [
        "queue.check",
        "seat.lock",
        "db.acquire",
        "reservation.create",
        "commit",
    ] {
        assert!(steps.contains(&wanted), "{wanted} is not among {steps:?}");
    }
}

fn logs_are_right(received: &Received, trace: &str) {
    let span_ids: Vec<&Vec<u8>> = spans_of(received, trace)
        .iter()
        .map(|it| &it.1.span_id)
        .collect();
    let mut severities = Vec::new();
    for (_, record) in received
        .logs
        .iter()
        .filter(|it| hex::encode(&it.1.trace_id) == trace)
    {
        assert!(span_ids.contains(&&record.span_id), "{record:?}");
        severities.push(record.severity_text.as_str());
        if attribute(&record.attributes, "statement") == "reservation.create" {
            let at = spans_of(received, trace);
            let span = at.iter().find(|it| it.1.span_id == record.span_id).unwrap();
            assert_eq!(span.1.name, "reservation.create");
        }
    }
    assert!(
        severities.contains(&"INFO") && severities.contains(&"WARN"),
        "{severities:?}"
    );
}

#[tokio::test]
async fn a_stopping_server_exports_its_waiting_records() {
    let collector = Collector::http().await;
    let dir = tempfile::tempdir().unwrap();
    let seldom = [("OTEL_METRIC_EXPORT_INTERVAL", "3600000")];
    let server = serve(dir.path(), &collector, &seldom).await;
    let registered = server.user(1).register().await;
    let trace = registered.header("x-trace-id").unwrap();
    assert!(collector.received().metrics.is_empty());
    server.terminate();
    assert!(server.exited().await.success());
    let received = collector.received();
    assert!(!spans_of(&received, trace).is_empty());
    let logged = |name: &str| {
        let mut bodies = received.logs.iter().filter_map(|(_, it)| it.body.as_ref());
        bodies.any(|body| text(body).contains(name))
    };
    assert!(logged("POST /queue 201"), "{:?}", received.logs);
    let mut names = received.metrics.iter().map(|(_, it)| it.name.as_str());
    assert!(
        names.any(|name| name == "concert_queue_registered"),
        "{received:?}"
    );
}

#[tokio::test]
async fn logs_spans_and_metrics_of_a_request_arrive_over_http() {
    everything_of_a_request_is_received(Collector::http().await, &[]).await;
}

#[tokio::test]
async fn logs_spans_and_metrics_of_a_request_arrive_over_grpc() {
    let grpc = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    everything_of_a_request_is_received(Collector::grpc().await, &grpc).await;
}

#[tokio::test]
async fn a_request_of_the_load_generator_the_servers_spans_and_their_log_lines_are_one_trace() {
    let collector = Collector::http().await;
    let mut command = small_rehearsal();
    command.args(["--otlp", &collector.url]);
    let ended = finish(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let summary: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        summary["noted"]["slowest"].as_array().map(Vec::len),
        Some(10)
    );
    let received = collector.received();
    let by =
        |it: &&(Vec<KeyValue>, Span), service: &str| attribute(&it.0, "service.name") == service;
    let asked: Vec<_> = received
        .spans
        .iter()
        .filter(|it| by(it, "concertctl-load"))
        .collect();
    assert!(!asked.is_empty(), "{} spans", received.spans.len());
    let mut joined = 0;
    for (_, client) in asked {
        assert_eq!(client.kind(), SpanKind::Client);
        assert!(client.parent_span_id.is_empty());
        let served = received
            .spans
            .iter()
            .find(|it| by(it, "concertctl-api") && it.1.parent_span_id == client.span_id);
        // Some spans may be missing, because a buffer was full; those that arrive must match.
        let Some((_, served)) = served else { continue };
        assert_eq!(served.trace_id, client.trace_id);
        assert_eq!(served.kind(), SpanKind::Server);
        let logged = received.logs.iter().any(|(_, record)| {
            record.trace_id == client.trace_id && record.span_id == served.span_id
        });
        joined += usize::from(logged);
    }
    assert!(joined > 0, "no request has spans of both sides");
}
