//! The `*_over_time` functions, which aggregate the samples of one series within a window.
//!
//! Sums are compensated like in Prometheus 2.42 (Neumaier's variant of Kahan summation), so that the last digits are
//! equal too.

use super::quantile;
use super::windows::Window;

/// Adds `increment` to `sum`, and adds the rounding error to `lost`.
pub(super) fn add(increment: f64, sum: f64, lost: f64) -> (f64, f64) {
    let total = sum + increment;
    let lost = if sum.abs() >= increment.abs() {
        lost + ((sum - total) + increment)
    } else {
        lost + ((increment - total) + sum)
    };
    (total, lost)
}

pub(super) fn sum(w: &Window<'_>) -> Option<f64> {
    let (total, lost) =
        w.vs.iter()
            .fold((0.0, 0.0), |(total, lost), v| add(*v, total, lost));
    Some(if total.is_infinite() {
        total
    } else {
        total + lost
    })
}

pub(super) fn avg(w: &Window<'_>) -> Option<f64> {
    let (mut mean, mut lost, mut count) = (0.0f64, 0.0, 0.0);
    for &v in w.vs {
        count += 1.0;
        if keeps_infinite_mean(mean, v) {
            continue;
        }
        (mean, lost) = add(v / count - mean / count, mean, lost);
    }
    Some(if mean.is_infinite() {
        mean
    } else {
        mean + lost
    })
}

/// Returns whether an infinite mean stays infinite when `v` is added. It does unless `v` is NaN or the opposite
/// infinity.
pub(super) fn keeps_infinite_mean(mean: f64, v: f64) -> bool {
    mean.is_infinite() && (v.is_finite() || v == mean)
}

pub(super) fn min(w: &Window<'_>) -> Option<f64> {
    let first = *w.vs.first()?;
    let smaller = |m: f64, v: &f64| if *v < m || m.is_nan() { *v } else { m };
    Some(w.vs.iter().fold(first, smaller))
}

pub(super) fn max(w: &Window<'_>) -> Option<f64> {
    let first = *w.vs.first()?;
    let larger = |m: f64, v: &f64| if *v > m || m.is_nan() { *v } else { m };
    Some(w.vs.iter().fold(first, larger))
}

pub(super) fn count(w: &Window<'_>) -> Option<f64> {
    Some(w.vs.len() as f64)
}

pub(super) fn last(w: &Window<'_>) -> Option<f64> {
    w.vs.last().copied()
}

pub(super) fn present(_: &Window<'_>) -> Option<f64> {
    Some(1.0)
}

pub(super) fn stddev(w: &Window<'_>) -> Option<f64> {
    stdvar(w).map(f64::sqrt)
}

pub(super) fn stdvar(w: &Window<'_>) -> Option<f64> {
    let (mut mean, mut mean_lost) = (0.0, 0.0);
    let (mut squares, mut squares_lost) = (0.0, 0.0);
    let mut count = 0.0;
    for &v in w.vs {
        count += 1.0;
        let delta = v - (mean + mean_lost);
        (mean, mean_lost) = add(delta / count, mean, mean_lost);
        let square = delta * (v - (mean + mean_lost));
        (squares, squares_lost) = add(square, squares, squares_lost);
    }
    Some((squares + squares_lost) / count)
}

pub(super) fn quantile(w: &Window<'_>) -> Option<f64> {
    Some(quantile::of_values(w.params[0], w.vs.to_vec()))
}
