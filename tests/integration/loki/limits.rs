//! Queries and lines beyond a bound: the store refuses the query, or drops and counts the oldest lines.

use std::time::Duration;

use concertctl::embedded::loki::{LokiConfig, LokiStore, QueryLimits};

use super::{SECOND, Server, T0};

#[tokio::test]
async fn unsupported_queries_are_refused_in_lokis_form() {
    let server = Server::with_lines().await;
    for (query, starts) in [
        (
            "",
            "parse error at line 1, col 1: syntax error: unexpected $end, expecting {",
        ),
        (
            "{",
            "parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }",
        ),
        (
            "{a=1}",
            "parse error at line 1, col 4: syntax error: unexpected NUMBER `1`, expecting STRING",
        ),
        (
            "{a=\"b\"",
            "parse error at line 1, col 7: syntax error: unexpected $end, expecting }",
        ),
        (
            "{a=\"b}",
            "parse error at line 1, col 4: literal not terminated",
        ),
        (
            "{a=\"\\q\"}",
            "parse error at line 1, col 5: invalid char escape",
        ),
        (
            "{a=~\"(\"}",
            "parse error at line 1, col 3: invalid regular expression `(`: unclosed group",
        ),
        (
            "{a=~\"x)(y\"}",
            "parse error at line 1, col 3: invalid regular expression",
        ),
        (
            "{}",
            "parse error : queries require at least one regexp or equality matcher",
        ),
        (
            "{a=~\".*\"}",
            "parse error : queries require at least one regexp or equality matcher",
        ),
        (
            "{a=\"b\"} | pattern \"<_>\"",
            "parse error at line 1, col 19: at least one capture is required",
        ),
        (
            "{a=\"b\"} | json x=\"[\"",
            "parse error at line 1, col 17: cannot parse expression [[]",
        ),
        (
            "{a=\"b\"} | regexp \"x\"",
            "parse error at line 1, col 18: at least one named capture must be supplied",
        ),
        (
            "{a=\"b\"}\n| line_format \"{{.x | upper}}\"",
            "parse error at line 2, col 15: `{{.x | upper}}` is not supported in a template",
        ),
        (
            "{a=\"b\"} | label_format x=y, x=\"z\"",
            "parse error at line 1, col 29: multiple label name 'x' not allowed in a single format operation",
        ),
        (
            "{a=\"b\"} | label_format __error__=\"x\"",
            "parse error at line 1, col 24: __error__ cannot be formatted",
        ),
        (
            "{a=\"b\"} | json = \"x\"",
            "parse error at line 1, col 16: syntax error: unexpected =, expecting IDENTIFIER, $end, | or a line filter",
        ),
        (
            "{a=\"b\"} | drop != \"x\"",
            "parse error at line 1, col 16: syntax error: unexpected !=, expecting IDENTIFIER",
        ),
        (
            "{a=\"b\"} | offset=\"x\"",
            "parse error at line 1, col 11: syntax error: unexpected IDENTIFIER `offset`",
        ),
        (
            "{json=\"b\"}",
            "parse error at line 1, col 2: syntax error: unexpected IDENTIFIER `json`",
        ),
        (
            "{a=\"b\"} |> \"<_>\"",
            "parse error at line 1, col 9: syntax error: unexpected |>",
        ),
        (
            "{a=\"b\"} | json | x=\"1\" or y=\"2\", z=\"3\"",
            "parse error at line 1, col 39: `or` beside filters without `and` between them needs parentheses",
        ),
        (
            "{a=\"b\"} | x > 5q",
            "parse error at line 1, col 15: `5q` is not a number, a duration or a size",
        ),
        (
            "rate({a=\"b\"})",
            "parse error at line 1, col 13: syntax error: unexpected ), expecting [",
        ),
        (
            "rate({a=\"b\"}[5])",
            "parse error at line 1, col 14: not a valid duration string: \"5\"",
        ),
        (
            "rate({a=\"b\"}[5m] offset)",
            "parse error at line 1, col 24: syntax error: unexpected ), expecting DURATION",
        ),
        (
            "approx_topk(2, rate({a=\"b\"}[5m]))",
            "parse error at line 1, col 1: `approx_topk` is not supported here",
        ),
        (
            "topk(0, rate({a=\"b\"}[5m]))",
            "parse error at line 1, col 6: invalid parameter 0: must be above 0",
        ),
        (
            "sum_over_time({a=\"b\"}[5m])",
            "parse error at line 1, col 1: invalid aggregation sum_over_time without unwrap",
        ),
        (
            "count_over_time({a=\"b\"} | unwrap x [5m])",
            "parse error at line 1, col 1: invalid aggregation count_over_time with unwrap",
        ),
        (
            "sum_over_time({a=\"b\"} | unwrap x [5m]) by (y)",
            "parse error at line 1, col 40: grouping not allowed for sum_over_time aggregation",
        ),
        (
            "{a=\"b\"} | unwrap x",
            "parse error at line 1, col 9: syntax error: unexpected |, expecting $end",
        ),
        (
            "sum(Rate_Counter({a=\"b\"} | unwrap x [5m]))",
            "parse error at line 1, col 5: `rate_counter` is not supported here",
        ),
        (
            "rate({a=\"b\"}[5m]) * on (a) group_left rate({a=\"b\"}[5m])",
            "parse error at line 1, col 28: group_left and group_right are not supported",
        ),
        (
            "rate({a=\"b\"}[5m]) or 2",
            "parse error at line 1, col 19: unexpected literal for a leg of a set operation",
        ),
    ] {
        let (status, body) = server.get("query_range", &[("query", query)]).await;
        assert_eq!(status, 400, "{query}: {body}");
        assert!(body.starts_with(starts), "{query}:\n{body}\n{starts}");
    }
    for (params, starts) in [
        (vec![("start", "soon")], "could not parse 'start' parameter"),
        (
            vec![("start", "1700000060"), ("end", "1700000060")],
            "end timestamp must not be before or equal to start time",
        ),
        (
            vec![("start", "1000000000"), ("end", "1700000060")],
            "the query time range exceeds the limit",
        ),
        (
            vec![("limit", "5001")],
            "max entries limit per query exceeded, limit > max_entries_limit_per_query (5001 > 5000)",
        ),
        (vec![("limit", "-1")], "could not parse 'limit' parameter"),
        (vec![("direction", "sideways")], "invalid direction"),
        (
            vec![("interval", "5s")],
            "the parameter 'interval' is not supported",
        ),
    ] {
        let mut all = vec![("query", "{a=\"b\"}")];
        all.extend(params.iter().copied());
        let (status, body) = server.get("query_range", &all).await;
        assert_eq!(status, 400, "{params:?}: {body}");
        assert!(body.starts_with(starts), "{params:?}: {body}");
    }
    for step in ["0", "-1", "x", "0.001"] {
        let params = [
            ("query", "rate({a=\"b\"}[1m])"),
            ("since", "1h"),
            ("step", step),
        ];
        assert_eq!(server.get("query_range", &params).await.0, 400, "{step}");
    }
    let (status, body) = server.get("query", &[("query", "{a=\"b\"}")]).await;
    assert_eq!(status, 400);
    assert!(
        body.starts_with("log queries are not supported as an instant query type"),
        "{body}"
    );
    assert_eq!(
        server
            .get("query_range", &[("query", &"{".repeat(5121))])
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn a_query_that_is_too_expensive_is_refused() {
    let limits = QueryLimits {
        max_bytes_scanned: 50_000,
        max_series: 10,
        ..QueryLimits::default()
    };
    let server = Server::start(LokiConfig {
        limits,
        ..LokiConfig::default()
    })
    .await;
    for n in 0..1000 {
        server.store.push(
            &[("level", "info")],
            T0 + n,
            &format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(100)),
        );
    }
    let (start, end) = (T0.to_string(), (T0 + SECOND).to_string());
    let time = [("start", start.as_str()), ("end", end.as_str())];
    let (status, body) = server
        .get(
            "query_range",
            &[
                time[0],
                time[1],
                ("query", r#"{level="info"} |= "nothere""#),
            ],
        )
        .await;
    assert_eq!(status, 400);
    assert!(
        body.starts_with("the query would read too many bytes"),
        "{body}"
    );
    // Enough lines are near the end, so the rest is not read.
    let found = server
        .data(
            "query_range",
            &[time[0], time[1], ("query", r#"{level="info"}"#)],
        )
        .await;
    assert_eq!(found["result"][0]["values"].as_array().unwrap().len(), 100);
    let short = (T0 + 100).to_string();
    let params = [
        ("query", r#"count_over_time({level="info"} | json [1s])"#),
        ("time", short.as_str()),
    ];
    let (status, body) = server.get("query", &params).await;
    assert_eq!(status, 400);
    assert!(body.starts_with("maximum of series (10) reached"), "{body}");
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_given_up() {
    let limits = QueryLimits {
        timeout: Duration::ZERO,
        ..QueryLimits::default()
    };
    let server = Server::start(LokiConfig {
        limits,
        ..LokiConfig::default()
    })
    .await;
    for n in 0..1000 {
        server.store.push(&[("level", "info")], T0 + n, "x");
    }
    let (start, end) = (T0.to_string(), (T0 + SECOND).to_string());
    let params = [
        ("start", start.as_str()),
        ("end", end.as_str()),
        ("query", r#"{level="info"} |= "nothere""#),
    ];
    let (status, body) = server.get("query_range", &params).await;
    assert_eq!(status, 504, "{body}");
    assert!(body.starts_with("query timed out"), "{body}");
}

#[tokio::test]
async fn a_regular_expression_that_needs_too_much_memory_is_refused() {
    let server = Server::with_lines().await;
    let query = r#"{level=~"(((a{100}){100}){100})+"}"#;
    let (status, body) = server.get("query_range", &[("query", query)]).await;
    assert_eq!(status, 400);
    assert!(body.contains("invalid regular expression"), "{body}");
}

#[test]
fn memory_is_bounded_and_the_oldest_lines_go_first() {
    let config = LokiConfig {
        max_bytes: 200_000,
        ..LokiConfig::default()
    };
    let store = LokiStore::new(config);
    for n in 0..20_000 {
        let level = if n % 10 == 0 { "warn" } else { "info" };
        store.push(
            &[("level", level)],
            T0 + n,
            &format!("a line with some text in it, number {n}"),
        );
        assert!(
            store.stats().bytes <= 200_000,
            "after {n}: {:?}",
            store.stats()
        );
    }
    let stats = store.stats();
    assert_eq!(stats.lines as u64 + stats.evicted, 20_000);
    assert!(
        stats.bytes > 150_000,
        "more than necessary was dropped: {stats:?}"
    );
}

#[test]
fn lines_older_than_the_retention_are_dropped() {
    let config = LokiConfig {
        max_bytes: 1 << 20,
        retention: Duration::from_secs(10),
        ..LokiConfig::default()
    };
    let store = LokiStore::new(config);
    let line = "x".repeat(1000);
    for n in 0..400 {
        store.push(&[("level", "info")], T0 + n * SECOND, &line);
    }
    let lines = store.stats().lines;
    // Lines are dropped in whole chunks of about 64 lines.
    assert!((10..160).contains(&lines), "{lines}");
}

#[test]
fn further_streams_than_allowed_are_refused_and_counted() {
    let store = LokiStore::new(LokiConfig {
        max_streams: 2,
        ..LokiConfig::default()
    });
    for service in ["a", "b", "c", "a"] {
        store.push(&[("service_name", service)], T0, "x");
    }
    let stats = store.stats();
    assert_eq!((stats.streams, stats.lines, stats.refused), (2, 3, 1));
}
