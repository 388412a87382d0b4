//! Aggregates series at each time.

use std::collections::BTreeMap;

use super::ResultSeries;
use crate::embedded::loki::logql::{Aggregation, Grouping, VectorOp};
use crate::embedded::loki::store::Labels;

/// Applies `aggregation` to the series.
pub(super) fn aggregate(
    mut series: Vec<ResultSeries>,
    aggregation: &Aggregation,
) -> Vec<ResultSeries> {
    if matches!(aggregation.op, VectorOp::Sort | VectorOp::SortDesc) {
        // An instant query has one point per series. As in Prometheus, the order of a range query does not matter.
        let value = |one: &ResultSeries| one.points.first().map_or(f64::NAN, |point| point.1);
        let descends = aggregation.op == VectorOp::SortDesc;
        series.sort_by(|a, b| {
            let (a, b) = (value(a), value(b));
            // NaN is the last in both orders.
            let order = if descends {
                b.partial_cmp(&a)
            } else {
                a.partial_cmp(&b)
            };
            order.unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
        });
        return series;
    }
    let mut groups: BTreeMap<Labels, Vec<ResultSeries>> = BTreeMap::new();
    for one in series {
        let labels = group_labels(&one.labels, &aggregation.grouping);
        groups.entry(labels).or_default().push(one);
    }
    let groups = groups.into_iter();
    match aggregation.take {
        Some(take) => groups
            .flat_map(|(_, series)| ranked(series, aggregation.op, take))
            .collect(),
        None => groups
            .map(|(labels, series)| ResultSeries {
                labels,
                points: folded(&series, aggregation.op),
            })
            .collect(),
    }
}

fn group_labels(labels: &Labels, grouping: &Grouping) -> Labels {
    let kept = |name: &String| match grouping {
        Grouping::All => true,
        Grouping::By(names) => names.contains(name),
        Grouping::Without(names) => !names.contains(name),
    };
    let labels = labels.iter().filter(|(name, _)| kept(name));
    labels.map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// Combines all series into one value per time.
fn folded(series: &[ResultSeries], op: VectorOp) -> Vec<(i64, f64)> {
    let mut at: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for (time, value) in series.iter().flat_map(|one| &one.points) {
        at.entry(*time).or_default().push(*value);
    }
    let value = |values: Vec<f64>| {
        let count = values.len() as f64;
        let sum: f64 = values.iter().sum();
        match op {
            VectorOp::Avg => sum / count,
            VectorOp::Count => count,
            VectorOp::Min => values.into_iter().fold(f64::INFINITY, f64::min),
            VectorOp::Max => values.into_iter().fold(f64::NEG_INFINITY, f64::max),
            VectorOp::StdVar => variance(&values),
            VectorOp::StdDev => variance(&values).sqrt(),
            VectorOp::Sum
            | VectorOp::Topk
            | VectorOp::Bottomk
            | VectorOp::Sort
            | VectorOp::SortDesc => sum,
        }
    };
    at.into_iter()
        .map(|(time, values)| (time, value(values)))
        .collect()
}

/// The variance of all values (not of a sample).
pub(super) fn variance(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2));
    squares.sum::<f64>() / count
}

/// The points that are among the `take` largest or smallest of their time.
fn ranked(mut series: Vec<ResultSeries>, op: VectorOp, take: usize) -> Vec<ResultSeries> {
    let mut at: BTreeMap<i64, Vec<(f64, usize)>> = BTreeMap::new();
    for (index, one) in series.iter().enumerate() {
        for (time, value) in &one.points {
            at.entry(*time).or_default().push((*value, index));
        }
    }
    for one in &mut series {
        one.points.clear();
    }
    for (time, mut values) in at {
        values.sort_by(|one, other| match op {
            VectorOp::Bottomk => one.0.total_cmp(&other.0),
            _ => other.0.total_cmp(&one.0),
        });
        for (value, index) in values.into_iter().take(take) {
            series[index].points.push((time, value));
        }
    }
    series.retain(|one| !one.points.is_empty());
    series
}
