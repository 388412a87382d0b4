//! Prometheus's durations: `1h30m`, `5m`, `100ms`.

use std::time::Duration;

/// Units in milliseconds, the largest first. A duration uses each unit at most once, in this order.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Longer durations exceed Prometheus's 63 bits of nanoseconds.
const MAX_MS: u64 = (i64::MAX / 1_000_000) as u64;

/// Parses a duration. `None` for any text that Prometheus refuses, including durations longer than 292 years.
///
/// <https://prometheus.io/docs/prometheus/2.42/querying/basics/#time-durations>
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let n: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = rest.split_at(letters);
        rest = after;
        let (_, ms) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(n.checked_mul(*ms)?)?;
    }
    (total <= MAX_MS).then(|| Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_prometheus_reads_and_nothing_else() {
        let ms = |t| parse_duration(t).map(|d| d.as_millis());
        assert_eq!(ms("1h30m"), Some(5_400_000));
        assert_eq!(ms("1m500ms"), Some(60_500));
        assert_eq!(ms("1y2w3d"), Some((365 + 14 + 3) * 86_400_000));
        assert_eq!(ms("0"), Some(0));
        for bad in [
            "",
            "5",
            "m",
            "5x",
            "1m1h",
            "1s1s",
            "1.5h",
            "-1m",
            "300y",
            "99999999999999999999s",
        ] {
            assert_eq!(ms(bad), None, "{bad}");
        }
    }
}
