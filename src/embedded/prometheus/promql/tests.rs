use proptest::prelude::*;

use super::*;
use crate::embedded::prometheus::labels::Labels;
use crate::embedded::prometheus::tsdb::{TsdbConfig, is_stale};

/// Ten minutes of a counter and a gauge in two series each, a sample every 10 s.
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

#[test]
fn what_is_outside_of_the_language_is_refused() {
    for text in [
        "rate(c_total[5m:1m])",
        "c_total @ 5",
        "c_total * on(job) group_left g",
        "g and g",
        "g or g",
        "g unless g",
        "topk(1, g)",
        "quantile(0.5, g)",
        "label_replace(g, \"a\", \"b\", \"c\", \"d\")",
        "g{job=\"a\" or job=\"b\"}",
        "g + fill(0) g",
        "limitk(1, g)",
        "abs(g)",
    ] {
        let reason = refusal(text);
        assert!(reason.contains("not supported"), "{text}: {reason}");
    }
}

#[test]
fn what_prometheus_2_42_does_not_read_is_refused_though_the_parser_would() {
    for text in [
        "rate(c_total[60])",
        "g offset 60",
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
    assert!(execution(limits(|l| l.max_series = 1)));
    assert_eq!(limits(|l| l.timeout = Duration::ZERO), QueryError::Timeout);
}

#[test]
fn an_evaluation_nobody_waits_for_ends() {
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

/// Pieces of queries, so that many of the random texts are queries.
const PIECES: [&str; 40] = [
    "c_total",
    "g",
    "{",
    "}",
    "job",
    "=",
    "=~",
    "!=",
    "!~",
    "\"a\"",
    "\"(\"",
    "`\\d`",
    ",",
    "(",
    ")",
    "[",
    "]",
    "5m",
    "1e3",
    "0x1f",
    "NaN",
    "+",
    "-",
    "^",
    "==",
    "bool",
    "offset",
    "by",
    "on",
    "ignoring",
    "sum",
    "rate",
    "absent",
    "histogram_quantile",
    "quantile_over_time",
    "#",
    "é",
    "\\",
    " ",
    "@",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = ask(&text);
    }

    #[test]
    fn arbitrary_pieces_of_queries_never_panic(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..20),
        spaced in any::<bool>(),
    ) {
        let _ = ask(&pieces.join(if spaced { " " } else { "" }));
    }

    #[test]
    fn no_answer_holds_a_gap_s_mark(op in prop::sample::select(&["+", "%", "^", "atan2", "> bool"][..])) {
        let text = format!("(c_total {op} on(job) g) / (g {op} 0)");
        if let Ok(QueryResult::Matrix(rows)) = ask(&text) {
            prop_assert!(rows.iter().flat_map(|r| &r.1).all(|p| !is_stale(p.1)));
        }
    }
}
