//! Durations as text, in one format for flags, files and forms.

use std::time::Duration;

use jiff::fmt::friendly::{Spacing, SpanPrinter};
use jiff::{Span, SpanRelativeTo};

/// Parses `15s`, `1m30s`, `250ms`, `1h 30m`, `2 min`, `1d` (24 hours). `None` for all other texts, such as a number
/// without a unit or a negative duration.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let span: Span = text.trim().parse().ok()?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(length).ok()
}

/// Writes a duration in the format of [`parse`]: `5m`, `1m30s`, `100ms`.
#[must_use]
pub fn show(duration: Duration) -> String {
    let printer = SpanPrinter::new().spacing(Spacing::None);
    printer.unsigned_duration_to_string(&duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_units_and_is_never_negative() {
        for (text, millis) in [
            ("15s", 15_000),
            ("250ms", 250),
            ("1.5s", 1_500),
            ("5m", 300_000),
            ("1m30s", 90_000),
            (" 1h 30m ", 5_400_000),
            ("2 min", 120_000),
            ("1d", 86_400_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in [
            "",
            "15",
            "m",
            "-5s",
            "soon",
            "1y",
            "5 m x",
            "9999999999999999d",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_shown_duration_is_parsed_again() {
        for (millis, text) in [
            (0, "0s"),
            (100, "100ms"),
            (90_000, "1m30s"),
            (300_000, "5m"),
            (14_400_000, "4h"),
        ] {
            let duration = Duration::from_millis(millis);
            assert_eq!(show(duration), text);
            assert_eq!(parse(text), Some(duration));
        }
    }
}
