//! Compares the embedded evaluator with a real Prometheus. Both evaluate the shipped rules over the same samples.
//! States at each evaluation, messages and lists must be equal.
//!
//! The real one evaluates by the clock, so the test sends it samples with times in the future. Afterwards the embedded
//! one evaluates at exactly the instants of the real one. Two things in the rules are changed: each `for` is a
//! thirtieth, so that minutes become seconds, and each group records the instants of its evaluations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use concertctl::alerting::{Evaluator, EvaluatorConfig, RuleSet, routes as rule_routes};
use concertctl::embedded::alertmanager::PostableAlert;
use concertctl::embedded::prometheus::{QueryLimits, Tsdb, TsdbConfig, routes};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use serde_json::Value;
use tower::ServiceExt as _;

use super::history::{END, History};
use super::listener::Listener;
use super::real::{self, Program};
use crate::promql_differential::remote_write;
use crate::support::eventually;

const SHIPPED: &str = include_str!("../../../otel/prometheus/alerts.yml");

/// For each series, by its labels: the samples by time in milliseconds.
type Samples = BTreeMap<String, BTreeMap<i64, f64>>;

/// Returns the rules with shorter `for` times, and the names of their groups.
fn rules() -> (String, Vec<String>) {
    let (mut text, mut groups) = (String::new(), Vec::new());
    for line in SHIPPED.lines() {
        if let Some(name) = line.strip_prefix("  - name: ") {
            groups.push(name.to_owned());
        }
        match line.trim().strip_prefix("for: ") {
            Some(time) => {
                let unit = if time.ends_with('m') { 60_000 } else { 1000 };
                let count: i64 = time[..time.len() - 1].parse().unwrap();
                text += &format!("        for: {}ms\n", count * unit / 30);
            }
            None => text += &format!("{line}\n"),
        }
        if line == "    rules:" {
            let heartbeat = format!("heartbeat{}", groups.len() - 1);
            text += &format!("      - record: {heartbeat}\n        expr: time()\n");
        }
    }
    (text, groups)
}

/// An alert as it is sent to Alertmanager: labels, annotations, start, and end if it has ended (milliseconds).
type Sent = (Value, Value, i64, Option<i64>);

fn sent_alert(alert: &Value) -> Sent {
    let time = |name: &str| -> i64 {
        let text = alert[name].as_str().unwrap();
        text.parse::<Timestamp>().unwrap().as_millisecond()
    };
    let ends = time("endsAt");
    // The `endsAt` of a firing alert lies in the future: it is only the time until which the message is valid.
    let ended = (ends - time("startsAt") < 200_000).then_some(ends);
    (
        alert["labels"].clone(),
        alert["annotations"].clone(),
        time("startsAt"),
        ended,
    )
}

fn sent_by_embedded(alert: &PostableAlert) -> Sent {
    sent_alert(&serde_json::json!({
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": alert.starts_at.unwrap().to_string(),
        "endsAt": alert.ends_at.unwrap().to_string(),
    }))
}

struct Pair {
    real: Program,
    listener: Listener,
    tsdb: Arc<Tsdb>,
    groups: Vec<String>,
    rules: std::path::PathBuf,
    _dir: tempfile::TempDir,
}

impl Pair {
    /// Sends the samples to both, and waits until the real one has evaluated the rules over their whole time.
    async fn evaluated() -> Pair {
        let dir = tempfile::tempdir().unwrap();
        let listener = Listener::start().await;
        let real = real::prometheus(dir.path(), "global: {}\n").await;
        let (text, groups) = rules();
        let rules = dir.path().join("rules.yml");
        std::fs::write(&rules, text).unwrap();
        let start = Timestamp::now().as_millisecond() + 1000;
        let history = History::new(start);
        remote_write(&real.url, &history.series).await;
        let tsdb = Arc::new(Tsdb::new(TsdbConfig::default()));
        for (labels, samples) in &history.series {
            for (t, v) in samples {
                tsdb.append(labels, *t, *v).unwrap();
            }
        }
        std::fs::write(dir.path().join("prometheus.yml"), config(&rules, &listener)).unwrap();
        real.reload().await;
        let ends = start + (END - 2) * 1000;
        let left = ends - Timestamp::now().as_millisecond();
        tokio::time::sleep(std::time::Duration::from_millis(left.max(0) as u64)).await;
        Pair {
            real,
            listener,
            tsdb,
            groups,
            rules,
            _dir: dir,
        }
    }

    /// Every sample of the metrics that `matcher` selects, without staleness markers.
    async fn real_samples(&self, matcher: &str) -> Samples {
        let query = format!("{{__name__=~\"{matcher}\"}}[2m]");
        samples(&self.real.get("/api/v1/query", &[("query", &query)]).await)
    }

    async fn embedded_samples(&self, matcher: &str) -> Samples {
        let query = format!("{{__name__=~\"{matcher}\"}}[2m]");
        let mut url = reqwest::Url::parse("http://x/api/v1/query").unwrap();
        url.query_pairs_mut().append_pair("query", &query);
        let app = routes(Arc::clone(&self.tsdb), QueryLimits::default());
        samples(&ask(app, url.as_str()).await)
    }
}

fn config(rules: &Path, listener: &Listener) -> String {
    let target = listener.url.trim_start_matches("http://");
    format!(
        "global: {{evaluation_interval: 250ms}}\nrule_files: ['{}']\nalerting:\n  alertmanagers:\n  - \
         static_configs: [{{targets: ['{target}']}}]\n",
        rules.display()
    )
}

async fn ask(app: axum::Router, path: &str) -> Value {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

fn samples(answer: &Value) -> Samples {
    let rows = answer["data"]["result"].as_array();
    let rows = rows.unwrap_or_else(|| panic!("{answer}")).iter();
    rows.map(|row| {
        let points = row["values"].as_array().unwrap().iter();
        let points = points.map(|point| {
            let at = (point[0].as_f64().unwrap() * 1000.0).round() as i64;
            (at, point[1].as_str().unwrap().parse().unwrap())
        });
        (row["metric"].to_string(), points.collect())
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shipped_rules_have_the_states_and_messages_that_prometheus_gives_them() {
    if real::missing(&["prometheus"]) {
        return;
    }
    let pair = Pair::evaluated().await;
    let heartbeats = pair.real_samples("heartbeat.*").await;
    let states = pair.real_samples("ALERTS.*|job:.*").await;
    let mut instants = Vec::new();
    for (metric, samples) in &heartbeats {
        let metric: Value = serde_json::from_str(metric).unwrap();
        let name = metric["__name__"].as_str().unwrap();
        let group: usize = name["heartbeat".len()..].parse().unwrap();
        instants.extend(samples.keys().map(|at| (*at, pair.groups[group].clone())));
    }
    instants.sort();
    assert!(
        instants.len() > 50 * pair.groups.len(),
        "{}",
        instants.len()
    );

    let rules = RuleSet::load(std::slice::from_ref(&pair.rules)).unwrap();
    let config = EvaluatorConfig {
        interval: std::time::Duration::from_millis(250),
        ..EvaluatorConfig::default()
    };
    let evaluator = Arc::new(Evaluator::new(rules, config, Arc::clone(&pair.tsdb)));
    let mut messages = BTreeSet::new();
    for (at, group) in &instants {
        let sent = evaluator.evaluate_only(group, *at);
        messages.extend(
            sent.iter()
                .map(|alert| format!("{:?}", sent_by_embedded(alert))),
        );
    }
    let last = instants.last().unwrap().0;
    compare_samples(
        &states,
        &pair.embedded_samples("ALERTS.*|job:.*").await,
        last,
    );
    every_alert_came_and_went(&states, last);
    compare_messages(&pair, &messages).await;
    compare_rules(&pair, &evaluator).await;
}

/// Asserts that both have the same series with the same values at each instant.
fn compare_samples(real: &Samples, embedded: &Samples, last: i64) {
    let mut differences = Vec::new();
    let series: BTreeSet<_> = real.keys().chain(embedded.keys()).collect();
    for series in series {
        let of = |samples: &Samples| samples.get(series).cloned().unwrap_or_default();
        let (real, embedded) = (of(real), of(embedded));
        let times: BTreeSet<_> = real.keys().chain(embedded.keys()).collect();
        for at in times.into_iter().filter(|at| **at <= last) {
            let same = match (real.get(at), embedded.get(at)) {
                (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
                _ => false,
            };
            if !same {
                let values = (real.get(at), embedded.get(at));
                differences.push(format!("{series} at {at}: {values:?}"));
            }
        }
    }
    let shown = differences
        .iter()
        .take(20)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    assert!(
        differences.is_empty(),
        "{} differ:\n{shown}",
        differences.len()
    );
}

/// Asserts that each alert fired and ended. Otherwise the history would not test its rule.
fn every_alert_came_and_went(states: &Samples, last: i64) {
    let mut seen: BTreeMap<&str, BTreeMap<String, i64>> = BTreeMap::new();
    let names: Vec<&str> = SHIPPED
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    for (series, samples) in states {
        let labels: Value = serde_json::from_str(series).unwrap();
        let Some(state) = labels["alertstate"].as_str() else {
            continue;
        };
        let name = names
            .iter()
            .find(|name| labels["alertname"] == **name)
            .unwrap();
        let until = samples.keys().max().unwrap();
        let known = seen
            .entry(name)
            .or_default()
            .entry(state.to_owned())
            .or_default();
        *known = (*known).max(*until);
    }
    println!("{} rules, {} of them fired", names.len(), seen.len());
    for name in names {
        let states = seen
            .get(name)
            .unwrap_or_else(|| panic!("{name} never came"));
        assert!(
            states.contains_key("firing"),
            "{name} never fired: {states:?}"
        );
        assert!(
            states["firing"] < last - 500,
            "{name} never went: {states:?}"
        );
        let at_once = ["ServerRestarted", "FaultInjected", "FireAlarm"].contains(&name);
        assert_eq!(
            states.contains_key("pending"),
            !at_once,
            "{name}: {states:?}"
        );
    }
}

/// Asserts that both sent the same starts and ends, with the same labels and annotations.
async fn compare_messages(pair: &Pair, embedded: &BTreeSet<String>) {
    let all = || -> BTreeSet<String> {
        let posts = pair.listener.posts();
        let alerts = posts.iter().flat_map(|post| post.body.as_array().unwrap());
        alerts
            .map(|alert| format!("{:?}", sent_alert(alert)))
            .collect()
    };
    // Prometheus sends from a queue.
    eventually("every message has come", || async {
        (all().len() >= embedded.len()).then_some(())
    })
    .await;
    let real = all();
    let missing: Vec<_> = real.difference(embedded).take(5).collect();
    let surplus: Vec<_> = embedded.difference(&real).take(5).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing {missing:#?} surplus {surplus:#?}"
    );
    println!("{} messages alike", real.len());
}

/// Compares the lists of rules and alerts without the fields that depend on the clock.
async fn compare_rules(pair: &Pair, evaluator: &Arc<Evaluator>) {
    let clean = |answer: Value| {
        let mut answer = answer;
        for group in answer["data"]["groups"].as_array_mut().unwrap() {
            strip(group);
            group["rules"]
                .as_array_mut()
                .unwrap()
                .iter_mut()
                .for_each(strip);
        }
        answer
    };
    for query in ["", "?type=alert", "?type=record", "?type=x"] {
        let path = format!("/api/v1/rules{query}");
        let real = pair.real.get(&path, &[]).await;
        let embedded = ask(rule_routes(Arc::clone(evaluator)), &path).await;
        if real["status"] == "error" {
            assert_eq!(real, embedded);
            continue;
        }
        let (real, embedded) = (clean(real), clean(embedded));
        let groups = |answer: &Value| answer["data"]["groups"].as_array().unwrap().clone();
        for (real, embedded) in groups(&real).iter().zip(groups(&embedded)) {
            for (a, b) in real["rules"]
                .as_array()
                .unwrap()
                .iter()
                .zip(embedded["rules"].as_array().unwrap())
            {
                assert_eq!(a, b, "{query}");
            }
        }
        assert_eq!(real, embedded, "{query}");
    }
}

fn strip(entry: &mut Value) {
    let entry = entry.as_object_mut().unwrap();
    for name in ["evaluationTime", "lastEvaluation"] {
        assert!(entry.remove(name).is_some(), "{entry:?}");
    }
}
