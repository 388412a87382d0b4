//! Numbers as Go prints them, and Prometheus's `humanize` functions
//! (<https://prometheus.io/docs/prometheus/2.42/configuration/template_reference/#numbers>).

/// Go's `%g`: the shortest text that reads back, or so many significant digits; with an exponent for
/// the very large and the very small.
pub(super) fn go_g(v: f64, precision: Option<usize>) -> String {
    if v.is_nan() {
        return "NaN".to_owned();
    }
    if v.is_infinite() {
        return if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let precision = precision.map(|digits| digits.max(1));
    let text = match precision {
        None => format!("{v:e}"),
        Some(digits) => format!("{v:.*e}", digits - 1),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    let significant = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let limit = i32::try_from(precision.unwrap_or(6)).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        return with_exponent(mantissa, exponent);
    }
    let decimals = i32::try_from(significant).unwrap_or(0) - 1 - exponent;
    let decimals = usize::try_from(decimals).unwrap_or(0);
    match precision {
        None => format!("{v}"),
        Some(_) if decimals > 0 => format!("{v:.decimals$}"),
        // Digits beyond the significant ones are zeros.
        Some(_) => whole(mantissa, exponent),
    }
}

/// A whole number from its significant digits.
fn whole(mantissa: &str, exponent: i32) -> String {
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa),
    };
    let digits = digits.replace('.', "");
    let width = usize::try_from(exponent).unwrap_or(0) + 1;
    format!("{sign}{digits:0<width$}")
}

/// Go's `%e` with the digits that it takes to read the value back.
pub(in crate::alerting) fn go_e_shortest(v: f64) -> String {
    if !v.is_finite() {
        return go_g(v, None);
    }
    let text = format!("{v:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    with_exponent(mantissa, exponent.parse().unwrap_or(0))
}

pub(super) fn go_e(v: f64, digits: usize) -> String {
    let text = format!("{v:.digits$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    with_exponent(mantissa, exponent.parse().unwrap_or(0))
}

fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// Four significant digits.
fn four(v: f64) -> String {
    go_g(v, Some(4))
}

/// With a metric prefix: `1.5k`, `20m`.
pub(super) fn humanize(v: f64) -> String {
    if v == 0.0 || !v.is_finite() {
        four(v)
    } else if v.abs() >= 1.0 {
        prefixed(v, 1000.0, &LARGE)
    } else {
        small(v)
    }
}

/// With a prefix of 1024s: `1.5ki`.
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

/// Seconds as `1d 2h 3m 4s`, `5.5s`, `20ms`.
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
    // What does not fit becomes the least number, as Prometheus has it on the machines it runs on.
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

/// A ratio as a percentage.
pub(super) fn humanize_percentage(v: f64) -> String {
    four(v * 100.0) + "%"
}
