//! What telemetry costs the one who is observed, and what a search over a million records takes:
//! `cargo bench --bench telemetry`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use concertctl::embedded::loki::{LokiConfig, LokiStore, routes};
use concertctl::telemetry::{
    LogConfig, LogOutput, Metrics, ReservationOutcome, TraceConfig, TraceContext, logs,
};
use tower::ServiceExt as _;

fn main() -> anyhow::Result<()> {
    metrics()?;
    access_records()?;
    tokio::runtime::Runtime::new()?.block_on(search())
}

/// Median of five rounds of `n` calls, a call.
#[allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn measure(name: &str, n: u32, mut call: impl FnMut()) {
    let mut rounds: Vec<Duration> = (0..5)
        .map(|_| {
            let started = Instant::now();
            (0..n).for_each(|_| call());
            started.elapsed() / n
        })
        .collect();
    rounds.sort_unstable();
    println!("{name:<48} {:>12?}", rounds[2]);
}

fn metrics() -> anyhow::Result<()> {
    let metrics = Metrics::new()?;
    let route = metrics.route("GET", "/queue");
    measure("request metered (start and finish)", 1_000_000, || {
        route.start();
        route.finish(200, Duration::from_micros(700));
    });
    measure("statement metered", 1_000_000, || {
        metrics.db_operation("reservation.create", Duration::from_micros(700));
    });
    measure("outcome counted", 1_000_000, || {
        metrics.reservation(ReservationOutcome::Reserved);
    });
    measure("/metrics rendered", 50, || {
        drop(black_box(metrics.render()))
    });
    Ok(())
}

fn access_records() -> anyhow::Result<()> {
    let (subscriber, logs) = logs::build(LogConfig {
        service_name: "concertctl-api",
        output: LogOutput::None,
        filter: "info".to_owned(),
        queue: 4_000_000,
        traces: TraceConfig::default(),
    })?;
    let record = || {
        tracing::info!(
            method = "GET",
            route = "/queue",
            status = 200_u64,
            duration_ms = 0.731,
            user = 1,
            "GET /queue 200"
        );
    };
    tracing::subscriber::with_default(subscriber, || {
        measure("access record", 100_000, record);
        measure("access record with its request span", 100_000, || {
            TraceContext::fresh().span("request").in_scope(record);
        });
        measure("record that is not wanted", 1_000_000, || {
            tracing::debug!(method = "GET", "request");
        });
    });
    anyhow::ensure!(logs.flush(Duration::from_secs(30)), "the log did not drain");
    Ok(())
}

async fn search() -> anyhow::Result<()> {
    const FIRST_NS: i64 = 1_700_000_000_000_000_000;
    let store = Arc::new(LokiStore::new(LokiConfig {
        max_bytes: 512 << 20,
        ..LokiConfig::default()
    }));
    for n in 0..1_000_000_i64 {
        let line = format!(
            "{{\"timestamp\":\"2023-11-14T22:13:20.123456Z\",\"level\":\"INFO\",\"trace_id\":\"{n:032x}\",\
             \"span_id\":\"{n:016x}\",\"parent_span_id\":null,\"service_name\":\"concertctl-api\",\
             \"message\":\"GET /queue 200\",\"additional_data\":{{\"method\":\"GET\",\"status\":200}}}}"
        );
        let labels = [("level", "info"), ("service_name", "concertctl-api")];
        store.push(&labels, FIRST_NS + n * 1_000, &line);
    }
    for (name, query) in [
        (
            "1 M records, text that is not there",
            r#"{level="info"} |= "nothere""#,
        ),
        (
            "1 M records, one trace",
            r#"{level="info"} | json | trace_id="00000000000000000000000000000007""#,
        ),
        (
            "1 M records, counted by level",
            r#"sum by (level) (count_over_time({level="info"}[1m]))"#,
        ),
    ] {
        let mut form = url_form(query);
        form.push_str(&format!(
            "&start={FIRST_NS}&end={}",
            FIRST_NS + 60_000_000_000
        ));
        let mut rounds = Vec::new();
        for _ in 0..5 {
            let request = http::Request::get(format!("/loki/api/v1/query_range?{form}"))
                .body(Body::empty())?;
            let started = Instant::now();
            let answer = routes(Arc::clone(&store)).oneshot(request).await?;
            anyhow::ensure!(answer.status() == 200, "{query}: {}", answer.status());
            axum::body::to_bytes(answer.into_body(), usize::MAX).await?;
            rounds.push(started.elapsed());
        }
        rounds.sort_unstable();
        #[allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
        {
            println!("{name:<48} {:>12?}", rounds[2]);
        }
    }
    Ok(())
}

/// `query=…`, percent-encoded.
fn url_form(query: &str) -> String {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("query={encoded}")
}
