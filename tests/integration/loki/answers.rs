//! Log queries, counts, labels and series: the answers have the shapes of Loki's documentation.

use std::sync::Arc;
use std::time::Duration;

use concertctl::embedded::loki::LokiConfig;
use concertctl::telemetry::{LogConfig, LogLimits, LogOutput, TraceConfig, logs};
use serde_json::{Value, json};

use super::{SECOND, Server, T0};

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
