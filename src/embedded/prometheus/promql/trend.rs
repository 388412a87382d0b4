//! Trends of a series: slopes, predictions, changes and resets.

use super::over_time::add;
use super::windows::{MAX_PARAMS, Window};

pub(super) fn changes(w: &Window<'_>) -> Option<f64> {
    let differ = |p: &&[f64]| p[0] != p[1] && !(p[0].is_nan() && p[1].is_nan());
    Some(w.vs.windows(2).filter(differ).count() as f64)
}

pub(super) fn resets(w: &Window<'_>) -> Option<f64> {
    Some(w.before_resets.len() as f64)
}

pub(super) fn deriv(w: &Window<'_>) -> Option<f64> {
    // Times count from one near the samples, because the squares of large times would lose digits.
    line(w, w.ts[0]).map(|l| l.slope)
}

pub(super) fn predict_linear(w: &Window<'_>) -> Option<f64> {
    let seconds = w.params[0];
    line(w, w.at).map(|l| l.slope * seconds + l.intercept)
}

struct Line {
    slope: f64,
    intercept: f64,
}

/// A sum that also keeps the rounding errors of its additions.
#[derive(Default)]
struct Sum {
    total: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, v: f64) {
        (self.total, self.lost) = add(v, self.total, self.lost);
    }

    fn value(&self) -> f64 {
        self.total + self.lost
    }
}

/// Fits a line through the samples by least squares, with its intercept at the time `at`. `None` for fewer than two
/// samples.
fn line(w: &Window<'_>, at: i64) -> Option<Line> {
    let first = w.vs[0];
    if w.vs.len() < 2 {
        return None;
    }
    if w.vs.iter().skip(1).all(|v| *v == first) {
        let constant = match first.is_infinite() {
            true => (f64::NAN, f64::NAN),
            false => (0.0, first),
        };
        let (slope, intercept) = constant;
        return Some(Line { slope, intercept });
    }
    let (mut x_sum, mut y_sum) = (Sum::default(), Sum::default());
    let (mut xy_sum, mut xx_sum) = (Sum::default(), Sum::default());
    for (t, y) in w.ts.iter().zip(w.vs) {
        let x = (t - at) as f64 / 1000.0;
        x_sum.add(x);
        y_sum.add(*y);
        xy_sum.add(x * y);
        xx_sum.add(x * x);
    }
    let n = w.vs.len() as f64;
    let (xs, ys) = (x_sum.value(), y_sum.value());
    let covariance = xy_sum.value() - xs * ys / n;
    let variance = xx_sum.value() - xs * xs / n;
    let slope = covariance / variance;
    let intercept = ys / n - slope * xs / n;
    Some(Line { slope, intercept })
}

/// The reason why the factors of `holt_winters` are invalid, if they are.
pub(super) fn refuse_factors(factors: &[f64; MAX_PARAMS]) -> Option<String> {
    let names = [("smoothing", "sf"), ("trend", "tf")];
    let mut bad = names
        .into_iter()
        .zip(factors)
        .filter(|(_, v)| **v <= 0.0 || **v >= 1.0);
    bad.next().map(|((name, short), v)| {
        format!("invalid {name} factor. Expected: 0 < {short} < 1, got: {v:.6}")
    })
}

/// Double exponential smoothing of level and trend.
pub(super) fn holt_winters(w: &Window<'_>) -> Option<f64> {
    let [smoothing, trending] = w.params;
    let mut trend = w.vs.get(1)? - w.vs[0];
    let (mut before, mut level) = (0.0, w.vs[0]);
    for (i, v) in w.vs[1..].iter().enumerate() {
        if i > 0 {
            trend = trending * (level - before) + (1.0 - trending) * trend;
        }
        let next = smoothing * v + (1.0 - smoothing) * (level + trend);
        (before, level) = (level, next);
    }
    Some(level)
}
