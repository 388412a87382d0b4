//! Compares the rules with a running server, which must export every metric that they name.

use std::collections::BTreeSet;
use std::convert::Infallible;

use promql_parser::parser::{Expr, VectorSelector, parse};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::json;

use super::{alerts, rules, text};
use crate::support::{TestServer, User, eventually};

/// Metrics of rules that no server exports, with the reason.
const NOT_EXPORTED: [(&str, &str); 3] = [
    ("up", "the scraper makes it"),
    ("ALERTS", "the evaluation of the rules makes it"),
    (
        "concert_tls_certificate_expiry_timestamp_seconds",
        "this server speaks http",
    ),
];

/// The selectors of an expression.
#[derive(Default)]
struct Selectors(Vec<VectorSelector>);

impl ExprVisitor for Selectors {
    type Error = Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Infallible> {
        match expr {
            Expr::VectorSelector(selector) => self.0.push(selector.clone()),
            Expr::MatrixSelector(matrix) => self.0.push(matrix.vs.clone()),
            _ => {}
        }
        Ok(true)
    }
}

fn selectors_of(queries: impl Iterator<Item = String>) -> Vec<VectorSelector> {
    let mut found = Selectors::default();
    for query in queries {
        let expr = parse(&query).unwrap_or_else(|error| panic!("{query}: {error}"));
        walk_expr(&mut found, &expr).unwrap();
    }
    found.0
}

/// Every selector of every rule.
fn selectors() -> Vec<VectorSelector> {
    let expr = |rule: serde_json::Value| rule["expr"].as_str().unwrap().to_owned();
    selectors_of(rules().into_iter().map(expr))
}

/// The queries in this language that the runbooks contain, one a line.
fn to_paste(language: &str) -> Vec<String> {
    let (fence, mut queries) = (format!("```{language}"), Vec::new());
    let names = alerts().into_iter().map(|(name, _)| name);
    for name in names.chain(["README".to_owned()]) {
        let book = text(&format!("docs/runbooks/{name}.md"));
        let mut lines = book.lines().map(str::trim);
        while lines.any(|line| line == fence) {
            let block = lines.by_ref().take_while(|line| *line != "```");
            queries.extend(block.filter(|l| !l.starts_with('#')).map(ToOwned::to_owned));
        }
    }
    queries
}

/// The series that the evaluation of the rules writes.
fn recorded() -> BTreeSet<String> {
    let name = |rule: serde_json::Value| Some(rule["record"].as_str()?.to_owned());
    let names = rules().into_iter().filter_map(name);
    // Prometheus writes it for every pending and firing alert.
    names.chain(["ALERTS".to_owned()]).collect()
}

/// The names of the samples that a server exposes.
async fn exported(server: &TestServer) -> BTreeSet<String> {
    let text = User::new(&server.ops_url, 0).get("/metrics").await.text;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let names = samples.filter_map(|line| line.split(['{', ' ']).next());
    names.map(ToOwned::to_owned).collect()
}

/// Buys a seat.
async fn buy(server: &TestServer) {
    let user = server.admitted(1).await;
    let reservation = user.reserved(1).await;
    assert_eq!(user.charge(json!(100_000)).await.status, 200);
    assert_eq!(user.pay(reservation).await.status, 200);
}

/// On Linux only, where a server exports the most metrics with names of the node exporter.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_exports_every_metric_that_a_rule_or_a_runbook_names() {
    let server = TestServer::seeded(1, 20, 5).await;
    buy(&server).await;
    let ruled: BTreeSet<String> = selectors().into_iter().filter_map(|s| s.name).collect();
    let pasted = selectors_of(to_paste("promql").into_iter());
    let pasted = pasted.into_iter().filter_map(|s| s.name);
    let named: BTreeSet<String> = ruled.into_iter().chain(pasted).collect();
    for (name, why) in NOT_EXPORTED {
        assert!(named.contains(name), "nothing names {name} ({why})");
    }
    let recorded = recorded();
    let expected: BTreeSet<String> = named
        .into_iter()
        .filter(|name| !recorded.contains(name))
        .filter(|name| NOT_EXPORTED.iter().all(|(not, _)| not != name))
        .collect();
    assert!(expected.len() > 30, "{expected:?}");
    // Some gauges are set once a second.
    eventually(&format!("the server exports {expected:?}"), || async {
        let exported = exported(&server).await;
        expected.is_subset(&exported).then_some(())
    })
    .await;
    server.stop().await;
}

#[test]
fn the_log_store_answers_the_log_queries_of_the_runbooks() {
    let queries = to_paste("logql");
    assert!(queries.len() > 10, "{queries:?}");
    for query in queries {
        let checked = concertctl::embedded::loki::check_query(&query);
        assert_eq!(checked, Ok(()), "{query}");
    }
}

#[tokio::test]
async fn the_buying_steps_of_the_rules_are_those_of_the_api() {
    let server = TestServer::empty().await;
    let document = server.stranger(1).get("/openapi.json").await.json();
    server.stop().await;
    let routes: Vec<String> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let matchers: Vec<_> = selectors()
        .iter()
        .flat_map(|selector| selector.matchers.find_matchers("http_route"))
        .filter(|matcher| !matcher.is_match("/queue"))
        .collect();
    assert!(matchers.len() >= 8, "{matchers:?}");
    let other = |route: &str| {
        ["/queue", "/health", "/openapi"]
            .iter()
            .any(|p| route.starts_with(p))
    };
    assert!(routes.len() > 8 && routes.iter().any(|route| other(route)));
    for matcher in matchers {
        for route in &routes {
            assert_eq!(matcher.is_match(route), !other(route), "{route}: {matcher}");
        }
        assert!(!matcher.is_match("unmatched"));
    }
}

#[tokio::test]
async fn the_metrics_of_a_server_show_whether_the_sale_is_open() {
    let server = TestServer::seeded(1, 20, 5).await;
    let open = |value: &'static str| {
        let (server, line) = (&server, format!("concert_admission_open {value}"));
        async move {
            eventually(&line, || async {
                let text = User::new(&server.ops_url, 0).get("/metrics").await.text;
                text.lines().any(|exported| exported == line).then_some(())
            })
            .await;
        }
    };
    let set = |opening| {
        server.admission(concertctl::api::ops::AdmissionChange {
            opening: Some(opening),
            ..Default::default()
        })
    };
    open("1").await;
    set(concertctl::api::ops::Opening::Closed).await;
    open("0").await;
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let tomorrow = std::time::SystemTime::now() + day;
    let tomorrow = tomorrow.duration_since(std::time::UNIX_EPOCH).unwrap();
    let tomorrow = i64::try_from(tomorrow.as_millis()).unwrap();
    set(concertctl::api::ops::Opening::At(tomorrow)).await;
    open("0").await;
    set(concertctl::api::ops::Opening::Now).await;
    open("1").await;
    server.stop().await;
}
