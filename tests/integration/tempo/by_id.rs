//! Reads one trace by its id.

use std::sync::Arc;

use concertctl::embedded::tempo::TempoConfig;
use concertctl::telemetry::TraceRecord;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as ProtoKind;
use prost::Message;
use reqwest::header;
use serde_json::json;

use super::{MS, SECOND, Server, request, span};

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
