//! The cost of a log record, a span and a measurement for the thread that makes it, and the duration of searches over
//! a million records: `cargo bench --bench telemetry`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use concertctl::embedded::loki::{LokiConfig, LokiStore, routes};
use concertctl::embedded::tempo::{self, TempoConfig, TempoStore};
use concertctl::telemetry::{
    AccessRecord, LogConfig, LogLimits, LogOutput, Metrics, RequestSpan, ReservationOutcome,
    SpanKind, SpanRecord, TraceConfig, TraceContext, TraceRecord, Value, logs,
};
use tower::ServiceExt as _;

fn main() -> anyhow::Result<()> {
    metrics()?;
    access_records()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(search())?;
    runtime.block_on(traces())
}

/// The time per call: the median of five rounds of `n` calls.
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
        limits: LogLimits::default(),
        traces: TraceConfig::default(),
    })?;
    let record = AccessRecord {
        method: "GET",
        route: "/queue",
        status: 200,
        took: Duration::from_micros(731),
        user: Some(1),
        of_interest: true,
        is_probe: false,
    };
    tracing::subscriber::with_default(subscriber, || {
        let of_one = RequestSpan::begin(TraceContext::fresh(), Instant::now(), true);
        measure("access record", 100_000, || of_one.log_access(&record));
        measure("access record with its request span", 100_000, || {
            let span = RequestSpan::begin(TraceContext::fresh(), Instant::now(), true);
            span.run(|| span.log_access(&record));
        });
        measure("another record", 100_000, || {
            tracing::info!(place = 17_u64, "admitted");
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

/// The form `query=…`, percent-encoded.
fn url_form(query: &str) -> String {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("query={encoded}")
}

/// Searches over 50,000 traces of six spans.
async fn traces() -> anyhow::Result<()> {
    let store = Arc::new(TempoStore::new(TempoConfig {
        max_bytes: 1 << 30,
        ..TempoConfig::default()
    }));
    let now = u64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_nanos())?;
    let started = Instant::now();
    for n in 0..50_000u64 {
        store.push(&Arc::new(trace(n, now - (50_000 - n) * 1_000_000)));
    }
    let (took, stats) = (started.elapsed(), store.stats());
    #[allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
    {
        println!("50,000 traces stored in {took:?}: {stats:?}");
    }
    for (name, query) in [
        ("traces: all", "{}"),
        ("traces: one that failed", "{ status = error }"),
        ("traces: by user", "{ .user.id = 25000 }"),
        ("traces: by user beyond the index", "{ .user.id = 49999 }"),
        (
            "traces: a regular expression, none",
            "{ name =~ \".*nothing.*\" }",
        ),
        (
            "traces: two conditions, none together",
            "{ .http.route = \"/queue\" && .db.rows = 3 }",
        ),
        ("traces: slow spans, none", "{ duration > 1m }"),
        (
            "traces: everything looked at",
            "{ .missing = nil && duration < 1ns }",
        ),
    ] {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut rounds = Vec::new();
        for _ in 0..5 {
            let uri = format!("/api/search?q={query}");
            let request = http::Request::get(uri).body(Body::empty())?;
            let started = Instant::now();
            let answer = tempo::routes(Arc::clone(&store)).oneshot(request).await?;
            anyhow::ensure!(answer.status() == 200, "{name}: {}", answer.status());
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

fn trace(n: u64, start_ns: u64) -> TraceRecord {
    let number = i64::try_from(n).unwrap_or(0);
    let route = if n.is_multiple_of(2) {
        "/queue"
    } else {
        "/seats"
    };
    let span = |at: u64| SpanRecord {
        name: if at == 0 { route } else { "db.operation" }.into(),
        kind: if at == 0 {
            SpanKind::Server
        } else {
            SpanKind::Client
        },
        span_id: n * 8 + at + 1,
        parent_span_id: (at > 0).then_some(n * 8 + 1),
        start_ns: start_ns + at * 1000,
        duration_ns: 700_000 + at,
        attributes: if at == 0 {
            vec![
                ("http.route", Value::Text(route.into())),
                ("http.response.status_code", Value::Int(200)),
                ("user.id", Value::Int(number)),
            ]
        } else {
            vec![
                ("db.operation.name", Value::Text("seat.list".into())),
                ("db.rows", Value::Int(number % 7)),
            ]
        },
        error: (n == 25_000).then(|| "broken".into()),
    };
    TraceRecord {
        trace_id: u128::from(n) + 1,
        service_name: "concertctl-api",
        instance: None,
        spans: (0..6).map(span).collect(),
    }
}
