//! OpenTelemetry's environment variables, and collectors with unusual answers.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as Signal, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceResponse,
};
use parking_lot::Mutex;
use prost::Message as _;
use tokio_util::task::AbortOnDropHandle;

use crate::support::collector::{Collector, attribute};
use crate::support::process::{ServerProcess, concertctl};
use crate::support::{User, eventually, profile, seed};

/// A received export.
#[derive(Clone, Debug)]
struct Push {
    signal: String,
    encoding: String,
    authorization: String,
    body: Bytes,
    at: Instant,
}

type Reply = fn() -> Response;

#[derive(Clone)]
struct Kept {
    pushes: Arc<Mutex<Vec<Push>>>,
    /// The answers to the next exports of logs; all later ones succeed.
    replies: Arc<Mutex<VecDeque<Reply>>>,
}

/// A collector whose answers to exports of logs the test chooses.
struct Scripted {
    url: String,
    kept: Kept,
    _serving: AbortOnDropHandle<()>,
}

impl Scripted {
    async fn start(replies: &[Reply]) -> Scripted {
        let kept = Kept {
            pushes: Arc::default(),
            replies: Arc::new(Mutex::new(replies.iter().copied().collect())),
        };
        let app = Router::new()
            .route("/v1/{signal}", post(take))
            .with_state(kept.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Scripted {
            url,
            kept,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    fn pushes(&self, signal: &str) -> Vec<Push> {
        let pushes = self.kept.pushes.lock();
        pushes
            .iter()
            .filter(|it| it.signal == signal)
            .cloned()
            .collect()
    }
}

async fn take(
    State(kept): State<Kept>,
    Signal(signal): Signal<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let value = |name| {
        let value = headers.get(name);
        value.map_or("", |value| value.to_str().unwrap()).to_owned()
    };
    let encoding = value(header::CONTENT_ENCODING);
    let authorization = value(header::AUTHORIZATION);
    let reply = match signal.as_str() {
        "logs" => kept.replies.lock().pop_front(),
        _ => None,
    };
    kept.pushes.lock().push(Push {
        signal,
        encoding,
        authorization,
        body,
        at: Instant::now(),
    });
    reply.map_or_else(well, |reply| reply())
}

fn well() -> Response {
    (
        [(header::CONTENT_TYPE, "application/x-protobuf")],
        Vec::new(),
    )
        .into_response()
}

/// Starts a server that exports to `url` and logs to the file `log` in its directory.
async fn serve(
    dir: &Path,
    url: &str,
    environment: &[(&str, &str)],
    more: &[&str],
) -> ServerProcess {
    let mut command = concertctl();
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    command.env("OTEL_METRIC_EXPORT_INTERVAL", "500");
    command.envs(environment.iter().copied());
    let log = dir.join("log");
    let mut all = vec!["--log", "info", "--log-file", log.to_str().unwrap()];
    all.extend(more);
    ServerProcess::with(command, dir, &all).await
}

fn log_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("log")).unwrap_or_default()
}

/// The number of dropped records of a signal in `/metrics`.
async fn dropped(server: &ServerProcess, signal: &str) -> f64 {
    let text = User::new(&server.ops_url, 0).get("/metrics").await.text;
    let of = format!("signal=\"{signal}\"");
    let named =
        |line: &&str| line.starts_with("concert_telemetry_dropped_total") && line.contains(&of);
    let line = text.lines().find(named).expect("the counter exists");
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_environment_names_the_service_and_its_attributes() {
    let collector = Collector::http().await;
    let dir = tempfile::tempdir().unwrap();
    let environment = [
        ("OTEL_SERVICE_NAME", "tickets"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=other,team=blue%2Cgreen,service.version=7",
        ),
    ];
    let server = serve(
        dir.path(),
        &collector.url,
        &environment,
        &["--trace-ratio", "1"],
    )
    .await;
    server.user(1).get("/concerts").await;
    let received = eventually("all three come", || async {
        let all = collector.received();
        let complete = !all.logs.is_empty() && !all.spans.is_empty() && !all.metrics.is_empty();
        complete.then_some(all)
    })
    .await;
    let resources = received.logs.iter().map(|it| &it.0);
    let resources = resources.chain(received.spans.iter().map(|it| &it.0));
    for resource in resources.chain(received.metrics.iter().map(|it| &it.0)) {
        for (name, value) in [
            ("service.name", "tickets"),
            ("team", "blue,green"),
            ("service.version", "7"),
            ("telemetry.sdk.language", "rust"),
        ] {
            assert_eq!(attribute(resource, name), value, "{name}");
        }
        assert!(
            server
                .ops_url
                .ends_with(&attribute(resource, "service.instance.id"))
        );
    }
}

#[tokio::test]
async fn the_resource_attributes_name_the_service_without_otel_service_name() {
    let collector = Collector::http().await;
    let dir = tempfile::tempdir().unwrap();
    let environment = [("OTEL_RESOURCE_ATTRIBUTES", "service.name=other")];
    let _server = serve(dir.path(), &collector.url, &environment, &[]).await;
    let logs = eventually("logs come", || async {
        let logs = collector.received().logs;
        (!logs.is_empty()).then_some(logs)
    })
    .await;
    assert_eq!(attribute(&logs[0].0, "service.name"), "other");
}

#[tokio::test]
async fn the_environment_turns_on_compression_for_one_signal_or_all() {
    let collector = Scripted::start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let environment = [
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none"),
    ];
    let server = serve(
        dir.path(),
        &collector.url,
        &environment,
        &["--trace-ratio", "1"],
    )
    .await;
    server.user(1).get("/concerts").await;
    for (signal, encoding) in [("logs", ""), ("metrics", "gzip"), ("traces", "gzip")] {
        let push = eventually("the signal is pushed", || async {
            collector.pushes(signal).pop()
        })
        .await;
        assert_eq!(push.encoding, encoding, "{signal}");
        let gzip = push.body.starts_with(&[0x1f, 0x8b]);
        assert_eq!(gzip, encoding == "gzip", "{signal}");
    }
}

#[tokio::test]
async fn a_signal_is_turned_off_in_any_case_of_letters() {
    let collector = Scripted::start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let environment = [("OTEL_METRICS_EXPORTER", "None")];
    let _server = serve(dir.path(), &collector.url, &environment, &[]).await;
    eventually("logs are pushed", || async {
        collector.pushes("logs").pop()
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(collector.pushes("metrics").is_empty());
}

#[tokio::test]
async fn headers_of_the_environment_are_decoded_and_sent_with_every_export() {
    let collector = Scripted::start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let environment = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a%2Cb"),
        (
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
            "x-other=1,authorization=Bearer%20logs",
        ),
    ];
    let server = serve(
        dir.path(),
        &collector.url,
        &environment,
        &["--trace-ratio", "1"],
    )
    .await;
    server.user(1).get("/concerts").await;
    for (signal, sent) in [
        ("logs", "Bearer logs"),
        ("metrics", "Bearer a,b"),
        ("traces", "Bearer a,b"),
    ] {
        let push = eventually("the signal is pushed", || async {
            collector.pushes(signal).pop()
        })
        .await;
        assert_eq!(push.authorization, sent, "{signal}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_otlp_does_not_count_as_delivery() {
    let page: Reply = || ([(header::CONTENT_TYPE, "text/html")], "<html>").into_response();
    let collector = Scripted::start(&[page; 4]).await;
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), &collector.url, &[], &[]).await;
    let lost = eventually("the batch is given up", || async {
        let lost = dropped(&server, "logs").await;
        (lost > 0.0).then_some(lost)
    })
    .await;
    assert!(lost >= 1.0, "{lost}");
    assert!(log_of(dir.path()).contains("text/html, which is no OTLP"));
}

#[tokio::test]
async fn rejected_records_of_an_export_are_counted_and_logged() {
    fn answer(rejected: i64, why: &str) -> Response {
        let partial = ExportLogsPartialSuccess {
            rejected_log_records: rejected,
            error_message: why.to_owned(),
        };
        let body = ExportLogsServiceResponse {
            partial_success: Some(partial),
        };
        let kind = [(header::CONTENT_TYPE, "application/x-protobuf")];
        (kind, body.encode_to_vec()).into_response()
    }
    let replies: [Reply; 3] = [
        || answer(1_000_000, "too old"),
        || answer(0, ""),
        || answer(1_000_000, "too long"),
    ];
    let collector = Scripted::start(&replies).await;
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), &collector.url, &[], &[]).await;
    eventually("the rejected records are counted", || async {
        // Each push needs a record.
        server.user(1).get("/concerts").await;
        (dropped(&server, "logs").await >= 2_000_000.0).then_some(())
    })
    .await;
    eventually("the log reports each beginning of rejections", || async {
        let log = log_of(dir.path());
        (log.contains("too old") && log.contains("too long")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_pause_that_a_collector_asks_for_is_kept() {
    let later: Reply = || {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "4")],
        )
            .into_response()
    };
    let never: Reply = || StatusCode::BAD_REQUEST.into_response();
    let collector = Scripted::start(&[later, never]).await;
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), &collector.url, &[], &[]).await;
    let pushes = eventually("it is pushed again", || async {
        let pushes = collector.pushes("logs");
        (pushes.len() >= 2).then_some(pushes)
    })
    .await;
    let pause = pushes[1].at - pushes[0].at;
    assert!(pause >= Duration::from_secs(4), "{pause:?}");
    // A batch that is refused permanently is not sent again.
    eventually("the batch is given up", || async {
        (dropped(&server, "logs").await > 0.0).then_some(())
    })
    .await;
    let same = collector
        .pushes("logs")
        .iter()
        .filter(|it| it.body == pushes[1].body)
        .count();
    assert_eq!(same, 2);
}

#[tokio::test]
async fn the_sampler_of_the_environment_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::http().await;
    let sampler = [
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
    ];
    let server = serve(
        dir.path(),
        &collector.url,
        &sampler,
        &["--slow-trace", "1h", "--slow-query", "1h"],
    )
    .await;
    // A failed request is kept regardless of the sampler.
    seed(&server.ops, &profile(1, 5, 5)).await;
    let user = server.user(1);
    let ask = async |id: &str, flags: &str| {
        let parent = format!("00-{id}-00f067aa0ba902b7-{flags}");
        let call = user.call(reqwest::Method::GET, "/concerts");
        User::send(call.header("traceparent", parent)).await;
    };
    let (unsampled, sampled) = ("a".repeat(32), "b".repeat(32));
    ask(&unsampled, "00").await;
    user.get("/concerts").await;
    ask(&sampled, "01").await;
    eventually("the sampled trace comes", || async {
        let spans = collector.received().spans;
        spans
            .iter()
            .any(|it| hex::encode(&it.1.trace_id) == sampled)
            .then_some(())
    })
    .await;
    let spans = collector.received().spans;
    assert!(
        spans
            .iter()
            .all(|it| hex::encode(&it.1.trace_id) == sampled),
        "{spans:?}"
    );
}

#[tokio::test]
async fn the_environment_turns_off_traces_and_exports() {
    let collector = Collector::http().await;
    let dir = tempfile::tempdir().unwrap();
    let off = [("OTEL_TRACES_SAMPLER", "always_off")];
    let server = serve(dir.path(), &collector.url, &off, &["--slow-trace", "0s"]).await;
    server.user(1).get("/concerts").await;
    eventually("the request is logged", || async {
        (!collector.received().logs.is_empty()).then_some(())
    })
    .await;
    server.terminate();
    assert!(server.exited().await.success());
    assert!(collector.received().spans.is_empty());

    let (none, dir) = (Collector::http().await, tempfile::tempdir().unwrap());
    let disabled = [("OTEL_SDK_DISABLED", "true")];
    let server = serve(dir.path(), &none.url, &disabled, &["--otlp", &none.url]).await;
    server.user(1).get("/concerts").await;
    server.terminate();
    assert!(server.exited().await.success());
    let received = none.received();
    assert!(
        received.logs.is_empty() && received.metrics.is_empty(),
        "{received:?}"
    );
}

#[tokio::test]
async fn variables_without_effect_and_unused_values_are_reported_once() {
    let collector = Collector::http().await;
    let dir = tempfile::tempdir().unwrap();
    let environment = [
        ("OTEL_BSP_SCHEDULE_DELAY", "1000"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/x"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization: Bearer secret"),
        ("OTEL_METRICS_EXPORTER", "console"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=%zz"),
        ("OTEL_SDK_DISABLED", "yes"),
        ("OTEL_TRACES_SAMPLER", "xray"),
    ];
    let _server = serve(dir.path(), &collector.url, &environment, &[]).await;
    eventually("logs come nevertheless", || async {
        (!collector.received().logs.is_empty()).then_some(())
    })
    .await;
    let log = log_of(dir.path());
    for part in [
        "no effect here: OTEL_BSP_SCHEDULE_DELAY, OTEL_EXPORTER_OTLP_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_COMPRESSION is \\\"brotli\\\"",
        "OTEL_EXPORTER_OTLP_HEADERS has entries that are not sent (number 1)",
        "OTEL_METRICS_EXPORTER is \\\"console\\\"",
        "OTEL_RESOURCE_ATTRIBUTES is not used",
        "OTEL_SDK_DISABLED is \\\"yes\\\", which must be true or false",
        "OTEL_TRACES_SAMPLER is \\\"xray\\\"",
    ] {
        assert_eq!(log.matches(part).count(), 1, "{part}: {log}");
    }
    assert!(!log.contains("Bearer secret"), "{log}");
}
