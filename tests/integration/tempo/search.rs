//! Searches by TraceQL and by tags, and the names and values that can be searched for.

use std::sync::Arc;
use std::time::Duration;

use concertctl::embedded::tempo::{QueryLimits, TempoConfig};
use reqwest::StatusCode;
use serde_json::json;

use super::{MS, SECOND, Server, request};

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
