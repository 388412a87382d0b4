//! Percentiles by name: `p50`, `p99.9`.

use std::fmt;
use std::str::FromStr;

/// A percentile between 0 and 100 (both exclusive), to a thousandth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentile {
    /// Thousandths of a percent.
    thousandths: u32,
}

impl Percentile {
    /// The share of values up to the percentile, 0 to 1.
    #[must_use]
    pub fn quantile(self) -> f64 {
        f64::from(self.thousandths) / 100_000.0
    }

    /// Returns whether `name` looks like a percentile: `p` and a digit.
    #[must_use]
    pub fn is_meant(name: &str) -> bool {
        let digits = name.strip_prefix('p');
        digits.is_some_and(|digits| digits.starts_with(|c: char| c.is_ascii_digit()))
    }
}

impl FromStr for Percentile {
    type Err = String;

    fn from_str(name: &str) -> Result<Percentile, String> {
        let read = || {
            let (whole, part) = {
                let number = name.strip_prefix('p')?;
                number.split_once('.').unwrap_or((number, "0"))
            };
            let is_digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
            let fits = (1..=2).contains(&whole.len()) && (1..=3).contains(&part.len());
            if !fits || !is_digits(whole) || !is_digits(part) {
                return None;
            }
            let whole: u32 = whole.parse().ok()?;
            let part: u32 = format!("{part:0<3}").parse().ok()?;
            let thousandths = whole * 1_000 + part;
            (thousandths > 0).then_some(Percentile { thousandths })
        };
        read().ok_or_else(|| {
            format!("`{name}` is not a percentile: write one such as p50, p90 or p99.9, or max")
        })
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.thousandths / 1_000, self.thousandths % 1_000);
        if part == 0 {
            return write!(f, "p{whole}");
        }
        let part = format!("{part:03}");
        write!(f, "p{whole}.{}", part.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_percentile_below_100_has_a_name() {
        for (name, quantile) in [
            ("p50", 0.5),
            ("p90", 0.9),
            ("p99.9", 0.999),
            ("p99.999", 0.99999),
        ] {
            let read: Percentile = name.parse().unwrap();
            assert!((read.quantile() - quantile).abs() < 1e-9, "{name}");
            assert_eq!(read.to_string(), name);
        }
        assert_eq!(
            "p99.900".parse::<Percentile>().unwrap().to_string(),
            "p99.9"
        );
        for wrong in [
            "p0", "p100", "p", "99", "p99.", "p99.9999", "p-1", "p9a", "p1e1",
        ] {
            let error = wrong.parse::<Percentile>().unwrap_err();
            assert!(error.contains("such as p50"), "{error}");
        }
    }
}
