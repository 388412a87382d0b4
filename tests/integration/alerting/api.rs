//! Compares lists of rules and alerts, and expanded templates, with those of a real Prometheus.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use concertctl::alerting::{Evaluator, EvaluatorConfig, RuleSet, routes};
use concertctl::embedded::prometheus::{Tsdb, TsdbConfig};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use serde_json::Value;
use tower::ServiceExt as _;

use super::real;
use crate::support::eventually;

/// Values that template functions format in different ways.
const VALUES: [&str; 34] = [
    "0",
    "1",
    "-1",
    "3.5",
    "0.1 + 0.2",
    "1234567",
    "12345",
    "99999.5",
    "999.95",
    "0.00001234",
    "1e21",
    "1e-30",
    "123456789.123",
    "59.999",
    "60",
    "3599.5",
    "3661",
    "90061.25",
    "-90061",
    "0.0421",
    "1023",
    "1024",
    "1025",
    "1536",
    "1e15",
    "5e-324",
    "1.7976931348623157e308",
    "-0.5",
    "2.5",
    "0.125",
    "1000000",
    "Inf",
    "-Inf",
    "NaN",
];

/// Templates that use a value and two labels.
const TEMPLATES: [&str; 16] = [
    "{{ $value }}",
    "{{ humanize $value }}",
    "{{ $value | humanize1024 }}",
    "{{ $value | humanizeDuration }}",
    "{{ $value | humanizePercentage }}",
    "{{ printf \"%.2f|%5.1f|%-9.3f|%+.1f|%09.2f|% .3f\" $value $value $value $value $value $value }}",
    "{{ printf \"%g|%.3g|%e|%.2E|%v|%G\" $value $value $value $value $value $value }}",
    "{{ $value | printf \"%.0f%%\" }}",
    "{{ if $value }}some{{ else }}none{{ end }}",
    "{{ with $value }}{{ . }} {{ . | humanize }}{{ else }}nothing{{ end }}",
    "{{ with $labels.none }}{{ . }}{{ else }}without{{ end }}",
    "a {{- $labels.alertname -}} b [{{ $labels.job }}] {{/* nothing */}}{{ .Labels.job }}",
    "{{ if $labels.none }}1{{ else if $labels.job }}2{{ else }}3{{ end }}",
    "{{ printf \"%s=%8s|%-8s|%v\" $labels.job `x\\y` \"t\\\"q\" $labels.none }}",
    "{{ $externalLabels.region }}{{ .ExternalLabels.none }}{{ .Value | humanize }}",
    "{{ (printf \"%.1f\" ($value)) }}{{ \"}}\" }}",
];

fn rules() -> String {
    let mut text = "groups:\n- name: values\n  limit: 100\n  rules:\n".to_owned();
    for (n, value) in VALUES.iter().enumerate() {
        let value =
            format!("label_replace(vector({value}), 'job', 'web', '', '')").replace('\'', "\"");
        let _ = write!(
            text,
            "  - alert: V{n}\n    expr: '{value}'\n    labels: {{ n: '{n}', v: '{{{{ $value }}}}' }}\n    annotations:\n"
        );
        for (n, template) in TEMPLATES.iter().enumerate() {
            let _ = writeln!(text, "      t{n}: '{template}'");
        }
    }
    text + r#"
- name: a group
  interval: 300ms
  rules:
  - alert: Waits
    expr: vector(1) == 1
    for: 1h30m
    keep_firing_for: 90s
    annotations: { summary: "{{ $value }}", other: b }
  - alert: Never
    expr: sum by (job, instance) (rate(up{job=~"a|b",instance!="x"}[5m] offset 1m)) / ignoring (x) group_left (y) m > bool 1.50
  - record: job:x:sum
    expr: |
      sum without (a) (
        vector(2)   # with a comment
      ) or -m and on (a) m unless m @ 12.5
    labels: { level: job }
  - record: plain
    expr: histogram_quantile(0.9, sum(rate(x_bucket[1m30s])) by (le)) * 1e6 + topk(3, m)
"#
}

async fn ask(evaluator: &Arc<Evaluator>, path: &str) -> Value {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = routes(Arc::clone(evaluator))
        .oneshot(request)
        .await
        .unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

/// Removes the fields that depend on the clock, and sorts alerts by their labels, because Prometheus lists them in the
/// order of a hash.
fn clean(mut answer: Value) -> Value {
    let data = &mut answer["data"];
    if let Some(groups) = data.get_mut("groups").and_then(Value::as_array_mut) {
        for group in groups {
            strip(group, &["evaluationTime", "lastEvaluation"]);
            for rule in group["rules"].as_array_mut().unwrap() {
                strip(rule, &["evaluationTime", "lastEvaluation"]);
                rule.get_mut("alerts").into_iter().for_each(clean_alerts);
            }
        }
    }
    data.get_mut("alerts").into_iter().for_each(clean_alerts);
    answer
}

fn clean_alerts(alerts: &mut Value) {
    let alerts = alerts.as_array_mut().unwrap();
    alerts
        .iter_mut()
        .for_each(|alert| strip(alert, &["activeAt"]));
    alerts.sort_by_key(|alert| alert["labels"].to_string());
}

fn strip(entry: &mut Value, names: &[&str]) {
    let entry = entry.as_object_mut().unwrap();
    for name in names {
        let time = entry.remove(*name).unwrap();
        let fits = time.is_number() || time.as_str().unwrap().parse::<Timestamp>().is_ok();
        assert!(fits, "{name}: {time}");
    }
}

#[tokio::test]
async fn lists_and_texts_are_those_of_prometheus() {
    if real::missing(&["prometheus"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yml");
    std::fs::write(&file, rules()).unwrap();
    let config = format!(
        "global: {{evaluation_interval: 200ms, external_labels: {{region: eu}}}}\nrule_files: ['{}']\n",
        file.display()
    );
    let real = real::prometheus(dir.path(), &config).await;
    let config = EvaluatorConfig {
        interval: std::time::Duration::from_millis(200),
        external_labels: [("region".to_owned(), "eu".to_owned())].into(),
        ..EvaluatorConfig::default()
    };
    let tsdb = Arc::new(Tsdb::new(TsdbConfig::default()));
    let evaluator = Evaluator::new(RuleSet::load(&[file]).unwrap(), config, tsdb);
    let evaluator = Arc::new(evaluator);
    evaluator.evaluate(Timestamp::now().as_millisecond());
    eventually("prometheus has evaluated all rules", || async {
        let rules = real.get("/api/v1/rules", &[]).await;
        let groups = rules["data"]["groups"].as_array()?.clone();
        let mut rules = groups.iter().flat_map(|g| g["rules"].as_array().unwrap());
        rules.all(|rule| rule["health"] == "ok").then_some(())
    })
    .await;
    for path in [
        "/api/v1/rules",
        "/api/v1/rules?type=record",
        "/api/v1/rules?type=ALERT",
        "/api/v1/alerts",
    ] {
        let (real, embedded) = (real.get(path, &[]).await, ask(&evaluator, path).await);
        same(path, &clean(real), &clean(embedded));
    }
    // Prometheus 2.42 ignores this filter, which later versions added.
    for (filter, found) in [("nothing", false), ("V3", true)] {
        let path = format!("/api/v1/rules?rule_name%5B%5D={filter}");
        let answer = ask(&evaluator, &path).await;
        let groups = answer["data"]["groups"].as_array().unwrap();
        let mut rules = groups
            .iter()
            .flat_map(|it| it["rules"].as_array().unwrap())
            .peekable();
        assert_eq!(rules.peek().is_some(), found, "{filter}");
        assert!(rules.all(|rule| rule["name"] == filter), "{groups:?}");
    }
    let bad = "/api/v1/rules?type=both";
    assert_eq!(real.get(bad, &[]).await, ask(&evaluator, bad).await);
}

/// Fails with the first difference instead of two long lists.
fn same(path: &str, real: &Value, embedded: &Value) {
    if let (Some(a), Some(b)) = (real.as_object(), embedded.as_object()) {
        let names = |o: &serde_json::Map<String, Value>| o.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(a), names(b), "{path}");
        a.iter()
            .for_each(|(name, a)| same(&format!("{path} {name}"), a, &b[name]));
    } else if let (Some(a), Some(b)) = (real.as_array(), embedded.as_array()) {
        assert_eq!(a.len(), b.len(), "{path}: {real} {embedded}");
        for (n, (a, b)) in a.iter().zip(b).enumerate() {
            same(&format!("{path} {n}"), a, b);
        }
    } else {
        assert_eq!(real, embedded, "{path}");
    }
}
