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
        let Query::Metric(expr) = parse(&query).unwrap() else { unreachable!() };
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
