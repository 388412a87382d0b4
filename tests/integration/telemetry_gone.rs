//! The telemetry stack is unreachable or silent: nothing waits for it, lost records are counted, and the log reports it
//! once.

use std::path::Path;
use std::time::Duration;

use concertctl::api::ops::{Fault, LinkCut};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::support::collector::Collector;
use crate::support::port::Port;
use crate::support::process::{ServerProcess, concertctl, finish, small_rehearsal};
use crate::support::{User, eventually, profile, seed, token_of};

/// A time longer than any test, in milliseconds.
const FOR_EVER: &str = "3600000";

/// Accepts every connection and never answers.
struct BlackHole {
    url: String,
    _swallowing: AbortOnDropHandle<()>,
}

impl BlackHole {
    async fn open() -> BlackHole {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let swallowing = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = socket.accept().await {
                held.push(stream);
            }
        });
        BlackHole {
            url,
            _swallowing: AbortOnDropHandle::new(swallowing),
        }
    }
}

/// Starts a server with a short time-out for its collector.
async fn serve(dir: &Path, collector: &str) -> ServerProcess {
    serve_with(dir, collector, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "200")]).await
}

async fn serve_with(dir: &Path, collector: &str, environment: &[(&str, &str)]) -> ServerProcess {
    let mut command = concertctl();
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector);
    command.env("OTEL_METRIC_EXPORT_INTERVAL", "500");
    command.envs(environment.iter().copied());
    let log = dir.join("log");
    let log = log.to_str().unwrap();
    let flags = ["--log", "info", "--trace-ratio", "1", "--log-file", log];
    let server = ServerProcess::with(command, dir, &flags).await;
    seed(&server.ops, &profile(1, 10, 100)).await;
    server
}

async fn dropped(server: &ServerProcess, signal: &str) -> u64 {
    let text = User::new(&server.ops_url, 0).get("/metrics").await.text;
    let name = format!("concert_telemetry_dropped_total{{signal=\"{signal}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("{text}"))
        .parse::<f64>()
        .unwrap() as u64
}

/// The log records about deliveries.
fn deliveries(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("log")).unwrap();
    let lines = text.lines().filter(|line| line.contains("the collector"));
    lines.map(ToOwned::to_owned).collect()
}

async fn goes_on_without(collector: &str) {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), collector).await;
    for id in 1..=20 {
        let answer = server.user(id).register().await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    for signal in ["logs", "traces", "metrics"] {
        eventually(&format!("lost {signal} are counted"), || async {
            (dropped(&server, signal).await > 0).then_some(())
        })
        .await;
    }
    let records = deliveries(dir.path());
    for signal in ["logs", "traces", "metrics"] {
        let of: Vec<_> = records
            .iter()
            .filter(|line| line.contains(&format!("{signal} cannot")))
            .collect();
        assert_eq!(of.len(), 1, "the log must report it once: {records:?}");
    }
    server.terminate();
    assert!(server.exited().await.success());
}

#[tokio::test]
async fn a_collector_that_never_answers_delays_no_request() {
    goes_on_without(&BlackHole::open().await.url).await;
}

#[tokio::test]
async fn an_unreachable_collector_delays_no_request() {
    goes_on_without(&format!("http://{}", Port::claim().addr())).await;
}

#[tokio::test]
async fn an_unanswered_export_ends_at_the_default_time_out() {
    let hole = BlackHole::open().await;
    let dir = tempfile::tempdir().unwrap();
    let server = serve_with(dir.path(), &hole.url, &[]).await;
    eventually("the lost push is counted", || async {
        (dropped(&server, "metrics").await > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_stops_although_its_last_export_never_ends() {
    let hole = BlackHole::open().await;
    let dir = tempfile::tempdir().unwrap();
    let patient = [("OTEL_EXPORTER_OTLP_TIMEOUT", FOR_EVER)];
    let server = serve_with(dir.path(), &hole.url, &patient).await;
    assert_eq!(server.user(1).register().await.status, 201);
    server.terminate();
    assert!(server.exited().await.success());
}

#[tokio::test]
async fn an_invalid_export_interval_or_time_out_is_reported_in_the_log() {
    let hole = BlackHole::open().await;
    let dir = tempfile::tempdir().unwrap();
    let wrong = [
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "-5"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "3s"),
    ];
    let _server = serve_with(dir.path(), &hole.url, &wrong).await;
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let warnings: Vec<_> = log
        .lines()
        .filter(|line| line.contains("\"WARN\"") && line.contains("must be a whole number"))
        .collect();
    assert_eq!(
        warnings.len(),
        wrong.len(),
        "each variable must be reported once: {warnings:?}"
    );
    for (variable, _) in wrong {
        assert!(log.contains(&format!("{variable} is ")), "{log}");
    }
}

/// Tests the load generator's own exports, with a server in another process.
#[tokio::test]
async fn a_load_generator_ends_although_its_last_export_never_ends() {
    let hole = BlackHole::open().await;
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &[]).await;
    let mut command = small_rehearsal();
    command.args(["--target", &server.api, "--ops-url", &server.ops_url]);
    command.args(["--reseed", "--otlp", &hole.url]);
    command.env("CONCERTCTL_OPS_TOKEN", token_of(dir.path()));
    command.env("OTEL_EXPORTER_OTLP_TIMEOUT", FOR_EVER);
    let ended = finish(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_rehearsal_passes_although_the_collector_never_answers() {
    let hole = BlackHole::open().await;
    let mut command = small_rehearsal();
    command.args(["--otlp", &hole.url]);
    command.env("OTEL_EXPORTER_OTLP_TIMEOUT", FOR_EVER);
    let ended = finish(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// The fault also makes the metrics unavailable, so they are read after it.
#[tokio::test]
async fn an_injected_fault_keeps_telemetry_from_the_collector_until_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::http().await;
    let server = serve(dir.path(), &collector.url).await;
    let gone = Fault::TelemetryGone {
        how: LinkCut::Refuse,
    };
    let length = Duration::from_secs(120);
    server.ops.inject_fault(&gone, length, None).await.unwrap();
    assert_eq!(server.user(1).register().await.status, 201);
    for signal in ["logs", "metrics"] {
        eventually(&format!("{signal} are not delivered"), || async {
            let reported = deliveries(dir.path());
            let words = format!("{signal} cannot");
            reported
                .iter()
                .any(|line| line.contains(&words))
                .then_some(())
        })
        .await;
    }
    server.ops.end_faults(None).await.unwrap();
    assert!(dropped(&server, "metrics").await > 0);
    for signal in ["logs", "metrics"] {
        eventually(&format!("{signal} are delivered again"), || async {
            let reported = deliveries(dir.path());
            let words = format!("{signal} are delivered to the collector again");
            reported
                .iter()
                .any(|line| line.contains(&words))
                .then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_collector_that_returns_gets_the_waiting_records_and_the_log_reports_it() {
    let dir = tempfile::tempdir().unwrap();
    let port = Port::claim();
    let server = serve(dir.path(), &format!("http://{}", port.addr())).await;
    assert_eq!(server.user(1).register().await.status, 201);
    eventually("the log reports that nothing is delivered", || async {
        deliveries(dir.path())
            .iter()
            .any(|line| line.contains("logs cannot"))
            .then_some(())
    })
    .await;
    let collector = Collector::http_at(port.addr()).await;
    assert_eq!(server.user(2).register().await.status, 201);
    eventually("records come", || async {
        (!collector.received().logs.is_empty()).then_some(())
    })
    .await;
    eventually("the log reports that deliveries succeed", || async {
        deliveries(dir.path())
            .iter()
            .any(|line| line.contains("delivered to the collector again"))
            .then_some(())
    })
    .await;
}
