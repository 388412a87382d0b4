//! Formats numbers and durations for the screen. Pure.

use jiff::Timestamp;

/// A whole number with thousands separators: `12,345`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The text for a value that is not finite: `∞`, `-∞`, or a dash for NaN.
pub(crate) fn not_finite(value: f64) -> String {
    let text = match value {
        f64::INFINITY => "∞",
        f64::NEG_INFINITY => "-∞",
        _ => "–",
    };
    text.into()
}

/// A measured number in at most six characters: `0`, `4.2`, `380`, `9,999`, `12.3k`, `1.25M`.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        not_finite(value)
    } else if size < 0.05 {
        if size == 0.0 {
            "0".into()
        } else {
            "<0.1".into()
        }
    } else if size < 9.95 {
        let text = format!("{value:.1}");
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    } else if size < 9999.5 {
        let sign = if value < 0.0 { "-" } else { "" };
        format!("{sign}{}", count(whole(size)))
    } else if size < 999_950.0 {
        format!("{:.1}k", value / 1e3)
    } else if size < 999_500_000.0 {
        format!("{:.2}M", value / 1e6)
    } else {
        format!("{:.2}G", value / 1e9)
    }
}

/// Seconds as a latency: `0.8 ms`, `42 ms`, `1.35 s`.
pub(crate) fn latency(seconds: f64) -> (String, &'static str) {
    let ms = seconds * 1000.0;
    if !seconds.is_finite() {
        (not_finite(seconds), "")
    } else if ms < 9.95 {
        (format!("{ms:.1}"), "ms")
    } else if ms < 999.5 {
        (format!("{ms:.0}"), "ms")
    } else {
        (format!("{seconds:.2}"), "s")
    }
}

/// A percentage: `0`, `0.04`, `3.1`, `97`.
pub(crate) fn percent(value: f64) -> String {
    if !value.is_finite() {
        not_finite(value)
    } else if value == 0.0 || value >= 99.95 {
        format!("{value:.0}")
    } else if value < 0.995 {
        format!("{value:.2}")
    } else {
        format!("{value:.1}")
    }
}

/// Milliseconds as an age or a remaining time: `3 s`, `2 min`, `1 h 5 min`, `3 d`.
pub(crate) fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => {
            let minutes = seconds % 3600 / 60;
            if minutes == 0 {
                format!("{} h", seconds / 3600)
            } else {
                format!("{} h {minutes} min", seconds / 3600)
            }
        }
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Seconds as a running time: `0:07`, `12:30`.
pub(crate) fn stopwatch(seconds: f64) -> String {
    let seconds = whole(seconds);
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// A non-negative number, rounded; a negative number and NaN become 0.
pub(crate) fn whole(value: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and negative or NaN becomes 0"
    )]
    let whole = value.round() as u64;
    whole
}

/// Untrusted text in one line, without control characters, because the terminal would obey them.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// An RFC 3339 time as Unix milliseconds.
pub(crate) fn unix_ms(text: &str) -> Option<i64> {
    text.parse::<Timestamp>()
        .ok()
        .map(Timestamp::as_millisecond)
}

pub(crate) fn to_f64(count: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts for people, far below 2^53"
    )]
    let value = count as f64;
    value
}

pub(crate) fn share(done: u64, of: u64) -> f64 {
    if of == 0 {
        0.0
    } else {
        to_f64(done) / to_f64(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_separators() {
        assert_eq!(
            [count(0), count(999), count(1000), count(10_000_000)],
            ["0", "999", "1,000", "10,000,000"]
        );
    }

    #[test]
    fn short_numbers_fit_six_characters_at_every_size() {
        let shown = |value| short(value);
        assert_eq!(
            [
                0.0,
                0.01,
                4.24,
                9.96,
                380.4,
                9999.0,
                12_345.0,
                999_960.0,
                1_250_000.0
            ]
            .map(shown),
            [
                "0", "<0.1", "4.2", "10", "380", "9,999", "12.3k", "1.00M", "1.25M"
            ]
        );
        for exponent in -3..11 {
            for mantissa in [1.0, 2.5, 9.994, 9.996] {
                let text = short(mantissa * 10f64.powi(exponent));
                assert!(text.chars().count() <= 7, "{text}");
            }
        }
        assert_eq!(short(f64::NAN), "–");
    }

    #[test]
    fn latencies_change_their_unit_at_a_second() {
        let shown = |seconds| latency(seconds);
        assert_eq!(shown(0.0008), ("0.8".into(), "ms"));
        assert_eq!(shown(0.0421), ("42".into(), "ms"));
        assert_eq!(shown(1.351), ("1.35".into(), "s"));
    }

    #[test]
    fn spans_are_shown_in_readable_units() {
        assert_eq!(
            [-5, 3000, 125_000, 3_900_000, 3_600_000, 200_000_000].map(span),
            ["0 s", "3 s", "2 min", "1 h 5 min", "1 h", "2 d"]
        );
        assert_eq!(stopwatch(67.4), "1:07");
    }

    #[test]
    fn small_percentages_keep_their_digits() {
        assert_eq!(
            [0.0, 0.04, 3.12, 97.0, 100.0].map(percent),
            ["0", "0.04", "3.1", "97.0", "100"]
        );
    }
}
