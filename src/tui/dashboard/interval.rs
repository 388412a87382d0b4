//! Durations as Grafana and PromQL write them: `30s`, `1m`, `1h30m`.

const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Round intervals, in milliseconds.
const ROUND: [i64; 22] = [
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    20_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_200_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    21_600_000,
    43_200_000,
    86_400_000,
    604_800_000,
    2_592_000_000,
];

/// Parses a duration into milliseconds.
pub(crate) fn milliseconds(duration: &str) -> Option<i64> {
    let mut rest = duration.trim();
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: i64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = rest.get(..letters)?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(count.checked_mul(*factor)?)?;
        rest = rest.get(letters..)?;
    }
    (sum > 0).then_some(sum)
}

/// The duration in the largest unit in which it is a whole number.
pub(crate) fn text(ms: i64) -> String {
    let ms = ms.max(1);
    // A computed duration is shown in days at most: weeks and years are only read.
    let whole = UNITS[2..].iter().find(|(_, factor)| ms % factor == 0);
    whole.map_or_else(
        || format!("{ms}ms"),
        |(name, factor)| format!("{}{name}", ms / factor),
    )
}

/// `ms`, rounded to one of [`ROUND`].
pub(crate) fn round(ms: i64) -> i64 {
    let between = |pair: &&[i64]| ms < (pair[0] + pair[1]) / 2;
    let found = ROUND.windows(2).find(between).map(|pair| pair[0]);
    found.unwrap_or(ROUND[ROUND.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_written_and_rounded() {
        let read = [
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("100ms", 100),
            ("1d", 86_400_000),
        ];
        for (duration, ms) in read {
            assert_eq!(milliseconds(duration), Some(ms), "{duration}");
        }
        for wrong in [
            "",
            "s",
            "1",
            "1x",
            "-1s",
            "99999999999999999999s",
            "9223372036854775807y",
        ] {
            assert_eq!(milliseconds(wrong), None, "{wrong}");
        }
        assert_eq!(
            [1, 90_000, 3_600_000, 300_000].map(text),
            ["1ms", "90s", "1h", "5m"]
        );
        assert_eq!(
            [10_000, 12_400, 12_600, 0, i64::MAX].map(round),
            [10_000, 10_000, 15_000, 1_000, 2_592_000_000]
        );
    }
}
