use super::*;
use crate::embedded::prometheus::evaluate;
use crate::embedded::prometheus::labels::Labels;
use crate::embedded::prometheus::tsdb::{STALE_NAN_BITS, TsdbConfig};

/// A store, rules that are evaluated over it, and a clock in seconds.
struct World {
    tsdb: Arc<Tsdb>,
    evaluator: Evaluator,
}

const START: i64 = 1_700_000_000;

impl World {
    fn new(rules: &str) -> World {
        World::with(rules, EvaluatorConfig::default())
    }

    fn with(rules: &str, config: EvaluatorConfig) -> World {
        let tsdb = Arc::new(Tsdb::new(TsdbConfig::default()));
        let rules = RuleSet::parse("r.yml", rules).unwrap();
        let evaluator = Evaluator::new(rules, config, Arc::clone(&tsdb));
        World { tsdb, evaluator }
    }

    fn set(&self, second: i64, series: &[(&str, f64)]) {
        for (instance, v) in series {
            let labels = Labels::from_pairs([("__name__", "m"), ("instance", instance)]);
            self.tsdb
                .append(&labels, (START + second) * 1000, *v)
                .unwrap();
        }
    }

    fn end(&self, second: i64, instance: &str) {
        self.set(second, &[(instance, f64::from_bits(STALE_NAN_BITS))]);
    }

    fn evaluate(&self, second: i64) -> Vec<PostableAlert> {
        self.evaluator.evaluate((START + second) * 1000)
    }

    /// The result of a query as text.
    fn ask(&self, second: i64, query: &str) -> Vec<String> {
        let at = (START + second) * 1000;
        let rows = evaluate(&self.tsdb, &QueryLimits::default(), query, at).unwrap();
        let mut rows: Vec<_> = rows.iter().map(|(l, v)| format!("{l} {v}")).collect();
        rows.sort();
        rows
    }

    fn states(&self) -> Vec<(String, &'static str)> {
        let rules = self.evaluator.groups.iter().flat_map(|g| g.status().rules);
        let alerts = rules.flat_map(|rule| rule.alerts);
        alerts
            .map(|(l, a)| (l.get("instance").to_owned(), a.state.as_str()))
            .collect()
    }

    fn rule(&self, index: usize) -> RuleStatus {
        self.evaluator.groups[0].status().rules[index].clone()
    }
}

fn alert(more: &str) -> String {
    format!("groups:\n- name: g\n  rules:\n  - alert: High\n    expr: m > 1\n{more}")
}

fn seconds(at: Option<jiff::Timestamp>) -> i64 {
    at.unwrap().as_second() - START
}

#[test]
fn an_alert_is_pending_then_fires_then_resolves_and_is_kept_for_a_quarter_of_an_hour() {
    let world = World::new(&alert("    for: 10s\n"));
    world.set(0, &[("a", 5.0)]);
    assert!(world.evaluate(0).is_empty());
    assert_eq!(world.states(), [("a".to_owned(), "pending")]);
    assert_eq!(
        world.ask(0, "ALERTS"),
        [r#"ALERTS{alertname="High", alertstate="pending", instance="a"} 1"#]
    );
    assert_eq!(
        world.ask(0, "ALERTS_FOR_STATE"),
        [format!(
            r#"ALERTS_FOR_STATE{{alertname="High", instance="a"}} {START}"#
        )]
    );
    assert!(world.evaluate(9).is_empty());
    let sent = world.evaluate(10);
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (seconds(sent[0].starts_at), seconds(sent[0].ends_at)),
        (10, 250)
    );
    assert_eq!(
        world.ask(10, "ALERTS"),
        [r#"ALERTS{alertname="High", alertstate="firing", instance="a"} 1"#]
    );
    assert!(world.evaluate(11).is_empty(), "sent once");
    world.set(12, &[("a", 0.0)]);
    let sent = world.evaluate(12);
    assert_eq!(
        (seconds(sent[0].starts_at), seconds(sent[0].ends_at)),
        (10, 12)
    );
    assert_eq!(world.states(), [("a".to_owned(), "inactive")]);
    assert!(world.ask(12, "ALERTS").is_empty());
    assert!(world.ask(12, "ALERTS_FOR_STATE").is_empty());
    assert_eq!(world.evaluate(73).len(), 1, "the end is repeated");
    world.evaluate(12 + 900);
    assert_eq!(world.states().len(), 1);
    world.evaluate(12 + 901);
    assert!(world.states().is_empty());
}

#[test]
fn an_alert_without_for_fires_at_once_and_is_sent_again_each_minute() {
    let world = World::new(&alert(""));
    world.set(0, &[("a", 5.0)]);
    assert_eq!(world.evaluate(0).len(), 1);
    assert!(world.evaluate(60).is_empty());
    assert_eq!(seconds(world.evaluate(61)[0].ends_at), 61 + 240);
}

#[test]
fn a_condition_that_holds_again_starts_a_new_alert() {
    let world = World::new(&alert("    for: 5s\n"));
    for (second, v) in [(0, 5.0), (3, 0.0), (4, 5.0)] {
        world.set(second, &[("a", v)]);
        assert!(world.evaluate(second).is_empty(), "what never fired");
    }
    world.evaluate(8);
    assert_eq!(world.states(), [("a".to_owned(), "pending")]);
    world.evaluate(9);
    assert_eq!(world.states(), [("a".to_owned(), "firing")]);
    // The alert resolved and came back, so it is a new alert with its own start.
    world.set(10, &[("a", 0.0)]);
    world.evaluate(10);
    world.set(11, &[("a", 2.0)]);
    world.evaluate(11);
    assert_eq!(world.states(), [("a".to_owned(), "pending")]);
    assert_eq!(seconds(world.evaluate(16)[0].starts_at), 16);
}

#[test]
fn an_alert_may_keep_firing_after_its_condition() {
    let world = World::new(&alert("    keep_firing_for: 10s\n"));
    world.set(0, &[("a", 5.0)]);
    world.evaluate(0);
    world.set(1, &[("a", 0.0)]);
    world.evaluate(1);
    world.evaluate(10);
    assert_eq!(world.states(), [("a".to_owned(), "firing")]);
    assert_eq!(world.ask(10, "ALERTS").len(), 1);
    assert_eq!(world.evaluate(11).len(), 1);
    assert_eq!(world.states(), [("a".to_owned(), "inactive")]);
}

#[test]
fn labels_of_the_rule_stand_over_those_of_the_series_and_the_name_over_all() {
    let labels = "    labels: { instance: 'on {{ $labels.instance }}', alertname: x, none: '{{ $labels.none }}' }\n";
    let texts = "    annotations: { summary: '{{ $labels.instance }}: {{ $value }}' }\n";
    let config = EvaluatorConfig {
        external_labels: BTreeMap::from([
            ("region".to_owned(), "eu".to_owned()),
            ("instance".to_owned(), "x".to_owned()),
        ]),
        external_url: "http://127.0.0.1:8081".to_owned(),
        ..EvaluatorConfig::default()
    };
    let world = World::with(&alert(&format!("{labels}{texts}")), config);
    world.set(0, &[("a", 5.0)]);
    let sent = world.evaluate(0);
    let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let own = |(n, v): &(&str, &str)| ((*n).to_owned(), (*v).to_owned());
        pairs.iter().map(own).collect()
    };
    let expected = [
        ("alertname", "High"),
        ("instance", "on a"),
        ("region", "eu"),
    ];
    assert_eq!(sent[0].labels, pairs(&expected));
    assert_eq!(sent[0].annotations, pairs(&[("summary", "a: 5")]));
    assert_eq!(
        sent[0].generator_url,
        "http://127.0.0.1:8081/api/v1/query?query=m+%3E+1"
    );
    // Like in Prometheus, a label whose template is empty has the text of the file.
    assert_eq!(
        world.ask(0, "ALERTS"),
        [
            r#"ALERTS{alertname="High", alertstate="firing", instance="on a", none="{{ $labels.none }}"} 1"#
        ]
    );
}

#[test]
fn alerts_that_labels_make_equal_are_an_error_and_change_nothing() {
    let world = World::new(&alert("    labels: { instance: same }\n"));
    world.set(0, &[("a", 5.0)]);
    world.evaluate(0);
    world.set(1, &[("b", 5.0)]);
    world.evaluate(1);
    let rule = world.rule(0);
    assert_eq!(rule.health.as_str(), "err");
    let error = rule.last_error.unwrap();
    assert!(error.contains("after applying alert labels"), "{error}");
    assert_eq!(world.states(), [("same".to_owned(), "firing")]);
    assert_eq!(world.ask(1, "ALERTS").len(), 1);
    world.end(2, "b");
    world.evaluate(2);
    assert_eq!(world.rule(0).health.as_str(), "ok");
    assert_eq!(world.rule(0).last_error, None);
}

#[test]
fn a_limit_that_is_exceeded_forgets_the_alerts() {
    let rules = "groups:\n- name: g\n  limit: 1\n  rules:\n  - alert: High\n    expr: m > 1\n  - record: r\n    expr: m\n";
    let world = World::new(rules);
    world.set(0, &[("a", 5.0)]);
    world.evaluate(0);
    assert_eq!(world.states().len(), 1);
    world.set(1, &[("b", 5.0)]);
    world.evaluate(1);
    assert!(world.states().is_empty());
    let last_error = |index| world.rule(index).last_error.unwrap();
    assert_eq!(last_error(0), "exceeded limit of 1 with 2 alerts");
    assert_eq!(last_error(1), "exceeded limit of 1 with 2 series");
}

#[test]
fn recorded_series_are_renamed_labelled_and_end_with_their_source() {
    let rules = "groups:\n- name: g\n  rules:\n  - record: twice\n    expr: 2 * m\n    labels: { instance: '{{ $value }}', kind: x }\n  - record: all\n    expr: count(twice)\n";
    let world = World::new(rules);
    world.set(0, &[("a", 5.0)]);
    world.evaluate(0);
    assert_eq!(
        world.ask(0, "twice"),
        [r#"twice{instance="{{ $value }}", kind="x"} 10"#]
    );
    // The second rule reads the value that the first one wrote at the same instant.
    assert_eq!(world.ask(0, "all"), ["all 1"]);
    world.set(1, &[("b", 1.0)]);
    world.evaluate(1);
    let error = world.rule(0).last_error.unwrap();
    assert!(error.contains("after applying rule labels"), "{error}");
    world.end(2, "a");
    world.end(2, "b");
    world.evaluate(2);
    assert!(world.ask(2, "twice").is_empty());
    assert!(world.ask(2, "all").is_empty());
}

#[test]
fn a_failing_expression_is_reported_and_the_other_rules_continue() {
    let rules = "groups:\n- name: g\n  rules:\n  - record: r\n    expr: m + on() m\n  - record: n\n    expr: '3'\n";
    let world = World::new(rules);
    world.set(0, &[("a", 1.0), ("b", 1.0)]);
    world.evaluate(0);
    assert_eq!(world.rule(0).health.as_str(), "err");
    assert_eq!(world.rule(1).health.as_str(), "ok");
    assert_eq!(world.ask(0, "n"), ["n 3"]);
}

#[test]
fn a_store_that_takes_nothing_makes_a_rule_unhealthy() {
    let world = World::new("groups:\n- name: g\n  rules:\n  - record: r\n    expr: '1'\n");
    world.evaluate(10);
    world.evaluate(5);
    assert_eq!(world.rule(0).health.as_str(), "err");
}

#[test]
fn an_expression_that_costs_more_than_is_allowed_is_an_error() {
    let mut config = EvaluatorConfig::default();
    config.limits.max_series = 1;
    let world = World::with(&alert(""), config);
    world.set(0, &[("a", 5.0)]);
    world.evaluate(0);
    assert_eq!(world.rule(0).health.as_str(), "ok");
    world.set(1, &[("b", 5.0)]);
    world.evaluate(1);
    assert_eq!(world.rule(0).health.as_str(), "err");
}

/// Each evaluation sends its own alert.
#[tokio::test(start_paused = true)]
async fn evaluations_that_were_missed_are_not_made_up_for() {
    let rules = "groups:\n- name: g\n  rules:\n  - alert: Now\n    expr: vector(time())\n    labels: { at: '{{ $value }}' }\n";
    let config = EvaluatorConfig {
        interval: Duration::from_secs(10),
        ..EvaluatorConfig::default()
    };
    let world = World::with(rules, config);
    let (sender, mut sent) = tokio::sync::mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let send = move |_| {
        // The test may have dropped the receiver before this ends.
        let _ = sender.send(tokio::time::Instant::now());
    };
    let tasks = Arc::new(world.evaluator).spawn(send, &stop);
    let first = sent.recv().await.unwrap();
    tokio::time::advance(Duration::from_secs(10_000)).await;
    let mut last = first;
    for _ in 0..4 {
        let next = sent.recv().await.unwrap();
        assert!(next >= last + Duration::from_secs(10), "{:?}", next - last);
        last = next;
    }
    stop.cancel();
    for task in tasks {
        task.await.unwrap();
    }
}
