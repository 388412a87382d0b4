use super::*;
use crate::embedded::prometheus::labels::Labels;
use crate::embedded::prometheus::tsdb::TsdbConfig;

/// A store with ten minutes of a counter and a gauge, each with two series and a sample every 10 s.
fn store() -> Tsdb {
    let db = Tsdb::new(TsdbConfig::default());
    for i in 0..60 {
        for job in ["a", "b"] {
            for (name, v) in [("c_total", f64::from(i)), ("g", f64::from(i % 7))] {
                let labels = Labels::from_pairs([("__name__", name), ("job", job)]);
                db.append(&labels, i64::from(i) * 10_000, v).unwrap();
            }
        }
    }
    db
}

fn run(db: &Tsdb, limits: &QueryLimits, text: &str) -> Result<QueryResult, QueryError> {
    let ctx = Context {
        tsdb: db,
        limits,
        deadline: Instant::now() + limits.timeout,
        canceled: Arc::default(),
    };
    Query::parse(text, limits)?.range(&ctx, 0, 600_000, 30_000)
}

fn ask_at(db: &Tsdb, limits: &QueryLimits, text: &str, at: i64) -> Result<QueryResult, QueryError> {
    let ctx = Context {
        tsdb: db,
        limits,
        deadline: Instant::now() + limits.timeout,
        canceled: Arc::default(),
    };
    Query::parse(text, limits)?.instant(&ctx, at)
}

fn ask(text: &str) -> Result<QueryResult, QueryError> {
    run(&store(), &QueryLimits::default(), text)
}

fn refusal(text: &str) -> String {
    match ask(text) {
        Err(QueryError::BadData(reason)) => reason,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_rate_over_a_steady_counter_is_its_slope() {
    let QueryResult::Matrix(rows) = ask("sum by (job) (rate(c_total[1m]))").unwrap() else {
        panic!("no matrix");
    };
    assert_eq!(rows.len(), 2);
    let at_five_minutes = rows[0].1.iter().find(|p| p.0 == 300_000).unwrap();
    assert!((at_five_minutes.1 - 0.1).abs() < 1e-12);
}

/// Formats rows as text for short expectations: `labels value@seconds …`.
fn rows(db: &Tsdb, query: &str, start_s: i64, end_s: i64) -> Vec<String> {
    let limits = QueryLimits::default();
    let ctx = Context {
        tsdb: db,
        limits: &limits,
        deadline: Instant::now() + limits.timeout,
        canceled: Arc::default(),
    };
    let query = Query::parse(query, &limits).unwrap();
    match query.range(&ctx, start_s * 1000, end_s * 1000, 10_000) {
        Ok(QueryResult::Matrix(rows)) => rows
            .iter()
            .map(|(labels, points)| {
                let points = points.iter().map(|(t, v)| format!(" {v}@{}", t / 1000));
                format!("{labels}{}", points.collect::<String>())
            })
            .collect(),
        Ok(other) => panic!("{other:?}"),
        Err(e) => vec![e.to_string()],
    }
}

/// A metric's name, its labels and its values.
type Given<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [f64]);

/// A store with samples 10 s apart from second 0 on. NaN stands for a missing sample.
fn store_of(series: &[Given<'_>]) -> Tsdb {
    let db = Tsdb::new(TsdbConfig::default());
    for (name, labels, values) in series {
        let all = labels.iter().copied().chain([("__name__", *name)]);
        let labels = Labels::from_pairs(all);
        for (i, v) in values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
            db.append(&labels, i as i64 * 10_000, *v).unwrap();
        }
    }
    db
}

#[test]
fn a_counter_s_restart_counts_from_zero_and_nothing_is_extrapolated_below_zero() {
    let db = store_of(&[
        ("restarts", &[], &[10.0, 20.0, 5.0, 15.0]),
        ("begins", &[], &[f64::NAN, f64::NAN, 1.0, 21.0]),
    ]);
    assert_eq!(rows(&db, "increase(restarts[30s])", 30, 30), ["{} 25@30"]);
    // The counter rises by 20 in 10 s and starts at 1, so it was zero half a second before the first sample, not ten
    // seconds.
    assert_eq!(rows(&db, "increase(begins[10s])", 30, 30), ["{} 20@30"]);
    assert_eq!(rows(&db, "increase(begins[25s])", 30, 30), ["{} 21@30"]);
    assert_eq!(rows(&db, "delta(begins[25s])", 30, 30), ["{} 30@30"]);
    assert_eq!(rows(&db, "irate(restarts[20s])", 20, 20), ["{} 0.5@20"]);
    assert!(
        rows(&db, "rate(begins[5s])", 30, 30).is_empty(),
        "one sample is no rate"
    );
}

#[test]
fn a_value_is_seen_for_the_look_back_and_no_longer() {
    let db = store_of(&[("once", &[], &[1.0])]);
    assert_eq!(rows(&db, "once", 300, 310), ["once 1@300"]);
    assert_eq!(rows(&db, "once offset 1m", 50, 60), ["once 1@60"]);
    assert_eq!(rows(&db, "absent(once)", 300, 310), ["{} 1@310"]);
    let id = db
        .append(&Labels::from_pairs([("__name__", "once")]), 5_000, 1.0)
        .unwrap();
    db.mark_stale([id], 15_000);
    assert_eq!(rows(&db, "once", 0, 60), ["once 1@0 1@10"]);
}

#[test]
fn groups_are_made_of_the_labels_named_or_of_the_others() {
    let db = store_of(&[
        ("m", &[("a", "1"), ("b", "1")], &[1.0]),
        ("m", &[("a", "1"), ("b", "2")], &[3.0]),
        ("m", &[("a", "2"), ("b", "1")], &[5.0]),
    ]);
    let at_0 = |q| rows(&db, q, 0, 0);
    assert_eq!(at_0("sum by (a) (m)"), [r#"{a="1"} 4@0"#, r#"{a="2"} 5@0"#]);
    assert_eq!(
        at_0("avg without (a) (m)"),
        [r#"{b="1"} 3@0"#, r#"{b="2"} 3@0"#]
    );
    assert_eq!(at_0("max(m) - min(m)"), ["{} 4@0"]);
    assert_eq!(at_0("count by (__name__) (m)"), ["m 3@0"]);
    assert_eq!(
        at_0("stdvar by (a) (m)"),
        [r#"{a="1"} 1@0"#, r#"{a="2"} 0@0"#]
    );
}

#[test]
fn vectors_are_matched_one_to_one_and_ambiguity_is_an_error() {
    let db = store_of(&[
        ("m", &[("a", "1"), ("b", "1")], &[1.0]),
        ("m", &[("a", "2"), ("b", "1")], &[5.0]),
        ("n", &[("a", "1"), ("c", "9")], &[10.0]),
    ]);
    let at_0 = |q| rows(&db, q, 0, 0);
    assert_eq!(at_0("m + on (a) n"), [r#"{a="1"} 11@0"#]);
    assert_eq!(at_0("m < ignoring (b, c) n"), [r#"m{a="1"} 1@0"#]);
    assert_eq!(at_0("m < bool ignoring (b, c) n"), [r#"{a="1"} 1@0"#]);
    assert_eq!(at_0("3 < m"), [r#"m{a="2", b="1"} 5@0"#]);
    assert!(at_0("m + n").is_empty());
    assert!(at_0("n + on () m")[0].contains("many-to-many matching not allowed"));
    assert!(at_0("m + on () n")[0].starts_with("multiple matches for labels"));
    assert_eq!(
        rows(
            &store_of(&[("x", &[], &[1.0]), ("y", &[], &[1.0])]),
            "{__name__=~\"x|y\"} * 2",
            0,
            0
        ),
        ["vector cannot contain metrics with the same labelset"]
    );
}

#[test]
fn queries_outside_of_the_language_are_refused() {
    for text in [
        "g{job=\"a\" or job=\"b\"}",
        "g + fill(0) g",
        "limitk(1, g)",
        "double_exponential_smoothing(g[5m], 0.5, 0.5)",
        "mad_over_time(g[5m])",
        "start()",
        "topk(scalar(g @ 5), g)",
        "quantile(1 + scalar(sum_over_time((g @ 5)[1m:10s])), g)",
        "predict_linear(g[5m] @ 60, 60)",
        "quantile_over_time(time() / 600, g[5m] @ 60)",
        "predict_linear(g[5m:1m] @ 60, 60)",
    ] {
        let reason = refusal(text);
        assert!(reason.contains("not supported"), "{text}: {reason}");
    }
}

#[test]
fn syntax_that_prometheus_2_42_refuses_is_refused_although_the_parser_accepts_it() {
    for text in [
        "rate(c_total[60])",
        "g offset 60",
        "g offset +5m",
        "g @ 1e300",
        "g @ - 9.3e18",
        "ln(0)",
        "exp(NaN)",
        "g offset 1e300",
        "rate(c_total[1e300])",
        "g offset 99999999999h",
        "rate(c_total[1h99999999999s])",
        "{\"g\"}",
        "g{\"job\"=\"a\"}",
        "sum by (\"job\") (g)",
        "+\"text\"",
        "rate(+c_total[5m])",
        "sum(",
        "",
        "g{job=~\"(\"}",
    ] {
        refusal(text);
    }
}

#[test]
fn rules_get_the_rows_of_a_vector_or_a_scalar_and_nothing_else() {
    let (db, limits) = (store(), QueryLimits::default());
    let rows = evaluate(&db, &limits, "c_total > 29", 300_000).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].0.get("job"), rows[0].1), ("a", 30.0));
    let scalar = evaluate(&db, &limits, "1 + 1", 300_000).unwrap();
    assert_eq!(scalar, [(Labels::empty(), 2.0)]);
    for other in ["g[1m]", "\"text\"", "sum("] {
        let refused = evaluate(&db, &limits, other, 300_000);
        assert!(matches!(refused, Err(QueryError::BadData(_))), "{other}");
    }
}

#[test]
fn raw_strings_are_raw() {
    let QueryResult::Matrix(rows) = ask("g{job=~`[ab]\\b`}").unwrap() else {
        panic!("no matrix");
    };
    assert_eq!(rows.len(), 2);
}

#[test]
fn deep_and_long_queries_are_refused_before_they_reach_the_stack_s_end() {
    let deep = |n: usize, open: &str, close: &str| open.repeat(n) + "1" + &close.repeat(n);
    refusal(&deep(5_000, "(", ")"));
    refusal(&deep(5_000, "-", ""));
    refusal(&format!("1{}", " + 1".repeat(4_000)));
    refusal(&"g".repeat(20_000));
    assert!(ask(&deep(90, "(", ")")).is_ok());
    assert!(ask(&deep(400, "-", "")).is_ok());
    assert!(ask(&format!("1{}", " + 1".repeat(400))).is_ok());
    assert!(
        ask(&deep(90, "sum(vector_", ")")
            .replace("vector_1", "g")
            .replace("vector_", ""))
        .is_ok()
    );
}

#[test]
fn costs_are_bounded() {
    let limits = |f: fn(&mut QueryLimits)| {
        let mut l = QueryLimits::default();
        f(&mut l);
        run(&store(), &l, "rate(c_total[1m])").unwrap_err()
    };
    let execution = |e| matches!(e, QueryError::Execution(_));
    assert!(execution(limits(|l| l.max_samples = 100)));
    // The query reads 120 samples and computes 42 points, of which it returns 40.
    assert!(execution(limits(|l| l.max_samples = 500)));
    assert!(execution(limits(|l| l.max_series = 1)));
    assert_eq!(limits(|l| l.timeout = Duration::ZERO), QueryError::Timeout);
}

#[test]
fn a_cancelled_evaluation_ends() {
    let (db, limits) = (store(), QueryLimits::default());
    let ctx = Context {
        tsdb: &db,
        limits: &limits,
        deadline: Instant::now() + limits.timeout,
        canceled: Arc::new(AtomicBool::new(true)),
    };
    let query = Query::parse("g", &limits).unwrap();
    assert_eq!(query.instant(&ctx, 0), Err(QueryError::Canceled));
}

#[test]
fn many_series_on_one_side_take_over_labels_from_the_other() {
    let db = store_of(&[
        ("m", &[("a", "1"), ("b", "1")], &[1.0]),
        ("m", &[("a", "1"), ("b", "2")], &[2.0]),
        ("n", &[("a", "1"), ("c", "9")], &[10.0]),
        ("n", &[("a", "2"), ("c", "8")], &[20.0]),
    ]);
    let at_0 = |q| rows(&db, q, 0, 0);
    let both = [
        r#"{a="1", b="1", c="9"} 10@0"#,
        r#"{a="1", b="2", c="9"} 20@0"#,
    ];
    assert_eq!(at_0("m * on (a) group_left (c) n"), both);
    assert_eq!(at_0("n * on (a) group_right (c) m"), both);
    assert_eq!(
        at_0("n > bool on (a) group_right () m")[0],
        r#"{a="1", b="1"} 1@0"#
    );
    assert_eq!(
        at_0("n > on (a) group_right () m")[0],
        r#"m{a="1", b="1"} 10@0"#
    );
    assert!(at_0("m * on () group_left n")[0].contains("on the right hand-side"));
    assert!(at_0("n * on () group_right m")[0].contains("on the left hand-side"));
    assert!(at_0("m * on (a) group_left (b) n")[0].contains("grouping labels must ensure"));
}

#[test]
fn set_operators_decide_step_by_step() {
    let db = store_of(&[
        ("m", &[("a", "1")], &[1.0, 2.0, 3.0]),
        ("n", &[("a", "1")], &[f64::NAN, 5.0, 1.0]),
    ]);
    let over_20_s = |q| rows(&db, q, 0, 20);
    assert_eq!(over_20_s("m and n"), [r#"m{a="1"} 2@10 3@20"#]);
    assert_eq!(over_20_s("m unless n"), [r#"m{a="1"} 1@0"#]);
    assert_eq!(over_20_s("m and n > 2"), [r#"m{a="1"} 2@10"#]);
    let first_of = [r#"m{a="1"} 2@10 3@20"#, r#"n{a="1"}"#];
    assert_eq!(over_20_s("m > 1 or n")[..1], first_of[..1]);
    assert_eq!(over_20_s("n > 2 or m")[0], r#"m{a="1"} 1@0 3@20"#);
    assert_eq!(over_20_s("n > 2 or m")[1], r#"n{a="1"} 5@10"#);
}

#[test]
fn subqueries_are_evaluated_at_multiples_of_their_resolution() {
    let db = store_of(&[("m", &[], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])]);
    // At 40 s, the last 25 s contain 20, 30 and 40.
    assert_eq!(rows(&db, "sum_over_time(m[25s:10s])", 40, 40), ["{} 9@40"]);
    assert_eq!(
        rows(&db, "count_over_time(m[25s:20s])", 40, 50),
        ["{} 2@40 1@50"]
    );
    assert_eq!(
        rows(&db, "max_over_time(m[20s:10s] offset 20s)", 60, 60),
        ["{} 4@60"]
    );
    assert_eq!(
        rows(&db, "max_over_time(m[20s:10s] @ 30)", 0, 10),
        ["{} 3@0 3@10"]
    );
    assert_eq!(
        rows(&db, "m @ end() - m @ start()", 10, 30),
        ["{} 2@10 2@20 2@30"]
    );
}

#[test]
fn subqueries_cost_what_their_steps_do() {
    let (db, limits) = (
        store(),
        QueryLimits {
            max_query_bytes: 100_000,
            max_samples: 2_000_000,
            ..QueryLimits::default()
        },
    );
    let long_labels = format!(
        "label_replace(g, \"a\", \"{}\", \"job\", \"(.*)\")",
        "${1}xxxxxx".repeat(9_500)
    );
    let answered: Vec<_> = [
        "sum_over_time(vector(1)[100y:1ms])",
        "sum_over_time(nothing[100y:1ms])",
        "sum_over_time(sum_over_time(g[1d:1s])[1d:1ms])",
        "max_over_time(count_values(\"v\", time() * c_total)[2h:1s])",
        &long_labels,
    ]
    .into_iter()
    .filter(|text| !matches!(run(&db, &limits, text), Err(QueryError::Execution(_))))
    .map(|text| text.chars().take(60).collect::<String>())
    .collect();
    assert!(answered.is_empty(), "{answered:?}");
}

#[test]
fn a_number_where_a_duration_belongs_is_refused_before_the_parser_sees_it() {
    for text in [
        "x offset NaN",
        "x offset -inf",
        "x offset + Inf",
        "offset offset NaN +",
        "x[NaN]",
    ] {
        let error = ask(text).unwrap_err().to_string();
        assert!(error.contains("duration is expected"), "{text}: {error}");
    }
}

mod arbitrary;
