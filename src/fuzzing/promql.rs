//! Fuzz targets `promql` (queries over a small store) and `exposition` (the text format of a scrape).

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::embedded::prometheus::labels::{Labels, METRIC_NAME};
use crate::embedded::prometheus::promql::{Context, Query, QueryResult};
use crate::embedded::prometheus::{QueryError, QueryLimits, Tsdb, TsdbConfig, exposition};

use super::inputs::{assert_close, text};

/// The time of the first sample of each series, in milliseconds since 1970.
const START: i64 = 1_700_000_000_000;
/// The number of samples of each series: five minutes.
const SAMPLES: i64 = 20;
/// The milliseconds between two samples.
const EVERY: i64 = 15_000;
/// The milliseconds between two steps of a range query.
const STEP: i64 = 30_000;

/// The limits are small, so that an expensive input is refused soon. No input may reach the time-out.
const LIMITS: QueryLimits = QueryLimits {
    max_points: 100,
    max_series: 100,
    max_samples: 200_000,
    timeout: Duration::from_secs(30),
    max_query_bytes: 4 << 10,
    max_concurrency: 1,
    lookback: Duration::from_secs(300),
    subquery_step: Duration::from_secs(60),
};

/// The value of a series at a time.
type Curve = Box<dyn Fn(i64) -> f64>;

fn store() -> Tsdb {
    let tsdb = Tsdb::new(TsdbConfig::default());
    let mut series: Vec<(Labels, Curve)> = Vec::new();
    for (code, factor) in [("200", 7.0), ("404", 1.0), ("500", 0.5)] {
        let labels = [
            (METRIC_NAME, "requests_total"),
            ("job", "api"),
            ("code", code),
        ];
        // A counter that is reset half way.
        let count = move |nth: i64| ((nth % 10) as f64) * factor;
        series.push((Labels::from_pairs(labels), Box::new(count)));
    }
    for (le, share) in [("0.1", 0.5), ("0.5", 0.9), ("+Inf", 1.0)] {
        let labels = [(METRIC_NAME, "latency_bucket"), ("job", "api"), ("le", le)];
        let count = move |nth: i64| (nth as f64 * 10.0 * share).floor();
        series.push((Labels::from_pairs(labels), Box::new(count)));
    }
    for (job, value) in [
        ("api", 1.0),
        ("db", 0.0),
        ("odd", f64::NAN),
        ("wide", f64::INFINITY),
    ] {
        let labels = [(METRIC_NAME, "up"), ("job", job)];
        series.push((Labels::from_pairs(labels), Box::new(move |_| value)));
    }
    for (labels, value) in series {
        for nth in 0..SAMPLES {
            let added = tsdb.append(&labels, START + nth * EVERY, value(nth));
            added.expect("the sample fits");
        }
    }
    tsdb
}

static STORE: LazyLock<Tsdb> = LazyLock::new(store);

/// A valid query must give the same values as instant queries step by step and as one range query.
pub(super) fn query(data: &[u8]) {
    let text = text(data);
    let Ok(query) = Query::parse(text, &LIMITS) else {
        return;
    };
    let context = Context {
        tsdb: &STORE,
        limits: &LIMITS,
        deadline: Instant::now() + LIMITS.timeout,
        canceled: Arc::new(AtomicBool::new(false)),
    };
    let end = START + SAMPLES * EVERY;
    let start = end - 2 * STEP;
    let range = query.range(&context, start, end, STEP);
    let instants: Vec<_> = (0..3)
        .map(|nth| query.instant(&context, start + nth * STEP))
        .collect();
    for result in instants.iter().chain([&range]) {
        let stuck = matches!(result, Err(QueryError::Timeout | QueryError::Canceled));
        assert!(!stuck, "a limit must refuse this query before the time-out");
    }
    // `start()` and `end()` are the ends of the range, so an instant query gives other values for them.
    let mentions_ends = text.contains("start") || text.contains("end");
    if let Ok(QueryResult::Matrix(series)) = &range
        && !mentions_ends
    {
        for (nth, instant) in instants.iter().enumerate() {
            let at = start + nth as i64 * STEP;
            if let Ok(instant) = instant {
                compare(series, at, instant);
            }
        }
    }
}

/// Checks that the values of the range query at `at` equal those of an instant query at `at`.
fn compare(series: &[(Labels, Vec<(i64, f64)>)], at: i64, instant: &QueryResult) {
    let rows: Vec<(&Labels, f64)> = match instant {
        QueryResult::Scalar((_, value)) => {
            let value_of =
                |points: &[(i64, f64)]| points.iter().find(|point| point.0 == at).copied();
            let found = series.first().and_then(|(_, points)| value_of(points));
            let (_, found) = found.expect("a scalar has a value at each step");
            return assert_close(found, *value, "range and instant differ");
        }
        QueryResult::Vector(rows) => rows
            .iter()
            .map(|(labels, point)| (labels, point.1))
            .collect(),
        QueryResult::String(..) | QueryResult::Matrix(_) => return,
    };
    let in_range: Vec<(&Labels, f64)> = series
        .iter()
        .filter_map(|(labels, points)| {
            let point = points.iter().find(|point| point.0 == at)?;
            Some((labels, point.1))
        })
        .collect();
    assert_eq!(
        rows.len(),
        in_range.len(),
        "range {in_range:?}, instant {rows:?}"
    );
    for (labels, value) in rows {
        let found = in_range.iter().find(|(others, _)| *others == labels);
        let (_, found) = found.unwrap_or_else(|| panic!("{labels:?} is not in the range"));
        assert_close(*found, value, "range and instant differ");
    }
}

/// An exposition as a scrape reads it. Sample lines that were read can be written and read again.
pub(super) fn exposition(data: &[u8]) {
    let text = text(data);
    let mut lines = 0;
    for line in exposition::parse(text) {
        lines += 1;
        if let Ok(exposition::Line::Sample(sample)) = &line {
            again(sample);
        }
    }
    assert!(
        lines <= text.split('\n').count(),
        "more lines than there are"
    );
}

fn again(sample: &exposition::Sample<'_>) {
    let mut written = format!("{}{{", sample.name);
    for (name, value) in &sample.labels {
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        written.push_str(&format!("{name}=\"{value}\","));
    }
    written.push_str(&format!("}} {}", sample.value));
    if let Some(at) = sample.timestamp {
        written.push_str(&format!(" {at}"));
    }
    let read: Vec<_> = exposition::parse(&written).collect();
    let [Ok(exposition::Line::Sample(read))] = &read[..] else {
        panic!("{written} became {read:?}");
    };
    assert_eq!((read.name, &read.labels), (sample.name, &sample.labels));
    assert_eq!(read.timestamp, sample.timestamp);
    assert_close(read.value, sample.value, "a value changed");
}
