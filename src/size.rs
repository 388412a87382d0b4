//! Sizes in bytes as text, in one format for flags and files.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, written as `100MB`, `64KiB` or `1000000`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// The notation, for messages.
pub const EXPECTED: &str = "a size such as 100MB, 64MiB or 0";

/// The units, the larger first. A size is shown in the first that divides it.
const UNITS: [(&str, u64); 6] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let wrong = || format!("{text:?} is not {EXPECTED}");
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" => 1_000,
            "m" => 1_000_000,
            "g" => 1_000_000_000,
            named => {
                let known = UNITS
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(named));
                known.ok_or_else(wrong)?.1
            }
        };
        let count: u64 = digits.trim().parse().map_err(|_| wrong())?;
        count.checked_mul(unit).map(Size).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, unit): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*unit);
        match UNITS.iter().find(whole) {
            Some((name, unit)) => f.pad(&format!("{}{name}", self.0 / unit)),
            None => f.pad(&self.0.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit_and_written_so_that_they_are_read_again() {
        for (text, bytes, written) in [
            ("100MB", 100_000_000, "100MB"),
            ("64KiB", 65_536, "64KiB"),
            ("0", 0, "0"),
            ("2g", 2_000_000_000, "2GB"),
            ("1500 kb", 1_500_000, "1500kB"),
            ("1024MiB", 1 << 30, "1GiB"),
            ("17", 17, "17"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, written));
            assert_eq!(size.to_string().parse(), Ok(size));
        }
        for wrong in ["", "MB", "-1", "1.5MB", "10 parsecs", "99999999999GB", "é"] {
            let error = wrong.parse::<Size>().unwrap_err();
            assert_eq!(error, format!("{wrong:?} is not {EXPECTED}"));
        }
    }
}
