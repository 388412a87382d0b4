//! Computes values over a window that slides over lines.

use super::aggregate::variance;
use crate::embedded::loki::logql::{MetricExpr, RangeOp};
use crate::embedded::prometheus::promql::quantile_of_values;

/// The time of a line, and its size or unwrapped number.
pub(super) type Sample = (i64, f64);

/// A point at each step whose window has a line. Both ends of the window only move forward.
pub(super) fn points(samples: &[Sample], expr: &MetricExpr, steps: &[i64]) -> Vec<(i64, f64)> {
    let (mut from, mut to) = (0, 0);
    // Sizes are whole numbers, so adding and subtracting them leaves no rounding error.
    let mut sum = 0.0;
    let mut points = Vec::new();
    for step in steps {
        let end = step.saturating_sub(expr.offset_ns);
        while to < samples.len() && samples[to].0 <= end {
            sum += samples[to].1;
            to += 1;
        }
        while from < to && samples[from].0 <= end.saturating_sub(expr.range_ns) {
            sum -= samples[from].1;
            from += 1;
        }
        if from < to {
            points.push((*step, value(&samples[from..to], expr, sum)));
        }
    }
    points
}

/// The value of a window that is not empty.
fn value(window: &[Sample], expr: &MetricExpr, sizes: f64) -> f64 {
    let seconds = expr.range_ns as f64 / 1e9;
    let count = window.len() as f64;
    let numbers = || window.iter().map(|sample| sample.1);
    match expr.op {
        RangeOp::CountOverTime => count,
        RangeOp::Rate if expr.unwrap.is_some() => numbers().sum::<f64>() / seconds,
        RangeOp::Rate => count / seconds,
        RangeOp::BytesOverTime => sizes,
        RangeOp::BytesRate => sizes / seconds,
        RangeOp::Sum => numbers().sum(),
        RangeOp::Avg => numbers().sum::<f64>() / count,
        RangeOp::Min => numbers().fold(f64::INFINITY, f64::min),
        RangeOp::Max => numbers().fold(f64::NEG_INFINITY, f64::max),
        RangeOp::First => window.first().map_or(0.0, |sample| sample.1),
        RangeOp::Last => window.last().map_or(0.0, |sample| sample.1),
        RangeOp::StdVar => variance(&numbers().collect::<Vec<_>>()),
        RangeOp::StdDev => variance(&numbers().collect::<Vec<_>>()).sqrt(),
        // `metric_query` turns points and gaps round.
        RangeOp::Absent => 1.0,
        RangeOp::Quantile(quantile) => quantile_of_values(quantile, numbers().collect()),
    }
}
