//! Times of the API: RFC 3339 in UTC with milliseconds.
//!
//! Go's clients send an unset time as Go's zero time, in the notation of their library: `0001-01-01T00:00:00Z`, or
//! with a fraction. So it is recognised by its value and not by its text.

use jiff::Timestamp;
use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(time: &Timestamp, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(&text(*time))
}

pub(crate) fn text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    checked::<D>(&String::deserialize(from)?)
}

/// `None` when the time is missing, null, empty, or Go's zero time.
pub(super) fn optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(from)?.filter(|text| !text.is_empty());
    let time = text.map(|text| checked::<D>(&text)).transpose()?;
    Ok(time.filter(|time| !is_zero(*time)))
}

fn checked<'de, D: Deserializer<'de>>(text: &str) -> Result<Timestamp, D::Error> {
    parse(text).ok_or_else(|| D::Error::custom(format!("{text:?} is not an RFC 3339 time")))
}

/// Like Alertmanager, this reads a time without a zone as UTC.
fn parse(text: &str) -> Option<Timestamp> {
    let without_zone = || {
        let time: DateTime = text.contains(':').then(|| text.parse().ok())??;
        let zoned = time.to_zoned(TimeZone::UTC).ok()?;
        Some(zoned.timestamp())
    };
    text.parse().ok().or_else(without_zone)
}

fn is_zero(time: Timestamp) -> bool {
    let zero = date(1, 1, 1).at(0, 0, 0, 0).to_zoned(TimeZone::UTC);
    zero.is_ok_and(|zero| zero.timestamp() == time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Timestamp> {
        let json = serde_json::Value::String(text.to_owned());
        optional(json).unwrap()
    }

    #[test]
    fn a_time_that_is_not_set_is_known_by_its_value() {
        for text in [
            "",
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00.000Z",
            "0001-01-01T00:00:00.000000000Z",
            "0001-01-01T00:00:00+00:00",
            "0001-01-01T01:00:00+01:00",
            "0001-01-01T00:00:00",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(optional(serde_json::Value::Null).unwrap(), None);
        assert!(read("0001-01-01T00:00:00.001Z").is_some());
    }

    #[test]
    fn times_are_read_with_or_without_a_fraction_and_a_zone() {
        let expected: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        for text in [
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05.000Z",
            "2026-01-02T04:04:05+01:00",
            "2026-01-02T03:04:05",
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for text in ["yesterday", "2026-01-02", "1767323045", "03:04:05"] {
            let json = serde_json::Value::String(text.to_owned());
            assert!(optional(json).is_err(), "{text}");
        }
    }
}
