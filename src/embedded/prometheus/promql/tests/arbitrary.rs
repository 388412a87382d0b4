//! Checks that no query makes the evaluator panic or exceed its cost limits.

use proptest::prelude::*;

use super::*;
use crate::embedded::prometheus::tsdb::is_stale;

/// Pieces of queries, so that many random texts are valid queries.
const PIECES: [&str; 52] = [
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
    "and",
    "unless",
    "group_left",
    "topk",
    "count_values",
    "label_replace",
    "predict_linear",
    "holt_winters",
    "[5m:1m]",
    "start()",
    "-1e18",
    "time()",
];

/// Well-formed queries with extreme numbers, times and durations.
fn any_query() -> impl Strategy<Value = String> {
    let number = prop::sample::select(&["0", "-1", "1e300", "-Inf", "NaN", "0.5", "9e18", "3"][..]);
    let time = prop::sample::select(
        &[
            "",
            "",
            " @ 0",
            " @ -9e18",
            " @ 9e18",
            " @ start()",
            " @ end()",
        ][..],
    );
    let shift = prop::sample::select(&["", "", " offset 292y", " offset -292y", " offset 7s"][..]);
    let range = prop::sample::select(&["1ms", "30s", "5m", "292y"][..]);
    let step = prop::sample::select(&["", "1ms", "7s", "292y"][..]);
    let selector = (
        prop::sample::select(&["g", "c_total", "{job=\"a\"}", "no"][..]),
        time,
        shift,
    )
        .prop_map(|(name, at, offset)| format!("{name}{offset}{at}"));
    selector.prop_recursive(4, 24, 3, move |inner| {
        let ranged = (inner.clone(), range.clone(), step.clone())
            .prop_map(|(v, range, step)| format!("({v})[{range}:{step}]"));
        let over = prop::sample::select(
            &[
                "rate",
                "deriv",
                "changes",
                "absent_over_time",
                "last_over_time",
                "stdvar_over_time",
            ][..],
        );
        let cell = prop::sample::select(
            &[
                "abs",
                "-",
                "year",
                "timestamp",
                "sort",
                "absent",
                "scalar",
                "round",
                "sum",
                "count",
            ][..],
        );
        let op = prop::sample::select(
            &[
                "and",
                "or on(job)",
                "unless",
                "+",
                "> bool",
                "% on(job) group_left(x)",
                "^ on() group_right",
            ][..],
        );
        let with_number = prop::sample::select(&["topk", "bottomk", "quantile"][..]);
        prop_oneof![
            (over, ranged.clone()).prop_map(|(f, r)| format!("{f}({r})")),
            (ranged, number.clone(), number.clone())
                .prop_map(|(r, a, b)| format!("holt_winters({r}, {a}, {b})")),
            (inner.clone(), number.clone())
                .prop_map(|(v, n)| format!("predict_linear(({v})[1m:7s], {n})")),
            (cell, inner.clone()).prop_map(|(f, v)| match f {
                "scalar" => format!("vector(scalar({v}))"),
                f => format!("{f}({v})"),
            }),
            (inner.clone(), op, inner.clone()).prop_map(|(a, op, b)| format!("(({a}) {op} ({b}))")),
            (with_number, number.clone(), inner.clone())
                .prop_map(|(f, n, v)| format!("{f} by (job) ({n}, {v})")),
            inner
                .clone()
                .prop_map(|v| format!("count_values(\"v\", {v})")),
            (inner.clone(), number.clone(), number.clone())
                .prop_map(|(v, a, b)| format!("clamp({v}, {a}, {b})")),
            inner.prop_map(|v| format!("label_replace({v}, \"x\", \"$1$0\", \"job\", \"(.*)\")")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn arbitrary_queries_never_panic_and_are_bounded(text in any_query(), at in any::<i32>()) {
        let limits = QueryLimits { max_samples: 100_000, ..QueryLimits::default() };
        let (db, at) = (store(), i64::from(at));
        for outcome in [run(&db, &limits, &text), ask_at(&db, &limits, &text, at)] {
            prop_assert!(!matches!(outcome, Err(QueryError::Timeout)), "{text}");
            if let Ok(QueryResult::Matrix(rows)) = outcome {
                prop_assert!(rows.iter().flat_map(|r| &r.1).all(|p| !is_stale(p.1)), "{text}");
            }
        }
    }
}

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
