//! Parsers, unwrapped numbers and aggregations of LogQL, by the rules of Loki's documentation
//! (<https://grafana.com/docs/loki/latest/query/>).

use std::collections::BTreeMap;
use std::sync::Arc;

use concertctl::embedded::loki::{LokiConfig, LokiStore, routes};
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

struct Loki {
    url: String,
    _serving: AbortOnDropHandle<()>,
}

/// The evaluation time: ten seconds after the first line.
const AT: &str = "1700000010";
const FIRST_NS: i64 = 1_700_000_000_000_000_000;

const LINES: [(&str, &str); 5] = [
    ("x", r#"level=info latency=100ms size=1KB n=1 path="/a b""#),
    ("x", "level=info latency=300ms size=2KB n=3"),
    ("x", "level=error latency=1s size=4KB n=5"),
    ("x", "no pairs here"),
    (
        "j",
        r#"{"a":{"b":[{"c":"x"},{"c":"y"}]},"n":2,"full name":"z"}"#,
    ),
];

impl Loki {
    /// A store with a line each second, from the first second on.
    async fn with_lines() -> Loki {
        let store = Arc::new(LokiStore::new(LokiConfig::default()));
        for (second, (app, line)) in (1..).zip(LINES) {
            store.push(&[("app", app)], FIRST_NS + second * 1_000_000_000, line);
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/loki/api/v1", listener.local_addr().unwrap());
        let serving = async move { axum::serve(listener, routes(store)).await.unwrap() };
        Loki {
            url,
            _serving: AbortOnDropHandle::new(tokio::spawn(serving)),
        }
    }

    async fn ask(&self, path: &str, params: &[(&str, &str)]) -> Result<Value, String> {
        let url = format!("{}/{path}", self.url);
        let answer = crate::support::client()
            .get(url)
            .query(params)
            .send()
            .await
            .unwrap();
        let (status, body) = (answer.status(), answer.text().await.unwrap());
        if status != 200 {
            return Err(body);
        }
        let body: Value = serde_json::from_str(&body).unwrap();
        Ok(body["data"]["result"].clone())
    }

    /// The lines that a query finds.
    async fn lines(&self, query: &str) -> Vec<String> {
        let span = [
            ("start", "1700000000"),
            ("end", AT),
            ("direction", "forward"),
        ];
        let streams = self
            .ask("query_range", &[&span[..], &[("query", query)]].concat())
            .await;
        let streams = streams.unwrap_or_else(|error| panic!("{query}: {error}"));
        let lines = streams.as_array().unwrap().iter().flat_map(|stream| {
            let values = stream["values"].as_array().unwrap().iter();
            values.map(|line| (line[0].to_string(), line[1].as_str().unwrap().to_owned()))
        });
        let lines: BTreeMap<String, String> = lines.collect();
        lines.into_values().collect()
    }

    /// The result of a query at [`AT`], each series as `labels value`.
    async fn vector(&self, query: &str) -> Result<Vec<String>, String> {
        let series = self.ask("query", &[("time", AT), ("query", query)]).await?;
        let series = series.as_array().unwrap().iter();
        let mut all: Vec<String> = series
            .map(|one| format!("{} {}", one["metric"], one["value"][1].as_str().unwrap()))
            .collect();
        all.sort();
        Ok(all)
    }
}

#[tokio::test]
async fn fields_of_logfmt_json_paths_and_regular_expressions_become_labels() {
    let loki = Loki::with_lines().await;
    for (query, expected) in [
        (r#"{app="x"} | logfmt | n > 2"#, &[1, 2][..]),
        (
            r#"{app="x"} | pattern "level=<_> latency=<took> " | took="1s""#,
            &[2],
        ),
        (
            r#"{app="x"} | logfmt | label_format took=latency, all="{{.level}}-{{.n}}" | all="info-3" | took="300ms" | latency="""#,
            &[1],
        ),
        // A missing label is not renamed.
        (
            r#"{app="x"} | logfmt | label_format level=missing | level="error""#,
            &[2],
        ),
        // A template does not see labels that the same stage has set before it.
        (
            r#"{app="x"} | logfmt | label_format level="new", was="{{.level}}" | was="error" | level="new""#,
            &[2],
        ),
        (r#"{app="x"} | logfmt | path="/a b""#, &[0]),
        (
            r#"{app="x"} | logfmt | latency >= 300ms and size < 3KB"#,
            &[1],
        ),
        (r#"{app="x"} | logfmt | level="""#, &[3]),
        (
            r#"{app="x"} | regexp "n=(?P<number>\\d)" | number="5""#,
            &[2],
        ),
        (
            r#"{app="j"} | json second="a.b[1].c", n | second="y" | n=2"#,
            &[4],
        ),
        (
            r#"{app="j"} | json name="[\"full name\"]" | name="z""#,
            &[4],
        ),
        (r#"{app="j"} | json missing="a.x" | missing="""#, &[4]),
        // An object becomes its text in the line.
        (
            r#"{app="j"} | json all="a.b" | all=`[{"c":"x"},{"c":"y"}]`"#,
            &[4],
        ),
        // An empty label cannot be compared, so the line stays, with an error.
        (
            r#"{app="j"} | json missing | missing > 1 | __error__="LabelFilterErr""#,
            &[4],
        ),
        (
            r#"{app="x"} | json n | __error__="JSONParserErr""#,
            &[0, 1, 2, 3],
        ),
    ] {
        let expected: Vec<&str> = expected.iter().map(|nth: &usize| LINES[*nth].1).collect();
        assert_eq!(loki.lines(query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn line_format_makes_a_line_that_later_stages_read() {
    let loki = Loki::with_lines().await;
    for (query, expected) in [
        (
            r#"{app="x"} | logfmt | line_format "{{.level}}: {{.n}}" |= "info""#,
            &["info: 1", "info: 3"][..],
        ),
        (
            r#"{app="x"} |= "pairs" | line_format "<{{__line__}}>""#,
            &["<no pairs here>"],
        ),
        (
            r#"{app="j"} | json | line_format "x={{.n}}" | logfmt | x="2""#,
            &["x=2"],
        ),
    ] {
        assert_eq!(loki.lines(query).await, expected, "{query}");
    }
    let bytes = r#"sum(bytes_over_time({app="j"} | json | line_format "{{.n}}" [10s]))"#;
    assert_eq!(loki.vector(bytes).await.unwrap(), ["{} 1"]);
}

#[tokio::test]
async fn numbers_are_unwrapped_and_series_aggregated() {
    let loki = Loki::with_lines().await;
    let x = r#"{app="x"} | logfmt"#;
    for (query, expected) in [
        (
            format!("sum(sum_over_time({x} | unwrap n [10s]))"),
            &["{} 9"][..],
        ),
        (format!("sum(rate({x} | unwrap n [10s]))"), &["{} 0.9"]),
        (
            format!("avg_over_time({x} | unwrap n [10s]) by (level)"),
            &[r#"{"level":"error"} 5"#, r#"{"level":"info"} 2"#],
        ),
        (
            format!("max_over_time({x} | unwrap duration(latency) [10s]) by (app)"),
            &[r#"{"app":"x"} 1"#],
        ),
        (
            format!("min(min_over_time({x} | unwrap n [10s]))"),
            &["{} 1"],
        ),
        (
            format!("quantile_over_time(0.75, {x} | unwrap n [10s]) by (app)"),
            &[r#"{"app":"x"} 4"#],
        ),
        (
            format!("quantile_over_time(2, {x} | unwrap n [10s]) by (app)"),
            &[r#"{"app":"x"} +Inf"#],
        ),
        (
            format!("first_over_time({x} | unwrap n [10s]) by (app)"),
            &[r#"{"app":"x"} 1"#],
        ),
        (
            format!("last_over_time({x} | unwrap n [10s]) by (app)"),
            &[r#"{"app":"x"} 5"#],
        ),
        (
            format!("sum(sum_over_time({x} | unwrap bytes(size) [10s]))"),
            &["{} 7000"],
        ),
        // The unwrapped label is not a label of the series.
        (
            format!("sum_over_time({x} | keep app, n | unwrap n [10s])"),
            &[r#"{"app":"x"} 9"#],
        ),
        (
            format!("topk(1, sum by (level) (count_over_time({x}[10s])))"),
            &[r#"{"level":"info"} 2"#],
        ),
        (
            format!("bottomk(1, avg by (level) (max_over_time({x} | unwrap n [10s]) by (level)))"),
            &[r#"{"level":"info"} 3"#],
        ),
        (
            format!("count(sum by (level) (count_over_time({x}[10s])))"),
            &["{} 3"],
        ),
        (
            format!("avg(sum by (level) (count_over_time({x} [10s])))"),
            &["{} 1.3333333333333333"],
        ),
        // A line that is not logfmt gets no labels and no error.
        (
            r#"sum(count_over_time({app="j"} | logfmt [10s]))"#.to_owned(),
            &["{} 1"],
        ),
        // The lines of the first two seconds.
        (
            r#"sum(count_over_time({app="x"}[2s] offset 8s))"#.to_owned(),
            &["{} 2"],
        ),
        (
            format!("sum(sum_over_time({x} | unwrap n | level=\"info\" [10s]))"),
            &["{} 4"],
        ),
        (
            format!("sum(sum_over_time({x} | unwrap latency | __error__=\"\" [10s]))"),
            &[],
        ),
    ] {
        let found = loki.vector(&query).await;
        assert_eq!(
            found.as_deref(),
            Ok(&expected
                .iter()
                .map(|it| (*it).to_owned())
                .collect::<Vec<_>>()[..]),
            "{query}"
        );
    }
    let refused = loki
        .vector(&format!("sum(sum_over_time({x} | unwrap latency [10s]))"))
        .await;
    assert!(
        refused
            .unwrap_err()
            .contains("pipeline error: 'SampleExtractionErr'")
    );
}
