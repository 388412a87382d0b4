//! Values of scenario files that are written as text: durations and ranges of durations.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration as scenarios write it: a number and a unit, `15s`, `250ms`, `1us`, `1.5s`, `10m`, `2h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

const UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
];
/// No scenario needs a longer one, and sums of bounded durations cannot overflow.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
const EXPECTED: &str = "a duration such as 15s, 250ms or 1us";

impl Time {
    /// So many milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Time {
        Time(Duration::from_millis(millis))
    }

    /// So many seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Time {
        Time(Duration::from_secs(secs))
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Time, String> {
        let wrong = || format!("`{text}` is not {EXPECTED}");
        let text_trimmed = text.trim();
        let split = text_trimmed
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(text_trimmed.len());
        let (number, unit) = text_trimmed.split_at(split);
        let number = number.parse::<f64>().map_err(|_| wrong())?;
        let unit = unit.trim();
        if unit.is_empty() && number > 0.0 {
            return Err(format!("`{text}` has no unit: write {EXPECTED}"));
        }
        let nanos = match UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, nanos)) => *nanos,
            None if unit.is_empty() => 1,
            None => return Err(wrong()),
        };
        let duration = Duration::try_from_secs_f64(number * nanos as f64 / 1e9)
            .map_err(|_| format!("`{text}` is longer than 24h"))?;
        if duration > LONGEST {
            return Err(format!("`{text}` is longer than 24h"));
        }
        Ok(Time(duration))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let (name, unit) = UNITS
            .iter()
            .take(5)
            .find(|(_, unit)| nanos >= u128::from(*unit))
            .map_or(("s", 1_000_000_000), |(name, unit)| (*name, *unit));
        let text = format!("{}{name}", nanos as f64 / unit as f64);
        f.pad(&text)
    }
}

/// A span of durations from which one is drawn evenly: `200ms..800ms`, or one duration for both ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Between {
    /// The shortest.
    pub least: Time,
    /// The longest.
    pub most: Time,
}

impl FromStr for Between {
    type Err = String;

    fn from_str(text: &str) -> Result<Between, String> {
        let (least, most) = match text.split_once("..") {
            Some((least, most)) => (least.parse::<Time>()?, most.parse::<Time>()?),
            None => {
                let both = text.parse::<Time>()?;
                (both, both)
            }
        };
        if least > most {
            return Err(format!(
                "`{text}` ends before it begins: write the shorter one first"
            ));
        }
        Ok(Between { least, most })
    }
}

impl fmt::Display for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most {
            self.least.fmt(f)
        } else {
            write!(f, "{}..{}", self.least, self.most)
        }
    }
}

/// Reads a text value, and says what was expected when it is something else.
struct TextVisitor<T>(&'static str, std::marker::PhantomData<T>);

impl<T: FromStr<Err = String>> de::Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }
}

macro_rules! as_text {
    ($name:ident, $expected:expr) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                deserializer.deserialize_str(TextVisitor($expected, std::marker::PhantomData))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

as_text!(Time, EXPECTED);
as_text!(
    Between,
    "a duration or a range of them, such as 200ms..800ms"
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_are_read_as_they_are_written() {
        for (text, nanos) in [
            ("15s", 15_000_000_000_u64),
            ("250ms", 250_000_000),
            ("1us", 1_000),
            ("1µs", 1_000),
            ("1.5s", 1_500_000_000),
            ("10m", 600_000_000_000),
            ("0", 0),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Time(Duration::from_nanos(nanos))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused_and_told_what_to_write() {
        let error = "15".parse::<Time>().unwrap_err();
        assert_eq!(
            error,
            "`15` has no unit: write a duration such as 15s, 250ms or 1us"
        );
        for text in [
            "",
            "s",
            "-1s",
            "1e9s",
            "1 fortnight",
            "99999h",
            "..",
            "1s..",
            "nans",
        ] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_backwards_is_refused() {
        assert!(
            "2s..1s"
                .parse::<Between>()
                .unwrap_err()
                .contains("ends before it begins")
        );
        assert_eq!(
            "200ms..1s".parse::<Between>().unwrap().to_string(),
            "200ms..1s"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(micros in 0_u64..80_000_000_000) {
            let time = Time(Duration::from_micros(micros));
            let read = time.to_string().parse::<Time>().unwrap();
            let apart = read.0.abs_diff(time.0);
            prop_assert!(apart <= Duration::from_micros(1), "{time} {read:?}");
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = text.parse::<Between>();
        }
    }
}
