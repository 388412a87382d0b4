//! The embedded Loki over TCP has the shapes and rules of Loki's documentation.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use concertctl::embedded::loki::{LokiConfig, LokiStore, QueryLimits, readiness_route, routes};
use concertctl::telemetry::logs;
use concertctl::telemetry::{LogConfig, LogLimits, LogOutput, TraceConfig};
use proptest::prelude::*;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

/// 2023-11-14T22:13:20Z
const T0: i64 = 1_700_000_000_000_000_000;
const SECOND: i64 = 1_000_000_000;

struct Server {
    store: Arc<LokiStore>,
    base: String,
    client: Client,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(config: LokiConfig) -> Server {
        let store = Arc::new(LokiStore::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let app = routes(Arc::clone(&store)).merge(readiness_route());
        let task = tokio::spawn(async move {
            axum::serve(listener, app).await.unwrap();
        });
        Server {
            store,
            base: format!("http://{address}/loki/api/v1"),
            client: concertctl::http_client::builder()
                .timeout(Duration::from_secs(30))
                .build()
                .unwrap(),
            task,
        }
    }

    /// A server with lines of two services, a second apart.
    async fn with_lines() -> Server {
        let server = Server::start(LokiConfig::default()).await;
        let push = |second: i64, service: &str, level: &str, line: &str| {
            server.store.push(
                &[("level", level), ("service_name", service)],
                T0 + second * SECOND,
                line,
            );
        };
        push(
            0,
            "concertctl-api",
            "info",
            r#"{"message":"start","additional_data":{"status":200,"took":"20ms","size":"1KB"}}"#,
        );
        push(
            1,
            "concertctl-api",
            "info",
            r#"{"message":"seat held","additional_data":{"status":201,"took":"150ms","size":"2KB"}}"#,
        );
        push(
            2,
            "concertctl-api",
            "error",
            r#"{"message":"pool \"exhausted\"","level":"ERROR","additional_data":{"status":503,"took":"2s","size":"5KB"}}"#,
        );
        push(3, "concertctl-load", "info", "not json at all");
        push(
            4,
            "concertctl-api",
            "warn",
            r#"{"message":"slow query","additional_data":{"statement":"seat.list","status":200,"took":"1s"}}"#,
        );
        server
    }

    async fn get(&self, path: &str, params: &[(&str, &str)]) -> (StatusCode, String) {
        let url = format!("{}/{path}", self.base);
        let response = self.client.get(url).query(params).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    async fn data(&self, path: &str, params: &[(&str, &str)]) -> Value {
        let (status, body) = self.get(path, params).await;
        assert_eq!(status, 200, "{params:?}: {body}");
        let mut value: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(value["status"], "success");
        value["data"].take()
    }

    async fn range(&self, query: &str, more: &[(&str, &str)]) -> Value {
        let (start, end) = (T0.to_string(), (T0 + 60 * SECOND).to_string());
        let mut params = vec![("query", query), ("start", &start), ("end", &end)];
        params.extend(more);
        self.data("query_range", &params).await
    }

    /// The messages of the lines that a query finds, oldest first.
    async fn found(&self, query: &str) -> Vec<String> {
        let data = self.range(query, &[("direction", "forward")]).await;
        assert_eq!(data["resultType"], "streams");
        let mut lines: Vec<(String, String)> = Vec::new();
        for stream in data["result"].as_array().unwrap() {
            for pair in stream["values"].as_array().unwrap() {
                let line = pair[1].as_str().unwrap();
                let message = serde_json::from_str::<Value>(line).map_or_else(
                    |_| line.to_owned(),
                    |json| json["message"].as_str().unwrap().to_owned(),
                );
                lines.push((pair[0].as_str().unwrap().to_owned(), message));
            }
        }
        lines.sort();
        lines.into_iter().map(|(_, message)| message).collect()
    }
}

#[tokio::test]
async fn a_log_query_answers_with_streams_of_nanosecond_strings_and_lines() {
    let server = Server::with_lines().await;
    let data = server
        .range(r#"{service_name="concertctl-api"} |= "seat""#, &[])
        .await;
    assert_eq!(data["resultType"], "streams");
    assert_eq!(
        data["result"],
        json!([
            {
                "stream": {"level": "info", "service_name": "concertctl-api"},
                "values": [["1700000001000000000", r#"{"message":"seat held","additional_data":{"status":201,"took":"150ms","size":"2KB"}}"#]],
            },
            {
                "stream": {"level": "warn", "service_name": "concertctl-api"},
                "values": [["1700000004000000000", r#"{"message":"slow query","additional_data":{"statement":"seat.list","status":200,"took":"1s"}}"#]],
            },
        ])
    );
    assert_eq!(data["stats"]["summary"]["totalLinesProcessed"], 4);
}

#[tokio::test]
async fn matchers_and_line_filters_select() {
    let server = Server::with_lines().await;
    let api = r#"{service_name="concertctl-api"}"#;
    for (query, expected) in [
        (
            r#"{service_name=~"concertctl-.+", level!="info"}"#.to_owned(),
            vec!["pool \"exhausted\"", "slow query"],
        ),
        (
            r#"{service_name=~"concertctl-.+", level!~"info|warn"}"#.to_owned(),
            vec!["pool \"exhausted\""],
        ),
        // Regular expressions match whole labels …
        (r#"{service_name=~"concertctl"}"#.to_owned(), vec![]),
        (
            r#"{service_name="concertctl-load", nothere=""}"#.to_owned(),
            vec!["not json at all"],
        ),
        // … and parts of lines.
        (
            format!(r#"{api} |~ "se.t""#),
            vec!["seat held", "slow query"],
        ),
        (format!(r#"{api} |= "seat" != "query""#), vec!["seat held"]),
        (format!(r#"{api} !~ `20[01]`"#), vec!["pool \"exhausted\""]),
        (
            format!(r#"{api} |= "pool \\\"exh""#),
            vec!["pool \"exhausted\""],
        ),
        (
            format!("{api} |= `pool \\\"exh`"),
            vec!["pool \"exhausted\""],
        ),
        (format!(r#"{api} |= "st.rt""#), vec![]),
        (format!("{api} # a comment\n |= \"start\""), vec!["start"]),
    ] {
        assert_eq!(server.found(&query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn json_labels_are_filtered_by_text_number_duration_and_size() {
    let server = Server::with_lines().await;
    for (filter, expected) in [
        (r#"message="start""#, vec!["start"]),
        (r#"message=`pool "exhausted"`"#, vec!["pool \"exhausted\""]),
        (
            r#"additional_data_status >= 500"#,
            vec!["pool \"exhausted\""],
        ),
        (
            r#"additional_data_status != 200"#,
            vec!["seat held", "pool \"exhausted\""],
        ),
        (
            r#"additional_data_status == 200 and additional_data_took < 1s"#,
            vec!["start"],
        ),
        (
            r#"additional_data_took >= 1s"#,
            vec!["pool \"exhausted\"", "slow query"],
        ),
        (
            r#"additional_data_size > 1KB"#,
            vec!["seat held", "pool \"exhausted\""],
        ),
        (r#"additional_data_size = 2000"#, vec![]),
        (
            r#"message="start" or additional_data_took > 1500ms"#,
            vec!["start", "pool \"exhausted\""],
        ),
        (
            r#"(message="start" or message="slow query"), additional_data_took=1s"#,
            vec!["slow query"],
        ),
        (
            r#"message=~".*(held|query)" | additional_data_statement=~".+""#,
            vec!["slow query"],
        ),
        (
            r#"additional_data_statement="""#,
            vec!["start", "seat held", "pool \"exhausted\""],
        ),
        (r#"level_extracted="ERROR""#, vec!["pool \"exhausted\""]),
        (r#"level="warn""#, vec!["slow query"]),
        (r#"nothere > 1"#, vec![]),
    ] {
        let query = format!(r#"{{service_name="concertctl-api"}} | json | {filter}"#);
        // `= 2000` compares a number with "1KB": an error label, and the line stays.
        if filter.ends_with("= 2000") {
            let with_no_errors = format!(r#"{query} | __error__="""#);
            assert_eq!(server.found(&with_no_errors).await, expected, "{query}");
        } else {
            assert_eq!(server.found(&query).await, expected, "{query}");
        }
    }
}

#[tokio::test]
async fn a_line_that_is_not_json_is_kept_with_an_error_label() {
    let server = Server::with_lines().await;
    let data = server
        .range(r#"{service_name="concertctl-load"} | json"#, &[])
        .await;
    assert_eq!(
        data["result"],
        json!([{
            "stream": {
                "__error__": "JSONParserErr",
                "__error_details__": "expecting a JSON object",
                "level": "info",
                "service_name": "concertctl-load",
            },
            "values": [["1700000003000000000", "not json at all"]],
        }])
    );
    let without = server
        .found(r#"{service_name=~".+"} | json | __error__="""#)
        .await;
    assert_eq!(without.len(), 4);
    // Numbers computed from such lines would be wrong.
    let params = [
        (
            "query",
            r#"sum by (message) (rate({service_name=~".+"} | json [1m]))"#,
        ),
        ("time", "1700000010"),
    ];
    let (status, body) = server.get("query", &params).await;
    assert_eq!(status, 400);
    assert!(
        body.starts_with("pipeline error: 'JSONParserErr' for series: '{"),
        "{body}"
    );
}

#[tokio::test]
async fn direction_and_limit_select_lines() {
    let server = Server::start(LokiConfig::default()).await;
    for n in 0..500 {
        let level = if n % 2 == 0 { "info" } else { "warn" };
        server
            .store
            .push(&[("level", level)], T0 + n / 2, &format!("line {n}"));
    }
    let lines = |data: &Value| -> Vec<String> {
        let streams = data["result"].as_array().unwrap();
        let mut pairs: Vec<(i64, String)> = streams
            .iter()
            .flat_map(|s| s["values"].as_array().unwrap())
            .map(|v| {
                (
                    v[0].as_str().unwrap().parse().unwrap(),
                    v[1].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        pairs.sort();
        pairs.into_iter().map(|(_, line)| line).collect()
    };
    let query = r#"{level=~".+"}"#;
    let newest = server.range(query, &[("limit", "3")]).await;
    assert_eq!(lines(&newest), ["line 497", "line 498", "line 499"]);
    let oldest = server
        .range(query, &[("limit", "2"), ("direction", "FORWARD")])
        .await;
    assert_eq!(lines(&oldest), ["line 0", "line 1"]);
    assert_eq!(lines(&server.range(query, &[]).await).len(), 100);
    assert_eq!(
        lines(&server.range(query, &[("limit", "5000")]).await).len(),
        500
    );
    // Within a stream the lines are in the order of the direction.
    let info = server.range(r#"{level="info"}"#, &[("limit", "2")]).await;
    assert_eq!(info["result"][0]["values"][0][1], "line 498");
    // The range includes its start and excludes its end.
    let (start, end) = (T0.to_string(), (T0 + 1).to_string());
    let params = [("query", query), ("start", &start), ("end", &end)];
    assert_eq!(
        lines(&server.data("query_range", &params).await),
        ["line 0", "line 1"]
    );
}

#[tokio::test]
async fn counts_and_rates_are_computed_over_time() {
    let server = Server::with_lines().await;
    // Windows are (t-range, t]: at T0+2 of two seconds, the lines of T0+1 and T0+2.
    let at = (T0 / SECOND + 2).to_string();
    let instant = |query: &'static str| {
        let params =
            [("query", query), ("time", at.as_str())].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let server = &server;
        async move {
            let params: Vec<_> = params
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect();
            server.data("query", &params).await
        }
    };
    let data = instant(r#"count_over_time({service_name="concertctl-api"}[2s])"#).await;
    assert_eq!(data["resultType"], "vector");
    assert_eq!(
        data["result"],
        json!([
            {"metric": {"level": "error", "service_name": "concertctl-api"}, "value": [1_700_000_002, "1"]},
            {"metric": {"level": "info", "service_name": "concertctl-api"}, "value": [1_700_000_002, "1"]},
        ])
    );
    let sum = instant(r#"sum(rate({service_name=~".+"}[4s]))"#).await;
    assert_eq!(
        sum["result"],
        json!([{"metric": {}, "value": [1_700_000_002, "0.75"]}])
    );
    let by = instant(r#"sum by (service_name) (count_over_time({service_name=~".+"} | json | additional_data_status > 200 [1m]))"#).await;
    assert_eq!(
        by["result"],
        json!([{"metric": {"service_name": "concertctl-api"}, "value": [1_700_000_002, "2"]}])
    );
    let after = instant(r#"sum(count_over_time({service_name=~".+"}[1m])) by (level)"#).await;
    assert_eq!(
        after["result"],
        json!([
            {"metric": {"level": "error"}, "value": [1_700_000_002, "1"]},
            {"metric": {"level": "info"}, "value": [1_700_000_002, "2"]},
        ])
    );
    let without =
        instant(r#"sum without (level) (count_over_time({service_name=~".+"}[1m] |= "s"))"#).await;
    assert_eq!(
        without["result"],
        json!([{"metric": {"service_name": "concertctl-api"}, "value": [1_700_000_002, "3"]}])
    );
    let bytes = instant(r#"bytes_over_time({level="error"}[1m])"#).await;
    assert_eq!(bytes["result"][0]["value"][1], "106");
    assert_eq!(
        instant(r#"sum(rate({level="nothere"}[4s]))"#).await["result"],
        json!([])
    );
}

#[tokio::test]
async fn a_range_of_counts_is_a_matrix_with_gaps() {
    let server = Server::with_lines().await;
    let data = server
        .range(
            r#"sum by (level) (count_over_time({service_name="concertctl-api"}[1s]))"#,
            &[("step", "1")],
        )
        .await;
    assert_eq!(data["resultType"], "matrix");
    assert_eq!(
        data["result"],
        json!([
            {"metric": {"level": "error"}, "values": [[1_700_000_002, "1"]]},
            {"metric": {"level": "info"}, "values": [[1_700_000_000, "1"], [1_700_000_001, "1"]]},
            {"metric": {"level": "warn"}, "values": [[1_700_000_004, "1"]]},
        ])
    );
    let half = server
        .range(
            r#"sum(count_over_time({level="warn"}[1s]))"#,
            &[("step", "500ms")],
        )
        .await;
    assert_eq!(
        half["result"][0]["values"],
        json!([[1_700_000_004, "1"], [1_700_000_004.5, "1"]])
    );
}

#[tokio::test]
async fn labels_values_and_series_are_listed() {
    let server = Server::with_lines().await;
    let time = [("start", "1699999999"), ("end", "1700000060")];
    assert_eq!(
        server.data("labels", &time).await,
        json!(["level", "service_name"])
    );
    assert_eq!(
        server.data("label/level/values", &time).await,
        json!(["error", "info", "warn"])
    );
    assert_eq!(server.data("label/nothere/values", &time).await, json!([]));
    let matching = [
        time[0],
        time[1],
        ("match[]", r#"{level="warn"}"#),
        ("match[]", r#"{service_name="concertctl-load"}"#),
    ];
    assert_eq!(
        server.data("series", &matching).await,
        json!([
            {"level": "info", "service_name": "concertctl-load"},
            {"level": "warn", "service_name": "concertctl-api"},
        ])
    );
    // The default is the last six hours; these lines are older.
    assert_eq!(server.data("labels", &[]).await, json!([]));
}

#[tokio::test]
async fn queries_can_be_posted_as_forms() {
    let server = Server::with_lines().await;
    let form = [
        ("query", r#"{level="warn"}"#),
        ("start", "1700000000"),
        ("end", "1700000060"),
    ];
    let url = format!("{}/query_range", server.base);
    let response = server.client.post(&url).form(&form).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let value: Value = response.json().await.unwrap();
    assert_eq!(value["data"]["result"][0]["stream"]["level"], "warn");
    let response = server.client.post(&url).body("{}").send().await.unwrap();
    assert_eq!(response.status(), 400);
}

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
            "{a=\"b\"} | unpack",
            "parse error at line 1, col 11: the stage `unpack` is not supported",
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
            "parse error at line 1, col 39: `,` and `or` together need parentheses",
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
            "stddev(rate({a=\"b\"}[5m]))",
            "parse error at line 1, col 1: `stddev` is not supported here",
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
            "sum(stdvar_over_time({a=\"b\"}[5m]))",
            "parse error at line 1, col 5: `stdvar_over_time` is not supported here",
        ),
        (
            "rate({a=\"b\"}[5m]) * 2",
            "parse error at line 1, col 19: syntax error: unexpected character '*'",
        ),
        (
            "rate({a=\"b\"}[5m]) > 2",
            "parse error at line 1, col 19: syntax error: unexpected >, expecting $end",
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
async fn grafanas_health_check_is_answered() {
    let server = Server::start(LokiConfig::default()).await;
    let params = [
        ("query", "vector(1)+vector(1)"),
        ("time", "4000000000000000000"),
    ];
    let data = server.data("query", &params).await;
    assert_eq!(data["resultType"], "vector");
    assert_eq!(
        data["result"],
        json!([{"metric": {}, "value": [4_000_000_000_i64, "2"]}])
    );
    let data = server.range("vector(3)", &[("step", "60")]).await;
    assert_eq!(
        data["result"],
        json!([{"metric": {}, "values": [[1_699_999_980, "3"], [1_700_000_040, "3"], [1_700_000_100, "3"]]}])
    );
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

#[tokio::test]
async fn late_lines_are_found_at_their_time() {
    let server = Server::start(LokiConfig::default()).await;
    for n in [5, 1, 3, 2, 4] {
        server
            .store
            .push(&[("level", "info")], T0 + n, &format!("line {n}"));
    }
    assert_eq!(
        server.found(r#"{level="info"}"#).await,
        ["line 1", "line 2", "line 3", "line 4", "line 5"]
    );
}

#[tokio::test]
async fn records_of_the_log_arrive_with_their_labels() {
    let server = Server::start(LokiConfig::default()).await;
    let (subscriber, logs) = logs::build(LogConfig {
        service_name: "concertctl-api",
        output: LogOutput::None,
        filter: "info".into(),
        queue: 1000,
        limits: LogLimits::default(),
        traces: TraceConfig::default(),
    })
    .unwrap();
    logs.set_instance("one");
    let ingest = tokio::spawn(Arc::clone(&server.store).ingest(logs.subscribe(1000)));
    tracing::subscriber::with_default(subscriber, || {
        tracing::warn!(status = 503, "pool exhausted")
    });
    assert!(logs.close(Duration::from_secs(10)));
    tokio::time::timeout(Duration::from_secs(10), ingest)
        .await
        .unwrap()
        .unwrap();
    let query =
        r#"{service_name="concertctl-api", instance="one"} | json | additional_data_status=503"#;
    let data = server
        .data("query_range", &[("query", query), ("since", "5m")])
        .await;
    let stream = &data["result"][0]["stream"];
    assert_eq!(stream["level"], "warn");
    assert_eq!(stream["message"], "pool exhausted");
    assert_eq!(stream["level_extracted"], "WARN");
}

/// One line is not JSON, and one has a text where others have a number. The expected answers are those of a real Loki
/// 3.7.
#[tokio::test]
async fn comparisons_use_the_label_alone_and_errors_are_kept() {
    let server = Server::start(LokiConfig::default()).await;
    let lines = [
        r#"{"n":1,"n":2,"e":"","message":"one"}"#,
        "not json",
        r#"{"n":600,"message":"600"}"#,
        r#"{"n":"x","message":"x"}"#,
        r#"{"n":700,"message":"700"} trailing"#,
    ];
    for (second, line) in (0..).zip(lines) {
        server
            .store
            .push(&[("job", "t")], T0 + second * SECOND, line);
    }
    let last = r#"{"n":700,"message":"700"} trailing"#;
    for (stages, expected) in [
        ("| json | n > 500", vec!["600", "x", last]),
        (r#"| json | n > 500 | __error__="""#, vec!["600", last]),
        (r#"| json | __error__!="""#, vec!["not json"]),
        (
            r#"| json | n > 500 | __error__="LabelFilterErr""#,
            vec!["x"],
        ),
        (r#"| json | n="1""#, vec!["one"]),
        (r#"| json | n="2""#, vec![]),
        (r#"| json != "{""#, vec!["not json"]),
        (r#"|json!="{""#, vec!["not json"]),
        (r#"| json !~ "n.:" | __error__!="""#, vec!["not json"]),
        (r#"| JSON | n="1" OR n="600""#, vec!["one", "600"]),
        (r#"|= "600" or "one""#, vec!["one", "600"]),
        (r#"!= "n" or "y""#, vec![]),
        (r#"| json | drop n | n="1""#, vec![]),
        (r#"| json | drop n="1" | n=~".+""#, vec!["600", "x", last]),
        (r#"| json | keep message | n=~".+""#, vec![]),
        (r#"| json | keep n=~"6.*" | n=~".+""#, vec!["600"]),
        (r#"| json | drop __error__ | __error__!="""#, vec![]),
    ] {
        let query = format!(r#"{{job="t"}} {stages}"#);
        assert_eq!(server.found(&query).await, expected, "{query}");
    }
    let instant = async |query: &str| {
        let params = [("query", query), ("time", "1700000010")];
        server.get("query", &params).await
    };
    // The query needs no field of the line, so the line is not parsed and has no error.
    let (status, body) = instant(r#"sum(count_over_time({job="t"} | json [1m]))"#).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains(r#""5""#), "{body}");
    for query in [
        r#"count_over_time({job="t"} | json [1m])"#,
        r#"sum by (n) (count_over_time({job="t"} | json [1m]))"#,
        r#"sum(count_over_time({job="t"} | json | n > 500 [1m]))"#,
    ] {
        let (status, body) = instant(query).await;
        assert_eq!(status, 400, "{query}: {body}");
        assert!(body.starts_with("pipeline error: '"), "{body}");
    }
    let (status, body) =
        instant(r#"sum(count_over_time({job="t"} | json | n > 500 | __error__="" [1m]))"#).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains(r#""2""#), "{body}");
    let kept = server
        .range(r#"{job="t"} | json | message="one""#, &[])
        .await;
    assert_eq!(
        kept["result"][0]["stream"],
        json!({"e": "", "job": "t", "message": "one", "n": "1"})
    );
}

#[tokio::test]
async fn points_of_a_range_are_at_multiples_of_the_step() {
    let server = Server::with_lines().await;
    let (start, end) = ((T0 + 1).to_string(), (T0 + 60 * SECOND + 1).to_string());
    let params = [
        ("query", r#"sum(count_over_time({service_name=~".+"}[1h]))"#),
        ("start", start.as_str()),
        ("end", end.as_str()),
        ("step", "45"),
    ];
    let data = server.data("query_range", &params).await;
    let times: Vec<i64> = data["result"][0]["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point[0].as_i64().unwrap())
        .collect();
    assert_eq!(times, [1_700_000_010, 1_700_000_055, 1_700_000_100]);
}

#[tokio::test]
async fn structured_metadata_are_labels_and_can_be_listed_separately() {
    let server = Server::start(LokiConfig::default()).await;
    let metadata = [("severity_text", "ERROR"), ("status", "503"), ("job", "m")];
    server
        .store
        .push_with_metadata(&[("job", "t")], T0, r#"{"status":1,"a":"b"}"#, &metadata);
    let query = r#"{job="t"} | status >= 500 | json"#;
    let merged = server.range(query, &[]).await;
    assert_eq!(
        merged["result"][0]["stream"],
        json!({"a": "b", "job": "t", "job_extracted": "m", "severity_text": "ERROR", "status": "503", "status_extracted": "1"})
    );
    let apart = server
        .client
        .get(format!("{}/query_range", server.base))
        .query(&[
            ("query", query),
            ("start", "1700000000"),
            ("end", "1700000060"),
        ])
        .header("X-Loki-Response-Encoding-Flags", "categorize-labels")
        .header("X-Scope-OrgID", "anything")
        .send()
        .await
        .unwrap();
    let apart: Value = apart.json().await.unwrap();
    assert_eq!(apart["data"]["encodingFlags"], json!(["categorize-labels"]));
    assert_eq!(
        apart["data"]["result"],
        json!([{
            "stream": {"job": "t"},
            "values": [[T0.to_string(), r#"{"status":1,"a":"b"}"#, {
                "structuredMetadata": {"job_extracted": "m", "severity_text": "ERROR", "status": "503"},
                "parsed": {"a": "b", "status_extracted": "1"},
            }]],
        }])
    );
    let histogram =
        r#"sum by (level, severity_text) (count_over_time({job="t"} | drop __error__ [1m]))"#;
    let histogram = server.range(histogram, &[("step", "60")]).await;
    assert_eq!(
        histogram["result"][0]["metric"],
        json!({"severity_text": "ERROR"})
    );
}

#[tokio::test]
async fn grafanas_other_requests_are_answered() {
    let server = Server::with_lines().await;
    let get = async |path: &str, more: &[(&str, &str)]| -> Value {
        let mut params = vec![("start", "1700000000"), ("end", "1700000060")];
        params.extend(more);
        let (status, body) = server.get(path, &params).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    };
    let all = ("query", r#"{service_name=~".+"}"#);
    let stats = get("index/stats", &[all]).await;
    assert_eq!(
        (&stats["streams"], &stats["entries"]),
        (&json!(4), &json!(5))
    );
    let volume = get("index/volume", &[all]).await;
    let first = &volume["data"]["result"][0];
    assert_eq!(first["metric"], json!({"service_name": "concertctl-api"}));
    let api_bytes = stats["bytes"].as_u64().unwrap() - "not json at all".len() as u64;
    assert_eq!(first["value"][1], api_bytes.to_string());
    let by_label = get(
        "index/volume",
        &[all, ("aggregateBy", "labels"), ("targetLabels", "level")],
    )
    .await;
    assert_eq!(
        by_label["data"]["result"][0]["metric"],
        json!({"level": ""})
    );
    let range = get("index/volume_range", &[all, ("step", "60")]).await;
    assert_eq!(range["data"]["resultType"], "matrix");
    assert_eq!(range["data"]["result"].as_array().unwrap().len(), 2);
    let labels = get("detected_labels", &[all]).await;
    assert_eq!(
        labels["detectedLabels"],
        json!([{"label": "level", "cardinality": 3}, {"label": "service_name", "cardinality": 2}])
    );
    let fields = get("detected_fields", &[all]).await;
    let status = fields["fields"]
        .as_array()
        .unwrap()
        .iter()
        .find(|field| field["label"] == "additional_data_status")
        .unwrap();
    assert_eq!(
        *status,
        json!({"label": "additional_data_status", "type": "int", "cardinality": 3, "parsers": ["json"]})
    );
    let values = get("detected_field/additional_data_status/values", &[all]).await;
    assert_eq!(values["values"], json!(["200", "201", "503"]));
    assert_eq!(get("patterns", &[all]).await["data"], json!([]));
    assert_eq!(get("format_query", &[all]).await["data"], all.1);
    assert!(get("status/buildinfo", &[]).await["version"].is_string());
    let ready = server.base.replace("/loki/api/v1", "/ready");
    assert_eq!(
        crate::support::client()
            .get(ready)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap(),
        "ready\n"
    );
    let form = [all, ("start", "1700000000"), ("end", "1700000060")];
    let url = format!("{}/index/stats", server.base);
    let posted = server.client.post(url).form(&form).send().await.unwrap();
    assert_eq!(posted.json::<Value>().await.unwrap(), stats);
    for (path, params) in [
        ("index/volume", vec![("query", "{")]),
        ("index/volume", vec![all, ("limit", "0")]),
        ("detected_fields", vec![("query", r#"rate({a="b"}[1m])"#)]),
        ("format_query", vec![("query", "x y")]),
    ] {
        assert_eq!(server.get(path, &params).await.0, 400, "{path} {params:?}");
    }
}

/// A stage of the grammar as words, with the positions where blanks may be.
fn stage() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::select(vec![
        vec!["|", "json"],
        vec!["|", "drop", "a"],
        vec!["|", "drop", "a", ",", "b", "=~", "\"c\""],
        vec!["|", "keep", "a", "!=", "`x`"],
        vec!["|", "a", "=", "\"x\""],
        vec!["|", "a", ">=", "5"],
        vec!["|", "jsonx", "!=", "\"x\""],
        vec!["|", "(", "a", "=", "\"x\"", ")", ",", "b", "<", "1s"],
        vec!["|=", "\"x\""],
        vec!["!=", "`x`"],
        vec!["!~", "\"x\""],
        vec!["|~", "\"x\""],
    ])
}

/// A keyword followed by something that Loki refuses.
fn near_miss() -> impl Strategy<Value = Vec<&'static str>> {
    let keyword = prop::sample::select(vec![
        "json",
        "logfmt",
        "unpack",
        "regexp",
        "pattern",
        "decolorize",
        "line_format",
        "label_format",
        "drop",
        "keep",
        "unwrap",
        "by",
        "offset",
        "and",
    ]);
    let rest = prop::sample::select(vec![
        vec!["=", "\"x\""],
        vec!["=~", "\"x\""],
        vec![">", "5"],
        vec!["==", "1s"],
        vec![",", "a", "=", "\"x\""],
        vec!["(", "a", "=", "1", ")"],
    ]);
    (keyword, rest).prop_map(|(keyword, rest)| [vec!["|", keyword], rest].concat())
}

/// Prints words with the blanks of `seed`; two names need one between them.
fn print(words: &[&str], mut seed: u64) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut text = String::from("{s=\"t\"}");
    for word in words {
        let touch = text.ends_with(is_name) && word.starts_with(is_name);
        let blank = ["", " ", "\n", " # x\n"][(seed % 4) as usize];
        seed /= 4;
        text.push_str(if touch && blank.is_empty() {
            " "
        } else {
            blank
        });
        text.push_str(word);
    }
    text
}

proptest! {
    #[test]
    fn every_legal_pipeline_is_accepted_with_any_blanks(
        stages in prop::collection::vec(stage(), 0..6), seed: u64,
    ) {
        let query = print(&stages.concat(), seed);
        prop_assert_eq!(concertctl::embedded::loki::check_query(&query), Ok(()), "{}", query);
    }

    #[test]
    fn a_keyword_is_never_a_label(
        before in prop::collection::vec(stage(), 0..3), miss in near_miss(), seed: u64,
    ) {
        let query = print(&[before.concat(), miss].concat(), seed);
        prop_assert!(concertctl::embedded::loki::check_query(&query).is_err(), "{}", query);
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_query_parser_panic(query in "\\PC{0,80}") {
        let _ = concertctl::embedded::loki::check_query(&query);
    }

    #[test]
    fn no_near_query_makes_the_parser_panic(
        query in r#"(\{a="b"\}|\{|\}|\(|\)|\[5m\]|\[|\]|,|\||\|=|!=|=~|>=|"|`|\\|"x"|`y`|json|and|or|sum|by|rate|count_over_time|a|é|1\.5|1h|10KB|-| |#|
){0,25}"#
    ) {
        let _ = concertctl::embedded::loki::check_query(&query);
    }

    #[test]
    fn any_text_can_be_searched_for(text in any::<String>()) {
        let escaped: String = text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
        prop_assert_eq!(concertctl::embedded::loki::check_query(&format!("{{a=\"b\"}} |= \"{escaped}\"")), Ok(()));
    }

    #[test]
    fn deep_nesting_is_refused_without_recursion(depth in 33usize..2000) {
        let query = format!("{{a=\"b\"}} | {}x=1{}", "(".repeat(depth), ")".repeat(depth));
        prop_assert!(concertctl::embedded::loki::check_query(&query).is_err());
    }
}
