//! Values of scenario files that are written as text: durations, distributions of durations, sizes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::SmallRng;
use rand_distr::{Distribution as _, Exp1, StandardNormal};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::duration;
use crate::size::{self, Size};

/// A duration in the notation of scenarios: numbers with units, the larger first: `15s`, `250ms`, `1us`, `1.5s`,
/// `1m30s`, `2h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

/// Units below a minute, in nanoseconds.
const UNITS: [(&str, u64); 3] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];
/// The longest duration. The bound also keeps sums of durations from overflowing.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
const EXPECTED: &str = "a duration such as 15s, 1m30s, 250ms or 1us";

impl Time {
    /// A duration in milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Time {
        Time(Duration::from_millis(millis))
    }

    /// A duration in seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Time {
        Time(Duration::from_secs(secs))
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Time, String> {
        let trimmed = text.trim();
        match duration::parse(trimmed) {
            Some(length) if length > LONGEST => Err(format!("`{text}` is longer than 24h")),
            Some(length) => Ok(Time(length)),
            None if trimmed.parse() == Ok(0_u64) => Ok(Time::default()),
            None if trimmed.ends_with(|c: char| c.is_ascii_digit()) => {
                Err(format!("`{text}` has no unit: write {EXPECTED}"))
            }
            None => Err(format!("`{text}` is not {EXPECTED}")),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.0.as_secs() / 60;
        if minutes == 0 {
            return f.pad(&short(self.0));
        }
        let rest = self.0 - Duration::from_secs(minutes * 60);
        let parts = [(minutes / 60, "h"), (minutes % 60, "m")];
        let mut text: String = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, unit)| format!("{count}{unit}"))
            .collect();
        if !rest.is_zero() {
            text.push_str(&short(rest));
        }
        f.pad(&text)
    }
}

/// Writes a duration below a minute in its largest unit.
fn short(time: Duration) -> String {
    let nanos = time.as_nanos();
    let (name, unit) = UNITS
        .iter()
        .find(|(_, unit)| nanos >= u128::from(*unit))
        .map_or(("s", 1_000_000_000), |(name, unit)| (*name, *unit));
    format!("{}{name}", nanos as f64 / unit as f64)
}

/// A pause, as a distribution: one duration, a range (`200ms..800ms`, drawn evenly), or `exp 500ms`, `normal 500ms
/// 100ms`, `lognormal 500ms 0.5`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pause {
    /// Drawn evenly from a range.
    Even {
        /// The shortest.
        least: Time,
        /// The longest.
        most: Time,
    },
    /// Exponential, as between the events of a Poisson process.
    Exponential {
        /// The mean.
        mean: Time,
    },
    /// Normal; a negative value becomes 0.
    Normal {
        /// The mean.
        mean: Time,
        /// The standard deviation.
        deviation: Time,
    },
    /// Log-normal, like human reaction times.
    LogNormal {
        /// The median.
        median: Time,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
}

impl Default for Pause {
    fn default() -> Pause {
        Pause::Even {
            least: Time::default(),
            most: Time::default(),
        }
    }
}

const PAUSE: &str = "a duration, a range such as 200ms..800ms, or exp MEAN, normal MEAN DEVIATION, lognormal MEDIAN SIGMA";

impl Pause {
    /// Draws a pause, at most a day.
    pub(in crate::load) fn draw(&self, rng: &mut SmallRng) -> Duration {
        let seconds = match *self {
            Pause::Even { least, most } if least == most => return least.0,
            Pause::Even { least, most } => return rng.random_range(least.0..=most.0),
            Pause::Exponential { mean } => {
                let unit: f64 = Exp1.sample(rng);
                unit * mean.0.as_secs_f64()
            }
            Pause::Normal { mean, deviation } => {
                let unit: f64 = StandardNormal.sample(rng);
                mean.0.as_secs_f64() + unit * deviation.0.as_secs_f64()
            }
            Pause::LogNormal { median, sigma } => {
                let unit: f64 = StandardNormal.sample(rng);
                median.0.as_secs_f64() * (unit * sigma).exp()
            }
        };
        Duration::try_from_secs_f64(seconds.max(0.0)).map_or(LONGEST, |pause| pause.min(LONGEST))
    }

    /// About 99 of 100 drawn pauses are shorter.
    pub(in crate::load) fn nearly_longest(&self) -> Duration {
        let factor = |time: Time, factor: f64| time.0.mul_f64(factor);
        match *self {
            Pause::Even { most, .. } => most.0,
            Pause::Exponential { mean } => factor(mean, 4.6),
            Pause::Normal { mean, deviation } => mean.0 + factor(deviation, 2.33),
            Pause::LogNormal { median, sigma } => factor(median, (2.33 * sigma).exp().min(1e3)),
        }
    }
}

impl FromStr for Pause {
    type Err = String;

    fn from_str(text: &str) -> Result<Pause, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            ["exp", mean] => Ok(Pause::Exponential {
                mean: mean.parse()?,
            }),
            ["normal", mean, deviation] => Ok(Pause::Normal {
                mean: mean.parse()?,
                deviation: deviation.parse()?,
            }),
            ["lognormal", median, sigma] => Ok(Pause::LogNormal {
                median: median.parse()?,
                sigma: sigma
                    .parse()
                    .ok()
                    .filter(|sigma: &f64| (0.0..=5.0).contains(sigma))
                    .ok_or_else(|| format!("`{sigma}` is not a number from 0 to 5"))?,
            }),
            ["exp" | "normal" | "lognormal", ..] => Err(format!("`{text}` is not {PAUSE}")),
            _ => even(text),
        }
    }
}

fn even(text: &str) -> Result<Pause, String> {
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
    Ok(Pause::Even { least, most })
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pause::Even { least, most } if least == most => least.fmt(f),
            Pause::Even { least, most } => write!(f, "{least}..{most}"),
            Pause::Exponential { mean } => write!(f, "exp {mean}"),
            Pause::Normal { mean, deviation } => write!(f, "normal {mean} {deviation}"),
            Pause::LogNormal { median, sigma } => write!(f, "lognormal {median} {sigma}"),
        }
    }
}

/// Reads a text value. The error names the expected format.
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
as_text!(Pause, PAUSE);
as_text!(Size, size::EXPECTED);

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
            ("1m30s", 90_000_000_000),
            ("1h 2m 3.5s", 3_723_500_000_000),
            ("1s500ms", 1_500_000_000),
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
    fn a_number_without_a_unit_is_refused_with_a_correction() {
        let error = "15".parse::<Time>().unwrap_err();
        assert_eq!(
            error,
            "`15` has no unit: write a duration such as 15s, 1m30s, 250ms or 1us"
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
            "30s1m",
            "1m30",
            "1m1m",
        ] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_written_as_people_write_it() {
        for text in [
            "0s", "1us", "250ms", "1.5s", "15s", "1m30s", "2h", "1h1m", "1h2m3.5s",
        ] {
            assert_eq!(text.parse::<Time>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_range_backwards_is_refused() {
        assert!(
            "2s..1s"
                .parse::<Pause>()
                .unwrap_err()
                .contains("ends before it begins")
        );
        assert_eq!(
            "200ms..1s".parse::<Pause>().unwrap().to_string(),
            "200ms..1s"
        );
    }

    #[test]
    fn a_distribution_draws_what_it_is_called_after() {
        use rand::SeedableRng as _;
        let mean_of = |text: &str| {
            let pause: Pause = text.parse().expect(text);
            assert_eq!(pause.to_string(), text);
            let mut rng = SmallRng::seed_from_u64(5);
            let drawn = (0..20_000).map(|_| pause.draw(&mut rng).as_secs_f64());
            drawn.sum::<f64>() / 20_000.0
        };
        for (text, mean) in [
            ("300ms", 0.3),
            ("200ms..800ms", 0.5),
            ("exp 500ms", 0.5),
            ("normal 500ms 100ms", 0.5),
            // exp(σ²/2) times the median.
            ("lognormal 500ms 0.5", 0.5 * 0.125_f64.exp()),
        ] {
            let drawn = mean_of(text);
            assert!((drawn / mean - 1.0).abs() < 0.03, "{text}: {drawn}");
        }
        for wrong in ["exp", "exp 1", "normal 1s", "lognormal 1s 9", "poisson 1s"] {
            assert!(wrong.parse::<Pause>().is_err(), "{wrong}");
        }
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
            let _ = text.parse::<Pause>();
        }
    }
}
