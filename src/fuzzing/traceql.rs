//! Fuzz target `traceql`: TraceQL, tag searches and look-ups, through the HTTP API of the embedded Tempo.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use axum::Router;

use crate::embedded::tempo::{TempoConfig, TempoStore, routes};
use crate::telemetry::trace::Value;
use crate::telemetry::{SpanKind, SpanRecord, TraceRecord};

use super::inputs::{encode, first_line, get, text};

/// Seconds since 1970 of the first trace.
const START: u64 = 1_700_000_000;
const TRACES: u64 = 8;

fn trace(nth: u64) -> Arc<TraceRecord> {
    let failed = nth.is_multiple_of(3);
    let span = |id: u64, parent: Option<u64>, name: &'static str| SpanRecord {
        name: Cow::Borrowed(name),
        kind: SpanKind::Server,
        span_id: id,
        parent_span_id: parent,
        start_ns: (START + nth) * 1_000_000_000,
        duration_ns: nth * 10_000_000,
        attributes: vec![
            ("http.route", "/queue".into()),
            (
                "http.response.status_code",
                Value::Int(200 + i64::from(failed) * 300),
            ),
            ("share", Value::Float(0.5)),
            ("retried", Value::Bool(failed)),
        ],
        error: failed.then_some(Cow::Borrowed("timeout")),
    };
    Arc::new(TraceRecord {
        trace_id: u128::from(nth) + 1,
        service_name: "concertctl-api",
        instance: Some(Arc::from("a:1")),
        spans: vec![
            span(nth * 2 + 1, None, "GET /queue"),
            span(nth * 2 + 2, Some(nth * 2 + 1), "db.acquire"),
        ],
    })
}

static ROUTER: LazyLock<Router> = LazyLock::new(|| {
    // The traces are from long ago.
    let store = Arc::new(TempoStore::new(TempoConfig {
        retention: std::time::Duration::MAX,
        ..TempoConfig::default()
    }));
    for nth in 0..TRACES {
        store.push(&trace(nth));
    }
    routes(store)
});

/// If the first line is `tags`, `values`, `trace`, `params` (a whole query string) or `q`, it selects the use of the
/// rest. Otherwise the whole input is a query. `values` uses the rest twice: as a tag of the first version of the API,
/// and as a field and a query of the second.
pub(super) fn run(data: &[u8]) {
    let (kind, rest) = first_line(text(data));
    let window = format!("start={START}&end={}", START + TRACES);
    let answer = match kind {
        "tags" => get(
            &ROUTER,
            &format!("/api/search?tags={}&{window}", encode(rest)),
        ),
        "values" => {
            get(&ROUTER, &format!("/api/search/tag/{}/values", encode(rest)));
            let (field, query) = first_line(rest);
            let path = format!("/api/v2/search/tag/{}/values", encode(field));
            get(&ROUTER, &format!("{path}?q={}", encode(query)))
        }
        "trace" => {
            let path = format!("/api/traces/{}", encode(rest));
            let one = get(&ROUTER, &path);
            let two = get(&ROUTER, &path.replacen("/api", "/api/v2", 1));
            assert_eq!(one.0, two.0, "the versions disagree on {rest:?}");
            one
        }
        "params" => get(&ROUTER, &format!("/api/search?{}", raw(rest))),
        "q" => search(rest, &window),
        _ => search(text(data), &window),
    };
    if answer.0.is_success() {
        let read: Result<serde_json::Value, _> = serde_json::from_slice(&answer.1);
        read.expect("an answer is JSON");
    }
}

fn search(query: &str, window: &str) -> (http::StatusCode, Vec<u8>) {
    get(
        &ROUTER,
        &format!("/api/search?q={}&{window}", encode(query)),
    )
}

/// Keeps only the characters of a query string. Its separators and escapes stay as they are.
fn raw(text: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || "&=%+.-_[]".contains(c);
    text.chars().filter(|c| kept(*c)).collect()
}
