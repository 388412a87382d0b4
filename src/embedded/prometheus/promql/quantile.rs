//! Quantiles of values, and of histograms with cumulative buckets.
//!
//! Both follow Prometheus 2.42, including its corner cases:
//! <https://github.com/prometheus/prometheus/blob/v2.42.0/promql/quantile.go>.

use std::collections::HashMap;

use super::QueryError;
use super::eval::Evaluator;
use super::value::{ABSENT, Column, is_absent, merge_same_labels};
use crate::embedded::prometheus::labels::{Labels, METRIC_NAME};

const BUCKET: &str = "le";

/// The `q`-quantile of values, interpolated between the two nearest ranks.
pub(crate) fn of_values(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    // NaN sorts before all other values.
    values.sort_by(|a, b| match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(b),
        (a_nan, b_nan) => b_nan.cmp(&a_nan),
    });
    let n = values.len() as f64;
    let rank = q * (n - 1.0);
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(n - 1.0);
    let weight = rank - rank.floor();
    values[lower as usize] * (1.0 - weight) + values[upper as usize] * weight
}

/// A bucket: its upper bound, and the number of observations at or below it.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    bound: f64,
    count: f64,
}

/// The buckets of one histogram, as indices into the list of columns, by rising bound.
struct Histogram {
    labels: Labels,
    buckets: Vec<(f64, usize)>,
}

/// `histogram_quantile`: turns the columns of buckets into one column per histogram.
pub(super) fn histogram_quantile(
    ev: &Evaluator<'_>,
    q: &[f64],
    columns: Vec<Column>,
) -> Result<Vec<Column>, QueryError> {
    let mut results = Vec::new();
    let mut buckets = Vec::new();
    for histogram in group(&columns) {
        ev.budget.spend(ev.steps.count)?;
        let values = (0..ev.steps.count)
            .map(|step| {
                buckets.clear();
                buckets.extend(histogram.buckets.iter().filter_map(|&(bound, place)| {
                    let count = columns[place].values[step];
                    (!is_absent(count)).then_some(Bucket { bound, count })
                }));
                of_buckets(q[step], &mut buckets).unwrap_or(ABSENT)
            })
            .collect();
        results.push(Column {
            labels: histogram.labels,
            values,
        });
    }
    merge_same_labels(results)
}

/// Groups the buckets by histogram. A column without a readable bound is left out.
fn group(columns: &[Column]) -> Vec<Histogram> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut histograms: Vec<Histogram> = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        let Ok(bound) = column.labels.get(BUCKET).parse::<f64>() else {
            continue;
        };
        // Buckets of metrics with different names are different histograms.
        let identity = column.labels.filter(|n| n != BUCKET);
        let place = *places.entry(identity).or_insert_with_key(|identity| {
            histograms.push(Histogram {
                labels: identity.filter(|n| n != METRIC_NAME),
                buckets: vec![],
            });
            histograms.len() - 1
        });
        histograms[place].buckets.push((bound, i));
    }
    for histogram in &mut histograms {
        histogram.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    histograms
}

/// The `q`-quantile of a histogram with sorted buckets. `None` if there is no bucket.
fn of_buckets(q: f64, buckets: &mut Vec<Bucket>) -> Option<f64> {
    let highest = buckets.last()?.bound;
    if q.is_nan() {
        return Some(f64::NAN);
    }
    if q < 0.0 {
        return Some(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return Some(f64::INFINITY);
    }
    if highest != f64::INFINITY {
        return Some(f64::NAN);
    }
    coalesce(buckets);
    make_monotonic(buckets);
    let n = buckets.len();
    let observations = buckets[n - 1].count;
    if n < 2 || observations == 0.0 {
        return Some(f64::NAN);
    }
    let mut rank = q * observations;
    let b = search(n - 1, |i| buckets[i].count >= rank);
    if b == n - 1 {
        return Some(buckets[n - 2].bound);
    }
    if b == 0 && buckets[0].bound <= 0.0 {
        return Some(buckets[0].bound);
    }
    let Bucket { bound, mut count } = buckets[b];
    let mut start = 0.0;
    if b > 0 {
        let below = buckets[b - 1];
        start = below.bound;
        count -= below.count;
        rank -= below.count;
    }
    Some(start + (bound - start) * (rank / count))
}

/// Adds up buckets with the same bound, for example `0.1` and `0.10`.
fn coalesce(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|next, kept| {
        let same = next.bound == kept.bound;
        if same {
            kept.count += next.count;
        }
        same
    });
}

/// Raises the count of a bucket that is below the count of a smaller bucket, because scrapes are not atomic and rates
/// are not exact.
fn make_monotonic(buckets: &mut [Bucket]) {
    let mut max = buckets[0].count;
    for bucket in &mut buckets[1..] {
        if bucket.count > max {
            max = bucket.count;
        } else if bucket.count < max {
            bucket.count = max;
        }
    }
}

/// Finds the smallest index below `n` at which `holds`, or `n`, by binary search. With NaN counts the result depends
/// on the indices that are checked, so these are the ones of Go's `sort.Search`.
fn search(n: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantile(q: f64, counts: &[(f64, f64)]) -> f64 {
        let mut buckets = counts
            .iter()
            .map(|&(bound, count)| Bucket { bound, count })
            .collect();
        of_buckets(q, &mut buckets).unwrap()
    }

    #[test]
    fn interpolates_within_the_bucket_of_the_rank() {
        let counts = [(1.0, 10.0), (2.0, 30.0), (f64::INFINITY, 40.0)];
        assert_eq!(quantile(0.5, &counts), 1.5);
        assert_eq!(quantile(0.9, &counts), 2.0, "the open bucket has no width");
        assert_eq!(quantile(1.5, &counts), f64::INFINITY);
        assert!(quantile(0.5, &counts[..2]).is_nan(), "no +Inf bucket");
    }

    #[test]
    fn a_bucket_below_its_forerunner_is_lifted() {
        let counts = [(1.0, 10.0), (2.0, 5.0), (f64::INFINITY, 10.0)];
        assert_eq!(quantile(0.5, &counts), 0.5);
    }

    #[test]
    fn quantiles_of_values_interpolate_between_ranks() {
        assert_eq!(of_values(0.5, vec![3.0, 1.0, 2.0, 4.0]), 2.5);
        assert_eq!(of_values(-1.0, vec![1.0]), f64::NEG_INFINITY);
        assert!(of_values(0.0, vec![1.0, f64::NAN]).is_nan());
    }
}
