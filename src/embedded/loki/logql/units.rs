//! Durations and sizes in LogQL's notation.

/// Parses `1h30m`, `250ms`, `1.5h`, `7d`: numbers with the units ns, us, µs, ms, s, m, h, d, w, y. Returns
/// nanoseconds. `None` for other texts, for negative values, and for an overflow.
#[must_use]
pub fn parse_duration(text: &str) -> Option<i64> {
    parse_units(text, |unit| {
        go_unit(unit).or(match unit {
            "d" => Some(86_400e9),
            "w" => Some(7.0 * 86_400e9),
            "y" => Some(365.0 * 86_400e9),
            _ => None,
        })
    })
}

/// Parses a label's value like Go's `time.ParseDuration`: units up to hours, a sign, a bare 0. Returns nanoseconds.
pub(in crate::embedded::loki) fn parse_go_duration(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    parse_units(rest, go_unit).map(|ns| sign * ns)
}

fn go_unit(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        _ => return None,
    })
}

fn parse_units(text: &str, unit_ns: impl Fn(&str) -> Option<f64>) -> Option<i64> {
    let mut rest = text;
    let mut total = 0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = split_number(rest)?;
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        total += number * unit_ns(unit)?;
        rest = next;
    }
    // Beyond i64 the cast would saturate silently.
    (total < i64::MAX as f64).then_some(total.round() as i64)
}

/// A leading decimal number without sign or exponent, and the rest of the text.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    Some((number.parse().ok()?, rest))
}

/// Parses a size in bytes: `512`, `10KB`, `1.5 MiB`. Units without an i are powers of 1000, those with an i are
/// powers of 1024. Case does not matter. `None` for other texts and for an overflow.
pub(in crate::embedded::loki) fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text)?;
    let unit = unit.trim().to_ascii_lowercase();
    let prefix = unit.strip_suffix('b').unwrap_or(&unit);
    let (prefix, base) = match prefix.strip_suffix('i') {
        Some(prefix) if !prefix.is_empty() => (prefix, 1024f64),
        Some(_) => return None,
        None => (prefix, 1000f64),
    };
    let power = match prefix {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        "e" => 6,
        _ => return None,
    };
    let bytes = number * base.powi(power);
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, ns) in [
            ("5m", 300_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("250ms", 250_000_000),
            ("1.5s", 1_500_000_000),
            ("2d", 172_800_000_000_000),
            ("3µs", 3_000),
        ] {
            assert_eq!(parse_duration(text), Some(ns), "{text}");
        }
        for bad in ["", "5", "m", "5x", "-5m", "1..5s", "5m ", "99999999999999y"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
        assert_eq!(parse_go_duration("-1.5h"), Some(-5_400_000_000_000));
        assert_eq!(parse_go_duration("0"), Some(0));
        assert_eq!(parse_go_duration("1d"), None);
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("512", 512),
            ("10KB", 10_000),
            ("1.5MiB", 1_572_864),
            ("42 mb", 42_000_000),
            ("3k", 3_000),
            ("1B", 1),
        ] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for bad in ["", "KB", "-1", "1ib", "1XB", "99999999EB"] {
            assert_eq!(parse_bytes(bad), None, "{bad}");
        }
    }
}
