//! Binary operators between numbers and series, at each time.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{ResultSeries, Value};
use crate::embedded::loki::QueryError;
use crate::embedded::loki::logql::{Binary, BinaryOp, Matching};
use crate::embedded::loki::store::Labels;

/// Applies the operator to its operands.
pub(super) fn combine(binary: &Binary, left: Value, right: Value) -> Result<Value, QueryError> {
    let op = binary.op;
    Ok(match (left, right) {
        // A comparison of two numbers has no series to filter, so it gives 0 or 1.
        (Value::Number(left), Value::Number(right)) => {
            Value::Number(value(op, left, right).unwrap_or(0.0))
        }
        (Value::Series(series), Value::Number(number)) => {
            Value::Series(each(series, |of_series| {
                let kept = value(op, of_series, number)?;
                Some(if is_filter(op) { of_series } else { kept })
            }))
        }
        (Value::Number(number), Value::Series(series)) => {
            Value::Series(each(series, |of_series| {
                let kept = value(op, number, of_series)?;
                Some(if is_filter(op) { of_series } else { kept })
            }))
        }
        (Value::Series(left), Value::Series(right)) => Value::Series(match op {
            BinaryOp::Or => either(left, right, &binary.matching),
            BinaryOp::And => matched(left, &right, &binary.matching, true),
            BinaryOp::Unless => matched(left, &right, &binary.matching, false),
            _ => one_to_one(&left, &right, binary)?,
        }),
    })
}

/// Returns whether the operator keeps or drops a value and does not change it.
fn is_filter(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Compare {
            gives_bool: false,
            ..
        }
    )
}

/// The result for two values. `None` when a comparison drops it; one that holds gives 1.
fn value(op: BinaryOp, left: f64, right: f64) -> Option<f64> {
    Some(match op {
        BinaryOp::Add => left + right,
        BinaryOp::Subtract => left - right,
        BinaryOp::Multiply => left * right,
        // Unlike Prometheus, Loki gives NaN for a division by zero.
        BinaryOp::Divide | BinaryOp::Modulo if right == 0.0 => f64::NAN,
        BinaryOp::Divide => left / right,
        BinaryOp::Modulo => left % right,
        BinaryOp::Power => left.powf(right),
        BinaryOp::Compare { op, gives_bool } => match op.holds(&left, &right) {
            true => 1.0,
            false if gives_bool => 0.0,
            false => return None,
        },
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => return None,
    })
}

/// The series with each value replaced or dropped, and without those that have no point left.
fn each(series: Vec<ResultSeries>, change: impl Fn(f64) -> Option<f64>) -> Vec<ResultSeries> {
    let changed = series.into_iter().map(|one| {
        let points = one.points.into_iter();
        let points = points.filter_map(|(at, value)| change(value).map(|value| (at, value)));
        ResultSeries {
            labels: one.labels,
            points: points.collect(),
        }
    });
    changed.filter(|one| !one.points.is_empty()).collect()
}

/// The labels by which a series is matched.
fn key(labels: &Labels, matching: &Matching) -> Labels {
    let is_kept = |name: &String| match matching {
        Matching::On(names) => names.contains(name),
        Matching::Ignoring(names) => !names.contains(name),
    };
    let kept = labels.iter().filter(|(name, _)| is_kept(name));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The times at which series with the same key have a point.
type Times = HashMap<Labels, HashSet<i64>>;

fn times_by_key(series: &[ResultSeries], matching: &Matching) -> Times {
    let mut times = Times::new();
    for one in series {
        let of_key = times.entry(key(&one.labels, matching)).or_default();
        of_key.extend(one.points.iter().map(|point| point.0));
    }
    times
}

/// The points of `left` for which `right` has a point of the same key and time, or has none.
fn matched(
    mut left: Vec<ResultSeries>,
    right: &[ResultSeries],
    matching: &Matching,
    is_wanted: bool,
) -> Vec<ResultSeries> {
    let times = times_by_key(right, matching);
    for one in &mut left {
        let of_key = times.get(&key(&one.labels, matching));
        let is_matched = |at: i64| of_key.is_some_and(|times| times.contains(&at));
        one.points.retain(|(at, _)| is_matched(*at) == is_wanted);
    }
    left.retain(|one| !one.points.is_empty());
    left
}

/// All points of `left`, and those of `right` without a point of the same key and time on the left.
fn either(
    left: Vec<ResultSeries>,
    right: Vec<ResultSeries>,
    matching: &Matching,
) -> Vec<ResultSeries> {
    let added = matched(right, &left, matching, false);
    let mut all: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
    for one in left.into_iter().chain(added) {
        all.entry(one.labels).or_default().extend(one.points);
    }
    let series = all.into_iter().map(|(labels, mut points)| {
        points.sort_by_key(|point| point.0);
        points.dedup_by_key(|point| point.0);
        ResultSeries { labels, points }
    });
    series.collect()
}

/// Combines each point of `left` with the point of the same key and time on the right.
fn one_to_one(
    left: &[ResultSeries],
    right: &[ResultSeries],
    binary: &Binary,
) -> Result<Vec<ResultSeries>, QueryError> {
    let of_right = points_by_key(right, &binary.matching, "right")?;
    let of_left = points_by_key(left, &binary.matching, "left")?;
    let mut series = Vec::new();
    for (labels, points) in of_left {
        let Some(others) = of_right.get(&labels) else {
            continue;
        };
        let points = points.into_iter().filter_map(|(at, left)| {
            let kept = value(binary.op, left, *others.get(&at)?)?;
            Some((at, if is_filter(binary.op) { left } else { kept }))
        });
        let points: Vec<_> = points.collect();
        if !points.is_empty() {
            series.push(ResultSeries { labels, points });
        }
    }
    Ok(series)
}

/// The points of a side by key and time. More than one point for a key and a time is an error.
fn points_by_key(
    series: &[ResultSeries],
    matching: &Matching,
    side: &str,
) -> Result<BTreeMap<Labels, BTreeMap<i64, f64>>, QueryError> {
    let mut by_key: BTreeMap<Labels, BTreeMap<i64, f64>> = BTreeMap::new();
    for one in series {
        let of_key = by_key.entry(key(&one.labels, matching)).or_default();
        for (at, value) in &one.points {
            if of_key.insert(*at, *value).is_some() {
                return Err(QueryError::refused(format!(
                    "found duplicate series on the {side} hand-side of the operation; \
                     many-to-one and many-to-many matching are not supported: aggregate both sides"
                )));
            }
        }
    }
    Ok(by_key)
}
