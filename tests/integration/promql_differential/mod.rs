//! Compares the embedded Prometheus with a real one: over the same samples, each query must have the same answer, and
//! each invalid query the same refusal.
//!
//! Needs Debian's `prometheus` package (2.42, with `promtool`). Without it the tests print that they are skipped and
//! pass, unless `CI` is set.

mod compare;
mod functions;
mod history;
mod operators;
mod queries;
mod random;
mod real;
mod remote_write;
mod times;

use std::sync::Arc;
use std::time::Duration;

use concertctl::embedded::prometheus::{QueryLimits, Tsdb, TsdbConfig, routes};

use compare::{Difference, Order, difference};
pub(crate) use history::Series;
use history::{History, START_MS};
pub(crate) use remote_write::send as remote_write;

/// Two servers with the same samples.
struct Pair {
    client: reqwest::Client,
    real: real::Prometheus,
    embedded: String,
}

impl Pair {
    /// Both servers over a history; `None` if Prometheus is not installed.
    async fn over(history: &History) -> Option<Self> {
        let real = real::Prometheus::start(history).await?;
        let tsdb = Arc::new(Tsdb::new(TsdbConfig::default()));
        for (labels, t, v) in history.samples() {
            tsdb.append(labels, t, v).unwrap();
        }
        let ends = History::with_ends();
        remote_write::send(&real.url, &ends).await;
        for (labels, samples) in &ends {
            for (t, v) in samples {
                tsdb.append(labels, *t, *v).unwrap();
            }
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let embedded = format!("http://{}", listener.local_addr().unwrap());
        let app = routes(tsdb, QueryLimits::default());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let client = concertctl::http_client::builder()
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        Some(Self {
            client,
            real,
            embedded,
        })
    }

    async fn ask(
        &self,
        base: &str,
        path: &str,
        params: &[(&str, &str)],
    ) -> (u16, serde_json::Value) {
        let url = format!("{base}/api/v1/{path}");
        let response = self.client.get(url).query(params).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap())
    }

    async fn instant(&self, query: &str, at: f64) -> Option<Difference> {
        let at = seconds(at);
        let params = [("query", query), ("time", at.as_str())];
        self.difference("query", &params).await
    }

    async fn range(&self, query: &str, range: (f64, f64, &str)) -> Option<Difference> {
        let (start, end, step) = (seconds(range.0), seconds(range.1), range.2);
        let params = [
            ("query", query),
            ("start", start.as_str()),
            ("end", end.as_str()),
            ("step", step),
        ];
        self.difference("query_range", &params).await
    }

    /// The difference between the two answers, if there is one.
    async fn difference(&self, path: &str, params: &[(&str, &str)]) -> Option<Difference> {
        let real = self.ask(&self.real.url, path, params).await;
        let embedded = self.ask(&self.embedded, path, params).await;
        let order = Order::of(path, params);
        difference(&real, &embedded, order).map(|what| format!("{path} {params:?}: {what}"))
    }
}

fn seconds(after_start: f64) -> String {
    format!("{:.3}", START_MS as f64 / 1000.0 + after_start)
}

/// The times of instant queries, in seconds after the start of the history. Some are between samples.
const INSTANTS: [f64; 5] = [330.0, 1201.5, 2400.0, 3599.0, 4222.0];

/// The start, end and step of range queries.
const RANGES: [(f64, f64, &str); 5] = [
    (0.0, 3600.0, "60"),
    (600.0, 1800.0, "15s"),
    (1187.3, 1300.9, "0.7"),
    (3300.0, 5400.0, "1m30s"),
    (3990.0, 4710.0, "7s"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_has_the_same_answer_as_in_prometheus() {
    let history = History::new();
    let Some(pair) = Pair::over(&history).await else {
        return real::skipped();
    };
    let mut differences = vec![];
    let all = [
        queries::VALID,
        operators::QUERIES,
        functions::QUERIES,
        times::QUERIES,
    ];
    for query in all.concat() {
        for at in INSTANTS {
            differences.extend(pair.instant(query, at).await);
        }
        for range in RANGES {
            differences.extend(pair.range(query, range).await);
        }
    }
    assert!(all.concat().len() >= 500);
    report(&differences);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_queries_have_the_same_answers_or_refusals() {
    let history = History::new();
    let Some(pair) = Pair::over(&history).await else {
        return real::skipped();
    };
    let seed = std::env::var("PROMQL_SEED").map_or(42, |s| s.parse().unwrap());
    let count = std::env::var("PROMQL_QUERIES").map_or(600, |s| s.parse().unwrap());
    let mut differences = vec![];
    for query in random::Queries::new(seed).take(count) {
        differences.extend(pair.instant(&query, 2400.0).await);
        differences.extend(pair.range(&query, RANGES[1]).await);
    }
    // Queries outside of the supported part may be refused.
    differences.retain(|d| !d.contains("not supported by the embedded Prometheus"));
    report(&differences);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_that_prometheus_refuses_are_refused() {
    let history = History::new();
    let Some(pair) = Pair::over(&history).await else {
        return real::skipped();
    };
    let (start, end) = (seconds(600.0), seconds(1800.0));
    let mut differences = vec![];
    let refused = [
        queries::REFUSED,
        operators::REFUSED,
        functions::REFUSED,
        times::REFUSED,
    ];
    for query in refused.concat() {
        let instant = [("query", query), ("time", start.as_str())];
        let (status, answer) = pair.ask(&pair.real.url, "query", &instant).await;
        assert_ne!(status, 200, "{query} is answered: {answer}");
        differences.extend(pair.difference("query", &instant).await);
    }
    for [from, to, step] in [
        [start.as_str(), end.as_str(), "0"],
        [&start, &end, "-1"],
        [&start, &end, "x"],
        [&start, &end, ""],
        [&start, &end, "0.01"],
        [&end, &start, "15"],
        ["x", &end, "15"],
        ["", &end, "15"],
    ] {
        let params = [
            ("query", "up"),
            ("start", from),
            ("end", to),
            ("step", step),
        ];
        differences.extend(pair.difference("query_range", &params).await);
    }
    report(&differences);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_and_labels_have_the_same_lists() {
    let history = History::new();
    let Some(pair) = Pair::over(&history).await else {
        return real::skipped();
    };
    let (start, end) = (seconds(0.0), seconds(4800.0));
    let window = [("start", start.as_str()), ("end", end.as_str())];
    let mut differences = vec![];
    for (path, matcher) in [
        ("series", Some("http_requests_total")),
        ("series", Some("{instance=\"web-1\",__name__=~\"node.*\"}")),
        ("series", Some("nothing")),
        ("series", Some("sum(up)")),
        ("series", None),
        ("labels", None),
        ("labels", Some("up")),
        ("label/instance/values", None),
        ("label/__name__/values", None),
        ("label/path/values", None),
        (
            "label/code/values",
            Some("http_requests_total{method=\"GET\"}"),
        ),
        ("label/nothing/values", None),
        ("label/not-a-name/values", None),
    ] {
        let mut params = window.to_vec();
        params.extend(matcher.map(|m| ("match[]", m)));
        differences.extend(pair.difference(path, &params).await);
    }
    report(&differences);
}

fn report(differences: &[Difference]) {
    let shown: Vec<_> = differences.iter().take(40).cloned().collect();
    assert!(
        differences.is_empty(),
        "{} answers differ:\n{}",
        differences.len(),
        shown.join("\n")
    );
}
