//! Deserializes integers as JSON Schema defines them: 216, 216.0 and 2.16e2 are the same integer, in a body, a path and
//! a query.
//!
//! Use these functions with `#[serde(deserialize_with = …)]`. A number with a fraction or an exponent is parsed as a
//! floating-point number, so it is accepted only up to 2^53 − 1, where every integer is exact.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// The largest number up to which a floating-point number holds every integer exactly.
const EXACT: f64 = 9_007_199_254_740_991.0;

/// Reads an integer in any JSON notation.
///
/// # Errors
/// The value is not a whole number, or it does not fit into `T`.
pub fn whole<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<i128>,
    D: Deserializer<'de>,
{
    Ok(Whole::deserialize(deserializer)?.0)
}

/// Reads an integer or null. Also set `#[serde(default)]`, or an absent field is an error.
pub fn optional<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: TryFrom<i128>,
    D: Deserializer<'de>,
{
    let value = Option::<Whole<T>>::deserialize(deserializer)?;
    Ok(value.map(|whole| whole.0))
}

/// Reads a list of integers.
pub fn list<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: TryFrom<i128>,
    D: Deserializer<'de>,
{
    let values = Vec::<Whole<T>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|whole| whole.0).collect())
}

/// Parses the integer in a path or query parameter; `None` if it is not a whole number or does not fit into `T`.
#[must_use]
pub fn from_text<T: TryFrom<i128> + std::str::FromStr>(text: &str) -> Option<T> {
    let number = |text: &str| serde_json::from_str::<Whole<T>>(text).ok();
    let bare = !text.contains(char::is_whitespace);
    text.parse()
        .ok()
        .or_else(|| number(text).filter(|_| bare).map(|whole| whole.0))
}

/// Reads an optional integer in a query string, where every value is text. Also set `#[serde(default)]`, or an absent
/// parameter is an error.
pub fn optional_text<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: TryFrom<i128> + std::str::FromStr,
    D: Deserializer<'de>,
{
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let value = from_text(&text);
    let unfit = || D::Error::custom(format_args!("{text:?} is not an integer that fits"));
    value.map(Some).ok_or_else(unfit)
}

struct Whole<T>(T);

impl<'de, T: TryFrom<i128>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(WholeVisitor(PhantomData))
            .map(Whole)
    }
}

struct WholeVisitor<T>(PhantomData<T>);

impl<T: TryFrom<i128>> WholeVisitor<T> {
    fn fit<E: Error>(&self, value: i128) -> Result<T, E> {
        T::try_from(value)
            .map_err(|_| E::custom(format_args!("the integer {value} is out of range")))
    }
}

impl<T: TryFrom<i128>> Visitor<'_> for WholeVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        self.fit(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        self.fit(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        if value.fract() != 0.0 || value.abs() > EXACT {
            return Err(E::invalid_type(Unexpected::Float(value), &self));
        }
        self.fit(value as i128)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Body {
        #[serde(deserialize_with = "super::whole")]
        id: i64,
        #[serde(default, deserialize_with = "super::optional")]
        batch: Option<u64>,
    }

    fn read(text: &str) -> Result<(i64, Option<u64>), String> {
        let body: Result<Body, _> = serde_json::from_str(text);
        body.map(|body| (body.id, body.batch))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_whole_number_is_an_integer_however_it_is_written() {
        for id in ["216", "216.0", "2.16e2", "21600e-2"] {
            assert_eq!(read(&format!("{{\"id\":{id}}}")), Ok((216, None)), "{id}");
        }
        assert_eq!(read(r#"{"id":-0.0,"batch":null}"#), Ok((0, None)));
        assert_eq!(read(r#"{"id":-2.0,"batch":7.0}"#), Ok((-2, Some(7))));
        let most = format!("{{\"id\":{}}}", i64::MAX);
        assert_eq!(read(&most), Ok((i64::MAX, None)));
    }

    #[test]
    fn a_parameter_accepts_the_same_notations() {
        for text in ["216", "216.0", "2.16e2", "0216"] {
            assert_eq!(super::from_text::<i64>(text), Some(216), "{text}");
        }
        for text in [
            "", " 216.0", "216.5", "0x1", "nan", "inf", "1e300", "-1.0", "216,0",
        ] {
            assert_eq!(super::from_text::<u32>(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_that_are_not_whole_exact_and_in_range_are_refused() {
        for id in [
            "1.5",
            "9007199254740993.0",
            "1e300",
            "9223372036854775808",
            "\"1\"",
            "null",
        ] {
            assert!(read(&format!("{{\"id\":{id}}}")).is_err(), "{id}");
        }
        let error = read(r#"{"id":1,"batch":-1.0}"#).unwrap_err();
        assert!(error.contains("out of range"), "{error}");
    }
}
