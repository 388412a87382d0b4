use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::embedded::loki::logql::{Query, parse};
use crate::embedded::loki::{LokiConfig, LokiStore};

/// A line in the model: time, stream, text.
type Line = (i64, usize, String);

/// A store with small chunks, so that a few lines fill many of them. It drops no line.
fn store_of(lines: &[Line]) -> LokiStore {
    let store = LokiStore::new(LokiConfig {
        max_bytes: 16 * 1024,
        ..LokiConfig::default()
    });
    for (timestamp_ns, stream, text) in lines {
        store.push(&[("stream", &stream.to_string())], *timestamp_ns, text);
    }
    assert_eq!(store.stats().evicted, 0);
    store
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (0i64..200, 0usize..2, "[ab]{0,60}");
    prop::collection::vec(line, 0..150).prop_map(|lines| {
        let number = |(index, (time, stream, text)): (usize, (i64, usize, String))| {
            (time, stream, format!("{index:03} {text}"))
        };
        lines.into_iter().enumerate().map(number).collect()
    })
}

fn budget() -> Budget {
    Budget::new(&QueryLimits::default(), Instant::now())
}

proptest! {
    #[test]
    fn a_log_query_finds_what_a_walk_through_all_lines_finds(
        lines in lines(),
        start in 0i64..200,
        length in 1i64..200,
        limit in 1usize..40,
        forward: bool,
    ) {
        let (start, end) = (start, start + length);
        let direction = if forward { Direction::Forward } else { Direction::Backward };
        let Query::Log(expr) = parse(r#"{stream=~".+"} |= "ab""#).unwrap() else { unreachable!() };
        let store = store_of(&lines);
        let snapshot = store.snapshot(&[&expr.selector], start, end);
        let found = log_query(&snapshot, &expr, (start, end), Window { limit, direction, categorize: false }, &mut budget()).unwrap();

        let mut expected: Vec<&Line> = lines
            .iter()
            .filter(|(time, _, text)| (start..end).contains(time) && text.contains("ab"))
            .collect();
        expected.sort_by_key(|(time, ..)| *time);
        if !forward {
            expected.reverse();
        }
        // If lines of several streams have the same time, the order is undefined, so only the times are compared.
        let times = |time: &i64| *time;
        let mut found_times: Vec<i64> = found.iter().flat_map(|s| s.entries.iter().map(|line| times(&line.timestamp_ns))).collect();
        found_times.sort_unstable();
        let mut expected_times: Vec<i64> = expected.iter().take(limit).map(|(t, ..)| times(t)).collect();
        expected_times.sort_unstable();
        prop_assert_eq!(found_times, expected_times);

        for stream in &found {
            let of_stream: Vec<(i64, String)> = expected
                .iter()
                .filter(|(_, number, _)| stream.labels["stream"] == number.to_string())
                .map(|(time, _, text)| (*time, text.clone()))
                .collect();
            let entries: Vec<(i64, String)> = stream.entries.iter().map(|line| (line.timestamp_ns, line.line.clone())).collect();
            prop_assert_eq!(&entries[..], &of_stream[..entries.len()]);
        }
    }

    #[test]
    fn a_count_over_time_is_what_counting_each_window_gives(
        lines in lines(),
        start in 0i64..200,
        step in 1i64..50,
        count in 1usize..10,
        range_ns in 1i64..100,
    ) {
        let query = format!(r#"sum by (stream) (count_over_time({{stream=~".+"}} != "aa" [{range_ns}ns]))"#);
        let Query::Metric(Metric::Range(expr)) = parse(&query).unwrap() else { unreachable!() };
        let steps: Vec<i64> = (0..count as i64).map(|n| start + n * step).collect();
        let store = store_of(&lines);
        let snapshot = store.snapshot(&[&expr.log.selector], start - range_ns, *steps.last().unwrap());
        let found = metric_query(&snapshot, &expr, &steps, &mut budget()).unwrap();

        for stream in 0..3usize {
            let expected: Vec<(i64, f64)> = steps
                .iter()
                .map(|at| {
                    let within = |time: i64| time > at - range_ns && time <= *at;
                    let matching = lines.iter().filter(|(time, number, text)| {
                        *number == stream && within(*time) && !text.contains("aa")
                    });
                    (*at, matching.count() as f64)
                })
                .filter(|(_, lines)| *lines > 0.0)
                .collect();
            let got = found.iter().find(|series| series.labels["stream"] == stream.to_string());
            let got = got.map_or(&[][..], |series| &series.points);
            prop_assert_eq!(got, &expected[..]);
        }
    }
}

#[test]
fn of_two_json_fields_of_one_name_the_first_counts_and_nested_names_are_joined() {
    let store = LokiStore::new(LokiConfig::default());
    let line = r#"{"a":1,"b":{"c":"x"},"a":2,"b_c":"y","app":"z","list":[1],"none":null}"#;
    store.push(&[("app", "s")], 1, line);
    let Query::Log(expr) = parse(r#"{app="s"} | json"#).unwrap() else {
        unreachable!()
    };
    let snapshot = store.snapshot(&[&expr.selector], 0, 10);
    let window = Window {
        limit: 1,
        direction: Direction::Forward,
        categorize: false,
    };
    let found = log_query(&snapshot, &expr, (0, 10), window, &mut budget()).unwrap();
    let expected = [
        ("a", "1"),
        ("app", "s"),
        ("app_extracted", "z"),
        ("b_c", "x"),
    ];
    let labels = found[0].labels.iter();
    let labels: Vec<_> = labels.map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(labels, expected);
}

/// The values of a metric query over five lines at 1 to 5 s, each with its labels.
fn values_at(seconds: &[i64], query: &str) -> Vec<(String, Vec<f64>)> {
    let store = LokiStore::new(LokiConfig::default());
    for (second, line) in (1..).zip([
        "level=info status=200 method=GET ip=10.1.2.3 took=5ms",
        "level=info status=404 method=GET ip=10.1.2.4 took=15ms",
        "level=error status=500 method=POST ip=192.168.0.1 took=-5ms",
        "level=info status=404 method=POST ip=2001:db8::1 took=25ms none=",
        "level=error status=404 method=GET ip=10.1.2.3 took=0.5 x",
    ]) {
        let labels: Vec<_> = line
            .split(' ')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let stream = [("app", "a"), labels[0]];
        store.push(&stream, second * 1_000_000_000, line);
    }
    let steps: Vec<i64> = seconds
        .iter()
        .map(|second| second * 1_000_000_000)
        .collect();
    let Query::Metric(metric) = parse(query).unwrap_or_else(|error| panic!("{query}: {error}"))
    else {
        panic!("{query} selects lines")
    };
    let mut budget = budget();
    let value = metric_value(&metric, &steps, &mut |range| {
        let snapshot = store.snapshot(&[&range.log.selector], 0, 10_000_000_000);
        metric_query(&snapshot, range, &steps, &mut budget)
    });
    let series = match value.unwrap_or_else(|error| panic!("{query}: {error}")) {
        Value::Number(number) => vec![ResultSeries::constant(number, &steps)],
        Value::Series(series) => series,
    };
    let shown = series.into_iter().map(|one| {
        let values = one.points.iter().map(|point| point.1);
        (show_labels(&one.labels), values.collect())
    });
    shown.collect()
}

/// The number of lines that a log query selects, and the last of them.
fn lines_of(query: &str, lines: &[&str]) -> (usize, String) {
    let store = LokiStore::new(LokiConfig::default());
    for (at, line) in (1..).zip(lines) {
        store.push(&[("app", "a")], at, line);
    }
    let Query::Log(expr) = parse(query).unwrap_or_else(|error| panic!("{query}: {error}")) else {
        panic!("{query} gives numbers")
    };
    let snapshot = store.snapshot(&[&expr.selector], 0, 100);
    let window = Window {
        limit: 100,
        direction: Direction::Forward,
        categorize: false,
    };
    let found = log_query(&snapshot, &expr, (0, 100), window, &mut budget()).unwrap();
    let lines = found.iter().flat_map(|stream| &stream.entries);
    let last = lines.clone().max_by_key(|line| line.timestamp_ns);
    (
        lines.count(),
        last.map(|line| line.line.clone()).unwrap_or_default(),
    )
}

#[test]
fn the_notations_of_loki_are_read() {
    for query in [
        r#"SUM(COUNT_OVER_TIME({app="a"}[5s]))"#,
        r#"(sum(count_over_time({app="a"}[5s])))"#,
        r#"sum(count_over_time(({app="a"} |= "level")[5s]))"#,
        r#"sum(count_over_time((({app="a"} |= "level"))[5s]))"#,
        r#"sum(count_over_time(({app="a"} |= "level" [5s])))"#,
        r#"sum(count_over_time(({app="a"})[5s] |= "level"))"#,
        r#"Sum BY () (count_over_time({app="a"} | logfmt | (level=~".+") [5s]))"#,
    ] {
        assert_eq!(
            values_at(&[5], query),
            [("{}".to_owned(), vec![5.0])],
            "{query}"
        );
    }
    for (filter, count) in [
        (r#"status=404 method="GET""#, 2),
        (r#"status=404, method="GET""#, 2),
        (r#"(status=404 method="GET") or status=200"#, 3),
        (r#"status >= 4.04e2"#, 4),
        (r#"status < 1e+3 level="error""#, 2),
        (r#"status > +404"#, 1),
        (r#"took > -5ms took < +20ms | __error__="""#, 2),
        (r#"took >= -5ms | __error__="""#, 4),
        (r#"ip=ip("10.1.2.0/30")"#, 2),
        (r#"ip!=ip("10.0.0.0/8")"#, 2),
        (r#"ip=ip("2001:db8::/32")"#, 1),
    ] {
        let query = format!(r#"sum(count_over_time({{app="a"}} | logfmt | {filter} [5s]))"#);
        assert_eq!(
            values_at(&[5], &query),
            [("{}".to_owned(), vec![f64::from(count)])],
            "{query}"
        );
    }
    for query in [
        r#"({app="a"}"#,
        r#"({app="a"}) | json"#,
        r#"{app="a"} | status=404 or level="x" method="GET""#,
        r#"{app="a"} | status=-5KB"#,
        r#"{app="a"} | ip > ip("10.0.0.1")"#,
        r#"{app="a"} |= ip("10.0.0")"#,
        r#"sum(1)"#,
        r#"rate({app="a"})"#,
        r#"rate({app="a"}[1m]) or 1"#,
        r#"rate({app="a"}[1m]) + on (a) group_left () rate({app="a"}[1m])"#,
        r#"vector(0) or rate({app=~".*"}[1m])"#,
        r#"sort(rate({app="a"}[1m])) by (a)"#,
    ] {
        let Ok(Query::Metric(metric)) = parse(query) else {
            continue;
        };
        let value = metric_value(&metric, &[1], &mut |_| Ok(Vec::new()));
        assert!(value.is_err(), "{query}");
    }
    let nested = |depth: usize| format!("{}{{app=\"a\"}}{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(5)).is_ok());
    assert!(parse(&nested(2000)).is_err());
    let long = |count: usize| format!("vector(1){}", " + vector(1)".repeat(count));
    assert!(parse(&long(100)).is_ok());
    assert!(parse(&long(101)).is_err());
    assert!(parse(&format!("2{}", "^2".repeat(50))).is_err());
}

#[test]
fn metric_queries_are_combined_by_operators() {
    let by_level = r#"sum by (level) (count_over_time({app="a"}[5s]))"#;
    let (error, info) = (r#"{level="error"}"#, r#"{level="info"}"#);
    for (query, expected) in [
        (format!("{by_level} > 2"), vec![(info, vec![3.0])]),
        (format!("2 < {by_level}"), vec![(info, vec![3.0])]),
        (
            format!("{by_level} > bool 2"),
            vec![(error, vec![0.0]), (info, vec![1.0])],
        ),
        (
            format!("{by_level} * 60"),
            vec![(error, vec![120.0]), (info, vec![180.0])],
        ),
        (
            format!("1 + {by_level} * 2 ^ 2"),
            vec![(error, vec![9.0]), (info, vec![13.0])],
        ),
        (
            format!("-1 * {by_level} % 2"),
            vec![(error, vec![-0.0]), (info, vec![-1.0])],
        ),
        (
            format!("{by_level} / {by_level}"),
            vec![(error, vec![1.0]), (info, vec![1.0])],
        ),
        (
            format!("{by_level} - ({by_level} > 2)"),
            vec![(info, vec![0.0])],
        ),
        (
            format!("{by_level} and {by_level} > 2"),
            vec![(info, vec![3.0])],
        ),
        (
            format!("{by_level} unless {by_level} > 2"),
            vec![(error, vec![2.0])],
        ),
        (
            format!("{by_level} > 9 or vector(0)"),
            vec![("{}", vec![0.0])],
        ),
        (format!("sum({by_level} > 2)"), vec![("{}", vec![3.0])]),
        (
            format!("sort_desc({by_level})"),
            vec![(info, vec![3.0]), (error, vec![2.0])],
        ),
        (
            format!("sort({by_level})"),
            vec![(error, vec![2.0]), (info, vec![3.0])],
        ),
        (format!("stddev({by_level})"), vec![("{}", vec![0.5])]),
        ("vector(1)+vector(1)".to_owned(), vec![("{}", vec![2.0])]),
        ("2 * (3 + 4) == 14".to_owned(), vec![("{}", vec![1.0])]),
        (
            format!(r#"sum by (app) (count_over_time({{app="a"}}[5s])) * on () sum({by_level})"#),
            vec![("{}", vec![25.0])],
        ),
    ] {
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(labels, values)| (labels.to_owned(), values))
            .collect();
        assert_eq!(values_at(&[5], &query), expected, "{query}");
    }
    let zero = values_at(&[5], &format!("{by_level} / 0"));
    assert!(
        zero.iter().all(|(_, values)| values[0].is_nan()),
        "{zero:?}"
    );
    let filled = r#"sum(count_over_time({app="a"}[1s])) or vector(0)"#;
    assert_eq!(
        values_at(&[0, 1, 5, 8], filled),
        [("{}".to_owned(), vec![0.0, 1.0, 1.0, 0.0])]
    );
    let several = parse(&format!("{by_level} + on () {by_level}")).unwrap();
    let Query::Metric(several) = several else {
        unreachable!()
    };
    let series = || {
        let one = |level: &str| ResultSeries {
            labels: Labels::from([("level".to_owned(), level.to_owned())]),
            points: vec![(1, 1.0)],
        };
        vec![one("a"), one("b")]
    };
    let refused = metric_value(&several, &[1], &mut |_| Ok(series())).unwrap_err();
    assert!(
        refused.to_string().contains("duplicate series"),
        "{refused}"
    );
}

#[test]
fn more_functions_over_windows_are_computed() {
    let unwrapped = r#"{app="a"} | logfmt | unwrap status | __error__="" [5s]"#;
    let deviation = values_at(&[5], &format!("stddev_over_time({unwrapped}) by (method)"));
    let [get, post] = deviation.as_slice() else {
        panic!("{deviation:?}")
    };
    assert_eq!(get.0, r#"{method="GET"}"#);
    assert!(
        (get.1[0] - 96.167).abs() < 0.001 && (post.1[0] - 48.0).abs() < 1e-9,
        "{deviation:?}"
    );
    let variance = values_at(&[5], &format!("stdvar_over_time({unwrapped}) by (method)"));
    assert_eq!(variance[1].1, [2304.0]);
    let absent = r#"absent_over_time({app="a", level=~".+"} |= "GET" [1s])"#;
    assert_eq!(
        values_at(&[1, 3, 5, 8], absent),
        [(r#"{app="a"}"#.to_owned(), vec![1.0, 1.0])]
    );
    assert_eq!(values_at(&[5], r#"absent_over_time({app="a"}[9s])"#), []);
}

#[test]
fn more_stages_are_run() {
    let packed = r#"{"level":"warn","n":5,"_entry":"the \"line\""}"#;
    for (query, lines, expected) in [
        (
            r#"{app="a"} | unpack | level="warn""#,
            packed,
            (1, r#"the "line""#),
        ),
        (r#"{app="a"} | unpack | n="""#, packed, (1, r#"the "line""#)),
        (
            r#"{app="a"} | unpack | level="""#,
            r#"{"level":"warn"}"#,
            (1, r#"{"level":"warn"}"#),
        ),
        (
            r#"{app="a"} | unpack | __error__="JSONParserErr""#,
            "no",
            (1, "no"),
        ),
        (
            r#"{app="a"} | decolorize |= "red text""#,
            "\u{1b}[1;31mred\u{1b}[0m text",
            (1, "red text"),
        ),
        (r#"{app="a"} | decolorize"#, "plain", (1, "plain")),
        (
            r#"{app="a"} |= ip("10.0.0.0/8")"#,
            "from 10.1.1.1:80",
            (1, "from 10.1.1.1:80"),
        ),
        (
            r#"{app="a"} != ip("10.0.0.0/8")"#,
            "from 10.1.1.1:80",
            (0, ""),
        ),
        (
            r#"{app="a"} | logfmt --strict | __error__="LogfmtParserErr""#,
            "a=1 b\"=2",
            (1, "a=1 b\"=2"),
        ),
        (
            r#"{app="a"} | logfmt --strict | a="1" b="x y""#,
            "a=1 b=\"x y\"",
            (1, "a=1 b=\"x y\""),
        ),
        (
            r#"{app="a"} | logfmt | __error__="""#,
            "a=1 b\"=2",
            (1, "a=1 b\"=2"),
        ),
        (
            r#"{app="a"} | logfmt --keep-empty | line_format "{{.b}}|{{.a}}""#,
            "a=1 b=",
            (1, "|1"),
        ),
        (
            r#"{app="a"} | logfmt x="a.b", c | line_format "{{.x}} {{.c}} {{.d}}""#,
            "a.b=1 c=2 d=3",
            (1, "1 2 "),
        ),
        (
            r#"{app="a"} | logfmt --strict --keep-empty c="a" | c="1""#,
            "a=1",
            (1, "a=1"),
        ),
        (r#"({app="a"} |= "GET")"#, "GET /", (1, "GET /")),
        (r#"(({app="a"}))"#, "x", (1, "x")),
    ] {
        let expected = (expected.0, expected.1.to_owned());
        assert_eq!(lines_of(query, &[lines]), expected, "{query}");
    }
}
