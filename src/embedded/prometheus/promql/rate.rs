//! The change of counters and gauges: `rate`, `increase`, `delta`, and the variants that use two samples.
//!
//! The extrapolation to the ends of the window is that of Prometheus 2.42:
//! <https://github.com/prometheus/prometheus/blob/v2.42.0/promql/functions.go> (`extrapolatedRate`).

use super::windows::Window;

pub(super) fn rate(w: &Window<'_>) -> Option<f64> {
    extrapolated(w, true, true)
}

pub(super) fn increase(w: &Window<'_>) -> Option<f64> {
    extrapolated(w, true, false)
}

pub(super) fn delta(w: &Window<'_>) -> Option<f64> {
    extrapolated(w, false, false)
}

pub(super) fn irate(w: &Window<'_>) -> Option<f64> {
    let (before, last, ms) = last_two(w)?;
    let change = if last < before { last } else { last - before };
    Some(change / (ms as f64 / 1000.0))
}

pub(super) fn idelta(w: &Window<'_>) -> Option<f64> {
    let (before, last, _) = last_two(w)?;
    Some(last - before)
}

/// The last two values, and the milliseconds between them.
fn last_two(w: &Window<'_>) -> Option<(f64, f64, i64)> {
    let n = w.vs.len();
    let before = n.checked_sub(2)?;
    let ms = w.ts[n - 1] - w.ts[before];
    (ms != 0).then(|| (w.vs[before], w.vs[n - 1], ms))
}

fn extrapolated(w: &Window<'_>, counter: bool, per_second: bool) -> Option<f64> {
    let n = w.vs.len();
    if n < 2 {
        return None;
    }
    let (first_t, last_t) = (w.ts[0], w.ts[n - 1]);
    let mut change = w.vs[n - 1] - w.vs[0];
    if counter {
        // A smaller value means that the counter restarted from zero, so the value before it is added.
        for before in w.before_resets {
            change += before;
        }
    }
    let mut to_start = (first_t - w.start) as f64 / 1000.0;
    let to_end = (w.end - last_t) as f64 / 1000.0;
    let sampled = (last_t - first_t) as f64 / 1000.0;
    let between = sampled / (n - 1) as f64;
    if counter && change > 0.0 && w.vs[0] >= 0.0 {
        // A counter was never below zero, so the extrapolation stops where it would be zero.
        let to_zero = sampled * (w.vs[0] / change);
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    // If an end of the window is little further away than the distance of two samples, the series extends to it.
    // Otherwise the series extends by half of that distance.
    let threshold = between * 1.1;
    let reach = |gap: f64| if gap < threshold { gap } else { between / 2.0 };
    let mut interval = sampled;
    interval += reach(to_start);
    interval += reach(to_end);
    let mut factor = interval / sampled;
    if per_second {
        factor /= w.range as f64 / 1000.0;
    }
    Some(change * factor)
}
