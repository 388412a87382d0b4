//! The embedded Tempo over TCP has the shapes and rules of Tempo's documentation, and the client reads it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use concertctl::clients::tempo::{Kind, Status, Tempo, TraceSearch};
use concertctl::clients::{ClientError, HttpSource};
use concertctl::embedded::tempo::{QueryLimits, TempoConfig, TempoStore, routes};
use concertctl::telemetry::{SpanKind, SpanRecord, TraceRecord, Value};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as ProtoKind;
use prost::Message;
use reqwest::{Client, StatusCode, header};
use serde_json::{Value as Json, json};
use tokio_util::task::AbortOnDropHandle;

use crate::support::process::ServerProcess;
use crate::support::{eventually, guarded_source, profile, seed};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

struct Server {
    store: Arc<TempoStore>,
    base: String,
    client: Client,
    /// The start of the first trace in nanoseconds: a whole second, a minute ago.
    t0: u64,
    _serving: AbortOnDropHandle<()>,
}

fn span(name: &'static str, id: u64, parent: Option<u64>, start_ns: u64, ms: u64) -> SpanRecord {
    SpanRecord {
        name: name.into(),
        kind: if parent.is_none() {
            SpanKind::Server
        } else {
            SpanKind::Client
        },
        span_id: id,
        parent_span_id: parent,
        start_ns,
        duration_ns: ms * MS,
        attributes: Vec::new(),
        error: None,
    }
}

/// A request of `ms` with a statement. In a failed request the statement failed.
fn request(id: u128, route: &'static str, start_ns: u64, ms: u64, failed: bool) -> TraceRecord {
    let code = if failed { 503 } else { 200 };
    let mut root = span(route, 1, None, start_ns, ms);
    root.attributes = vec![
        ("http.route", Value::Text(route.into())),
        ("http.response.status_code", Value::Int(code)),
        ("cached", Value::Bool(false)),
    ];
    root.error = failed.then(|| "the pool is exhausted".into());
    let mut wait = span("db.acquire", 2, Some(1), start_ns + MS, ms / 2);
    wait.attributes = vec![("db.share", Value::Float(0.5))];
    TraceRecord {
        trace_id: id,
        service_name: "concertctl-api",
        instance: Some("127.0.0.1:8080".into()),
        spans: vec![root, wait],
    }
}

impl Server {
    async fn start(config: TempoConfig) -> Server {
        let store = Arc::new(TempoStore::new(config));
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = socket.local_addr().unwrap();
        let app = routes(Arc::clone(&store));
        let serving = tokio::spawn(async move { axum::serve(socket, app).await.unwrap() });
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        Server {
            store,
            base: format!("http://{address}"),
            client: concertctl::http_client::builder()
                .timeout(Duration::from_secs(30))
                .build()
                .unwrap(),
            t0: (now - 60) * SECOND,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// Three requests, a second apart: fast, failed, slow.
    async fn with_traces() -> Server {
        let server = Server::start(TempoConfig::default()).await;
        let t0 = server.t0;
        for record in [
            request(0xa1, "/queue", t0, 20, false),
            request(0xa2, "/reservations", t0 + SECOND, 100, true),
            request(0xa3, "/queue", t0 + 2 * SECOND, 700, false),
        ] {
            server.store.push(&Arc::new(record));
        }
        server
    }

    async fn get(&self, path: &str, params: &[(&str, &str)]) -> (StatusCode, String) {
        let url = format!("{}{path}", self.base);
        let response = self.client.get(url).query(params).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    async fn json(&self, path: &str, params: &[(&str, &str)]) -> Json {
        let (status, body) = self.get(path, params).await;
        assert_eq!(status, 200, "{path} {params:?}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The last two digits of the ids that a search finds, in its order.
    async fn found(&self, params: &[(&str, &str)]) -> Vec<String> {
        let answer = self.json("/api/search", params).await;
        let traces = answer["traces"].as_array().unwrap().iter();
        let id = |trace: &Json| trace["traceID"].as_str().unwrap()[30..].to_owned();
        traces.map(id).collect()
    }

    async fn refused(&self, path: &str, params: &[(&str, &str)]) -> String {
        let (status, body) = self.get(path, params).await;
        assert_eq!(status, 400, "{path} {params:?}: {body}");
        body
    }

    fn tempo(&self) -> Tempo {
        Tempo::new(HttpSource::new(&self.base).unwrap())
    }
}

#[tokio::test]
async fn a_trace_has_tempos_json_with_base64_ids_and_names_of_kinds() {
    let server = Server::with_traces().await;
    let t0 = server.t0 + SECOND;
    let answer = server.json("/api/traces/a2", &[]).await;
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let batches = json!([{
        "resource": {"attributes": [
            text("service.name", "concertctl-api"), text("service.instance.id", "127.0.0.1:8080")]},
        "scopeSpans": [{"scope": {"name": "concertctl"}, "spans": [
            {
                "traceId": "AAAAAAAAAAAAAAAAAAAAog==", "spanId": "AAAAAAAAAAE=",
                "name": "/reservations", "kind": "SPAN_KIND_SERVER",
                "startTimeUnixNano": t0.to_string(), "endTimeUnixNano": (t0 + 100 * MS).to_string(),
                "attributes": [
                    text("http.route", "/reservations"),
                    {"key": "http.response.status_code", "value": {"intValue": "503"}},
                    {"key": "cached", "value": {"boolValue": false}}],
                "status": {"code": "STATUS_CODE_ERROR", "message": "the pool is exhausted"},
            },
            {
                "traceId": "AAAAAAAAAAAAAAAAAAAAog==", "spanId": "AAAAAAAAAAI=",
                "parentSpanId": "AAAAAAAAAAE=",
                "name": "db.acquire", "kind": "SPAN_KIND_CLIENT",
                "startTimeUnixNano": (t0 + MS).to_string(), "endTimeUnixNano": (t0 + 51 * MS).to_string(),
                "attributes": [{"key": "db.share", "value": {"doubleValue": 0.5}}],
                "status": {},
            }]}],
    }]);
    assert_eq!(answer, json!({ "batches": batches }));
    let id = format!("{:032X}", 0xa2);
    let second = server.json(&format!("/api/v2/traces/{id}"), &[]).await;
    assert_eq!(second["trace"], json!({ "resourceSpans": batches }));
}

/// The message that Grafana decodes from the second version's answer. On the wire, `Trace` is the same as `TracesData`.
#[derive(Clone, PartialEq, Message)]
struct TraceByIdResponse {
    #[prost(message, optional, tag = "1")]
    trace: Option<TracesData>,
}

#[tokio::test]
async fn grafana_gets_protobuf_in_both_versions_of_the_api() {
    let server = Server::with_traces().await;
    let ask = async |path: &str, accept: &str| {
        let request = server.client.get(format!("{}{path}", server.base));
        let response = request.header(header::ACCEPT, accept).send().await.unwrap();
        let kind = response.headers()[header::CONTENT_TYPE].clone();
        (kind, response.bytes().await.unwrap())
    };
    let (kind, body) = ask("/api/traces/a2", "application/protobuf").await;
    assert_eq!(kind, "application/protobuf");
    let one = TracesData::decode(body).unwrap();
    let (_, body) = ask(
        "/api/v2/traces/a2",
        "text/plain, application/protobuf;q=0.9",
    )
    .await;
    let two = TraceByIdResponse::decode(body).unwrap();
    assert_eq!(two.trace, Some(one.clone()));
    let spans = &one.resource_spans[0].scope_spans[0].spans;
    assert!(one.resource_spans[0].scope_spans[0].scope.is_some());
    assert_eq!(spans[0].trace_id, 0xa2u128.to_be_bytes());
    assert_eq!(spans[0].kind(), ProtoKind::Server);
    assert!(spans[0].parent_span_id.is_empty());
    assert_eq!(spans[1].parent_span_id, 1u64.to_be_bytes());
    assert_eq!(spans[0].status.as_ref().unwrap().code, 2);
    assert!(
        spans[1].status.is_some(),
        "Grafana reads the status without a check"
    );
    assert_eq!(
        spans[1].end_time_unix_nano - spans[1].start_time_unix_nano,
        50 * MS
    );
    let (kind, _) = ask("/api/traces/a2", "application/json").await;
    assert_eq!(kind, "application/json");
}

#[tokio::test]
async fn an_unknown_trace_is_not_found_and_an_invalid_id_is_refused() {
    let server = Server::with_traces().await;
    for path in [
        "/api/traces/a4",
        "/api/v2/traces/0",
        "/api/traces/a1?start=1&end=2",
    ] {
        let (status, body) = server.get(path, &[]).await;
        assert_eq!(
            (status.as_u16(), body.as_str()),
            (404, "trace not found\n"),
            "{path}"
        );
    }
    let start = (server.t0 / SECOND).to_string();
    let within = [("start", start.as_str()), ("end", start.as_str())];
    server.json("/api/traces/a1", &within).await;
    let long = format!("/api/traces/{}", "a".repeat(33));
    for (path, why) in [
        ("/api/traces/xyz", "hex characters"),
        ("/api/traces/%FF", "UTF-8"),
        ("/api/v2/traces/a1%20", "hex characters"),
        (long.as_str(), "128 bits"),
        ("/api/traces/a1?start=soon", "invalid start"),
        ("/api/traces/a1?start=2&end=1", "start must be before end"),
        ("/api/v2/traces/a1?q={}", "'q' is not supported"),
    ] {
        let text = server.refused(path, &[]).await;
        assert!(text.contains(why), "{path}: {text}");
    }
}

#[tokio::test]
async fn spans_of_several_services_are_one_trace() {
    let server = Server::start(TempoConfig::default()).await;
    let t0 = server.t0;
    let mut api = request(0xa1, "/queue", t0 + 10 * MS, 20, false);
    api.spans[0].parent_span_id = Some(9);
    server.store.push(&Arc::new(api.clone()));
    let answer = server.json("/api/search", &[("q", "{}")]).await;
    assert_eq!(answer["traces"][0]["rootTraceName"], "/queue");
    server.store.push(&Arc::new(TraceRecord {
        trace_id: 0xa1,
        service_name: "concertctl-load",
        instance: None,
        spans: vec![span("poll", 9, None, t0, 35)],
    }));
    let query =
        r#"{ rootServiceName = "concertctl-load" && resource.service.name = "concertctl-api" }"#;
    let answer = server.json("/api/search", &[("q", query)]).await;
    let traces = answer["traces"].as_array().unwrap();
    assert_eq!(traces.len(), 1, "{answer}");
    let expected = json!({
        "traceID": format!("{:032x}", 0xa1),
        "rootServiceName": "concertctl-load",
        "rootTraceName": "poll",
        "startTimeUnixNano": t0.to_string(),
        "durationMs": 35,
        "serviceStats": {"concertctl-api": {"spanCount": 2}, "concertctl-load": {"spanCount": 1}},
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&traces[0][name], value, "{name}");
    }
    let whole = server.json("/api/traces/a1", &[]).await;
    assert_eq!(whole["batches"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_query_returns_the_matching_spans_with_the_newest_trace_first() {
    let server = Server::with_traces().await;
    let query = r#"{ span.http.response.status_code >= 500 && status = error }"#;
    let answer = server.json("/api/search", &[("q", query)]).await;
    let t0 = server.t0 + SECOND;
    let set = json!({"matched": 1, "spans": [{
        "spanID": "0000000000000001", "name": "/reservations",
        "startTimeUnixNano": t0.to_string(), "durationNanos": "100000000",
        "attributes": [
            {"key": "http.response.status_code", "value": {"intValue": "503"}},
            {"key": "status", "value": {"stringValue": "error"}}],
    }]});
    assert_eq!(
        answer["traces"],
        json!([{
            "traceID": format!("{:032x}", 0xa2),
            "rootServiceName": "concertctl-api", "rootTraceName": "/reservations",
            "startTimeUnixNano": t0.to_string(), "durationMs": 100,
            "spanSet": set, "spanSets": [set],
            "serviceStats": {"concertctl-api": {"spanCount": 2, "errorCount": 1}},
        }])
    );
    assert_eq!(server.found(&[("q", "{}")]).await, ["a3", "a2", "a1"]);
    assert_eq!(
        server.found(&[("q", "{}"), ("limit", "2")]).await,
        ["a3", "a2"]
    );
    let answer = server
        .json("/api/search", &[("q", "{}"), ("spss", "1")])
        .await;
    let set = &answer["traces"][0]["spanSet"];
    assert_eq!(set["matched"], 2);
    assert_eq!(set["spans"].as_array().unwrap().len(), 1);
    let both = [
        ("q", "{ duration > 5ms }"),
        ("minDuration", "50ms"),
        ("maxDuration", "200ms"),
    ];
    assert_eq!(server.found(&both).await, ["a2"]);
}

#[tokio::test]
async fn tags_durations_and_times_narrow_a_search() {
    let server = Server::with_traces().await;
    let second = |n: u64| (server.t0 / SECOND + n).to_string();
    let (first, last) = (second(1), second(1));
    for (params, expected) in [
        (vec![], vec!["a3", "a2", "a1"]),
        (vec![("tags", "http.route=/QUE")], vec!["a3", "a1"]),
        (vec![("tags", "error=true")], vec!["a2"]),
        (vec![("tags", "status.code=error name=db.acq")], vec!["a2"]),
        (vec![("tags", "http.response.status_code=503")], vec!["a2"]),
        (vec![("tags", "http.response.status_code=50")], vec![]),
        (
            vec![("tags", "cached=false db.share=0.5")],
            vec!["a3", "a2", "a1"],
        ),
        (
            vec![(
                "tags",
                "service.name=concertctl service.instance.id=8080 root.name=reserv",
            )],
            vec!["a2"],
        ),
        (vec![("tags", "root.service.name=load")], vec![]),
        (vec![("tags", "nothing=x")], vec![]),
        (vec![("minDuration", "100ms")], vec!["a3", "a2"]),
        (vec![("maxDuration", "100ms")], vec!["a2", "a1"]),
        (
            vec![("minDuration", "0.05s"), ("maxDuration", "150ms")],
            vec!["a2"],
        ),
        (vec![("start", first.as_str())], vec!["a3", "a2"]),
        (
            vec![("start", first.as_str()), ("end", last.as_str())],
            vec!["a2"],
        ),
        (vec![("end", "10")], vec![]),
    ] {
        assert_eq!(server.found(&params).await, expected, "{params:?}");
    }
    let answer = server.json("/api/search", &[("tags", "error=true")]).await;
    assert_eq!(
        answer["traces"][0].get("spanSets"),
        None,
        "like Tempo, only for TraceQL"
    );
}

#[tokio::test]
async fn unsupported_searches_are_refused_and_never_ignored() {
    let server = Server::with_traces().await;
    let long = format!("{{ name = \"{}\" }}", "x".repeat(6_000));
    let tags = "a=1 ".repeat(3_000);
    for (params, why) in [
        (vec![("q", "{} | count() > 1")], "| after the braces"),
        (
            vec![("q", "{ .a = 1 } && { .b = 1 }")],
            "&& after the braces",
        ),
        (
            vec![("q", "{ name =~ \"(\" }")],
            "invalid regular expression",
        ),
        (vec![("q", long.as_str())], "too long"),
        (vec![("tags", tags.as_str())], "too long"),
        (vec![("tags", "a=1 a=2")], "set twice"),
        (vec![("q", "{}"), ("tags", "a=1")], "either q or tags"),
        (
            vec![("service.name", "x")],
            "'service.name' is not supported",
        ),
        (vec![("limit", "0")], "positive"),
        (vec![("limit", "-1")], "positive"),
        (vec![("limit", "1001")], "exceeds the maximum"),
        (vec![("spss", "101")], "exceeds the maximum"),
        (vec![("minDuration", "soon")], "invalid minDuration"),
        (
            vec![("minDuration", "2s"), ("maxDuration", "1s")],
            "greater than minDuration",
        ),
        (
            vec![("start", "2"), ("end", "1")],
            "start must be before end",
        ),
        (vec![("start", "99999999999999999999999")], "invalid start"),
    ] {
        let text = server.refused("/api/search", &params).await;
        assert!(text.contains(why), "{params:?}: {text}");
    }
    assert!(
        server
            .refused("/api/search?q=%zz", &[])
            .await
            .contains("escape")
    );
    let text = server.refused("/api/search/tags", &[("scope", "x")]).await;
    assert!(text.contains("invalid scope"), "{text}");
    let text = server
        .refused("/api/v2/search/tag/service.name/values", &[])
        .await;
    assert!(text.contains("scope service"), "{text}");
    let long = format!("/api/v2/search/tag/.{}/values", "x".repeat(6_000));
    let text = server.refused(&long, &[]).await;
    assert!(text.contains("too long"), "{text}");
}

#[tokio::test]
async fn searchable_names_and_values_are_listed() {
    let server = Server::with_traces().await;
    let names = server.json("/api/search/tags", &[("scope", "span")]).await;
    let of_spans = json!([
        "cached",
        "db.share",
        "http.response.status_code",
        "http.route"
    ]);
    assert_eq!(names["tagNames"], of_spans);
    let all = server.json("/api/search/tags", &[]).await;
    let all = all["tagNames"].as_array().unwrap().clone();
    assert!(all.contains(&json!("service.name")) && all.contains(&json!("duration")));
    let scopes = server.json("/api/v2/search/tags", &[]).await["scopes"].clone();
    assert_eq!(
        scopes[0],
        json!({"name": "resource", "tags": ["service.instance.id", "service.name"]})
    );
    assert_eq!(scopes[1], json!({"name": "span", "tags": of_spans}));
    assert_eq!(scopes[2]["name"], "intrinsic");

    for (tag, expected) in [
        ("service.name", json!(["concertctl-api"])),
        ("http.route", json!(["/queue", "/reservations"])),
        ("http.response.status_code", json!(["200", "503"])),
        ("status.code", json!(["error", "unset"])),
        ("root.name", json!(["/queue", "/reservations"])),
        ("nothing", json!([])),
    ] {
        let values = server
            .json(&format!("/api/search/tag/{tag}/values"), &[])
            .await;
        assert_eq!(values["tagValues"], expected, "{tag}");
    }
    let typed = |kind: &str, value: &str| json!({"type": kind, "value": value});
    for (tag, query, expected) in [
        (
            "resource.service.name",
            None,
            json!([typed("string", "concertctl-api")]),
        ),
        (
            ".http.response.status_code",
            None,
            json!([typed("int", "200"), typed("int", "503")]),
        ),
        (
            "status",
            None,
            json!([typed("keyword", "error"), typed("keyword", "unset")]),
        ),
        ("span.cached", None, json!([typed("bool", "false")])),
        ("span.db.share", None, json!([typed("float", "0.5")])),
        ("duration", None, json!([])),
        (
            "name",
            Some("{ status = error }"),
            json!([typed("string", "/reservations")]),
        ),
        // The query is incomplete, as while a user types it.
        (
            "kind",
            Some("{ name = }"),
            json!([typed("keyword", "client"), typed("keyword", "server")]),
        ),
    ] {
        let params: Vec<_> = query.into_iter().map(|query| ("q", query)).collect();
        let values = server
            .json(&format!("/api/v2/search/tag/{tag}/values"), &params)
            .await;
        assert_eq!(values["tagValues"], expected, "{tag}");
    }
    let one = server
        .json("/api/search/tag/http.route/values", &[("limit", "1")])
        .await;
    assert_eq!(one["tagValues"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn grafanas_test_of_the_connection_is_answered() {
    let server = Server::start(TempoConfig::default()).await;
    assert_eq!(
        server.get("/api/echo", &[]).await,
        (StatusCode::OK, "echo".to_owned())
    );
    let info = server.json("/api/status/buildinfo", &[]).await;
    assert_eq!(info["version"], "2.6.0");
}

/// Without the index each of these searches would read all traces.
#[tokio::test]
async fn a_search_reads_few_of_many_traces() {
    let server = Server::start(TempoConfig::default()).await;
    let t0 = server.t0;
    for n in 0..5_000u64 {
        let failed = n == 2_500;
        let record = request(u128::from(n) + 1, "/queue", t0 + n * MS, 5 + n % 50, failed);
        server.store.push(&Arc::new(record));
    }
    for (params, found, at_most) in [
        (
            vec![("q", "{ span.http.response.status_code >= 500 }")],
            1,
            1,
        ),
        (
            vec![(
                "q",
                "{ span.http.response.status_code != 200 && name =~ \"/q.*\" }",
            )],
            1,
            1,
        ),
        (
            vec![("q", "{ name = \"db.acquire\" && .http.route = \"/other\" }")],
            0,
            0,
        ),
        (vec![("tags", "http.route=QUEUE error=true")], 1, 1),
        (vec![("q", "{ kind = server }")], 20, 256),
        (vec![("minDuration", "54ms")], 20, 100),
    ] {
        let answer = server.json("/api/search", &params).await;
        assert_eq!(
            answer["traces"].as_array().unwrap().len(),
            found,
            "{params:?}"
        );
        let looked = answer["metrics"]["inspectedTraces"].as_u64().unwrap();
        assert!(looked <= at_most, "{params:?} looked at {looked}");
    }
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_given_up() {
    let server = Server::start(TempoConfig {
        limits: QueryLimits {
            timeout: Duration::ZERO,
            ..QueryLimits::default()
        },
        ..TempoConfig::default()
    })
    .await;
    let record = request(1, "/queue", server.t0, 5, false);
    server.store.push(&Arc::new(record));
    let (status, text) = server.get("/api/search", &[]).await;
    assert_eq!(status, 504, "{text}");
    assert!(text.contains("timed out"), "{text}");
}

#[tokio::test]
async fn the_client_finds_traces_and_reads_one() {
    let server = Server::with_traces().await;
    let tempo = server.tempo();
    let second = server.t0 / SECOND;
    let mut search = TraceSearch {
        limit: 10,
        ..TraceSearch::default()
    };
    let ids = async |search: &TraceSearch| -> Vec<String> {
        let found = tempo.search(search).await.unwrap();
        assert!(found.is_whole);
        found
            .traces
            .into_iter()
            .map(|it| it.id[30..].to_owned())
            .collect()
    };
    assert_eq!(ids(&search).await, ["a3", "a2", "a1"]);
    search.failed = true;
    assert_eq!(ids(&search).await, ["a2"]);
    search.failed = false;
    search.min_ms = Some(600);
    assert_eq!(ids(&search).await, ["a3"]);
    search.max_ms = Some(600);
    assert_eq!(ids(&search).await, [""; 0]);
    search.max_ms = None;
    search.tags = vec![("http.route".into(), "/queue".into())];
    search.min_ms = Some(100);
    assert_eq!(ids(&search).await, ["a3"]);
    search.max_ms = Some(600);
    assert_eq!(ids(&search).await, [""; 0]);
    search = TraceSearch {
        tags: vec![("name".into(), "say \"x\" \\".into())],
        ..search
    };
    assert_eq!(ids(&search).await, [""; 0]);
    search = TraceSearch {
        window: Some((second + 1, second + 1)),
        limit: 10,
        ..TraceSearch::default()
    };
    let found = tempo.search(&search).await.unwrap().traces;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name, "/reservations");
    assert_eq!(
        (found[0].service.as_str(), found[0].duration_ms),
        ("concertctl-api", 100)
    );
    assert_eq!(
        (found[0].start_ns, found[0].errors),
        (server.t0 + SECOND, Some(1))
    );

    let trace = tempo.trace(&found[0].id).await.unwrap().unwrap();
    assert_eq!(
        (trace.start_ns, trace.duration_ns),
        (server.t0 + SECOND, 100 * MS)
    );
    let [root, wait] = &trace.spans[..] else {
        panic!("{trace:?}");
    };
    assert_eq!(root.status, Status::Error("the pool is exhausted".into()));
    assert_eq!((root.kind, wait.kind), (Kind::Server, Kind::Client));
    assert_eq!(
        (root.parent.as_ref(), wait.parent.as_ref()),
        (None, Some(&root.id))
    );
    assert_eq!((wait.offset_ns, wait.duration_ns), (MS, 50 * MS));
    assert_eq!(root.attributes["http.response.status_code"], "503");
    assert_eq!(wait.service, "concertctl-api");
    assert_eq!(tempo.trace("a9").await.unwrap(), None);
}

#[tokio::test]
async fn the_client_returns_tempos_refusals_and_sends_no_unsafe_path() {
    let server = Server::with_traces().await;
    let tempo = server.tempo();
    let search = TraceSearch {
        limit: 5_000,
        ..TraceSearch::default()
    };
    let refused = tempo.search(&search).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "refused (400): invalid limit: 5000 exceeds the maximum of 1000"
    );
    let refused = tempo.trace(&"a".repeat(40)).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "refused (400): trace IDs can't be larger than 128 bits"
    );
    for odd in ["", "../echo", "a1?start=1", "é"] {
        let error = tempo.trace(odd).await.unwrap_err();
        assert!(matches!(error, ClientError::Malformed(_)), "{odd}: {error}");
    }
}

#[tokio::test]
async fn the_operations_listener_has_the_trace_of_a_request_by_the_id_in_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(dir.path(), &["--trace-ratio", "1"]).await;
    seed(&server.ops, &profile(1, 10, 10)).await;
    let answer = server.user(1).register().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let id = answer.header("x-trace-id").unwrap();
    let tempo = Tempo::new(guarded_source(&server.ops_url, &server.ops_token));
    let trace = eventually("the trace is kept", || async {
        tempo.trace(id).await.unwrap()
    })
    .await;
    let root = &trace.spans[0];
    assert_eq!(
        (root.name.as_str(), root.kind),
        ("POST /queue", Kind::Server)
    );
    assert_eq!(root.service, "concertctl-api");
    assert!(
        trace.spans.len() > 1,
        "the trace must have the steps that the request waited for: {trace:?}"
    );
    let search = TraceSearch {
        tags: vec![
            ("name".into(), "POST /queue".into()),
            ("http.response.status_code".into(), "201".into()),
        ],
        limit: 10,
        ..TraceSearch::default()
    };
    let found = tempo.search(&search).await.unwrap().traces;
    assert_eq!((found.len(), found[0].id.as_str()), (1, id), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_finds_the_slowest_traces_behind_a_thousand_fast_polls() {
    let server = Server::start(TempoConfig::default()).await;
    for n in 0..3u64 {
        let start = server.t0 + n * SECOND;
        let slow = request(
            0xb0 + u128::from(n),
            "/reservations",
            start,
            3_000 + n * 100,
            true,
        );
        server.store.push(&Arc::new(slow));
    }
    for n in 0..1_000u64 {
        let start = server.t0 + 20 * SECOND + n * MS;
        server.store.push(&Arc::new(request(
            0x1000 + u128::from(n),
            "/queue",
            start,
            0,
            false,
        )));
    }
    let mut command = crate::support::process::concertctl();
    command.args([
        "tui",
        "--once",
        "--screen",
        "4",
        "--tempo-url",
        &server.base,
    ]);
    command.args(["--ops-url", &server.base]);
    let shown = tokio::task::spawn_blocking(move || command.output());
    let shown = shown.await.unwrap().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let rows: Vec<&str> = shown
        .lines()
        .filter(|line| line.contains("/reservations"))
        .collect();
    assert_eq!(rows.len(), 3, "{shown}");
    assert!(
        rows[0].contains("3.20 s") && rows[0].contains('✖'),
        "{shown}"
    );
    assert!(shown.contains("200 traces, all from "), "{shown}");
}
