//! Prometheus's `humanize` functions
//! (<https://prometheus.io/docs/prometheus/2.42/configuration/template_reference/#numbers>).

use crate::embedded::go_numbers::go_g;

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// Formats a number with four significant digits.
fn four(v: f64) -> String {
    go_g(v, Some(4))
}

/// Formats a number with a metric prefix: `1.5k`, `20m`.
pub(super) fn humanize(v: f64) -> String {
    if v == 0.0 || !v.is_finite() {
        four(v)
    } else if v.abs() >= 1.0 {
        prefixed(v, 1000.0, &LARGE)
    } else {
        small(v)
    }
}

/// Formats a number with a prefix of powers of 1024: `1.5ki`.
pub(super) fn humanize_1024(v: f64) -> String {
    if v.abs() <= 1.0 || !v.is_finite() {
        return four(v);
    }
    let text = prefixed(v, 1024.0, &LARGE);
    let is_prefixed = text.ends_with(|c: char| c.is_ascii_alphabetic());
    if is_prefixed { text + "i" } else { text }
}

fn prefixed(mut v: f64, step: f64, prefixes: &[&str]) -> String {
    let mut prefix = "";
    for next in prefixes {
        if v.abs() < step {
            break;
        }
        prefix = next;
        v /= step;
    }
    four(v) + prefix
}

fn small(mut v: f64) -> String {
    let mut prefix = "";
    for next in SMALL {
        if v.abs() >= 1.0 {
            break;
        }
        prefix = next;
        v *= 1000.0;
    }
    four(v) + prefix
}

/// Formats seconds as `1d 2h 3m 4s`, `5.5s`, `20ms`.
pub(super) fn humanize_duration(v: f64) -> String {
    if !v.is_finite() {
        return four(v);
    }
    if v == 0.0 {
        return four(v) + "s";
    }
    if v.abs() < 1.0 {
        return small(v) + "s";
    }
    let sign = if v < 0.0 { "-" } else { "" };
    // A value that does not fit becomes the smallest integer, like in Go on amd64.
    let fits = v.abs() < 2_f64.powi(63);
    let whole = if fits { v.abs() as i64 } else { i64::MIN };
    let (days, hours) = (whole / 86_400, whole / 3600 % 24);
    let (minutes, seconds) = (whole / 60 % 60, whole % 60);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", four(v.abs()))
    }
}

/// Formats a ratio as a percentage.
pub(super) fn humanize_percentage(v: f64) -> String {
    four(v * 100.0) + "%"
}

/// Formats seconds like Go prints a `time.Duration`: `1h0m30s`, `1.5s`, `20ms`.
pub(super) fn go_duration(seconds: f64) -> String {
    let nanos = (seconds * 1e9) as i64;
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    let text = match size {
        0 => "0s".to_owned(),
        1..1_000 => format!("{size}ns"),
        1_000..1_000_000 => decimal(size, 1_000) + "µs",
        1_000_000..1_000_000_000 => decimal(size, 1_000_000) + "ms",
        _ => {
            let minutes = size / 60_000_000_000;
            let seconds = decimal(size % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    sign.to_owned() + &text
}

/// Formats `size` in `unit`s, a power of ten, without zeros at the end.
fn decimal(size: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", size / unit, size % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
