//! Formats numbers like Go (<https://pkg.go.dev/fmt>).

/// Go's `%g`: the shortest text that parses back, or the given number of significant digits. Very large and very
/// small values have an exponent.
pub(crate) fn go_g(v: f64, precision: Option<usize>) -> String {
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
        // Digits after the significant ones are zeros.
        Some(_) => whole(mantissa, exponent),
    }
}

/// Writes a whole number from its significant digits.
fn whole(mantissa: &str, exponent: i32) -> String {
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa),
    };
    let digits = digits.replace('.', "");
    let width = usize::try_from(exponent).unwrap_or(0) + 1;
    format!("{sign}{digits:0<width$}")
}

/// Go's `%e` with the shortest number of digits that parses back.
pub(crate) fn go_e_shortest(v: f64) -> String {
    if !v.is_finite() {
        return go_g(v, None);
    }
    let text = format!("{v:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    with_exponent(mantissa, exponent.parse().unwrap_or(0))
}

pub(crate) fn go_e(v: f64, digits: usize) -> String {
    let text = format!("{v:.digits$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    with_exponent(mantissa, exponent.parse().unwrap_or(0))
}

fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}
