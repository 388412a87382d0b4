//! Times of the API. Responses have RFC 3339 in UTC with milliseconds. Requests may have every notation that
//! Alertmanager 0.25 accepts.
//!
//! Go's clients send an unset time as Go's zero time, in the notation of their library: `0001-01-01T00:00:00Z`, or
//! with a fraction. So it is recognised by its value and not by its text.

use jiff::SignedDuration;
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

/// `None` when the time is null. An empty text is Go's zero time, as in Alertmanager.
pub(super) fn nullable<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| match text.is_empty() {
        true => Ok(zero()),
        false => checked::<D>(&text),
    })
    .transpose()
}

/// `None` when the time is missing, null, empty, or Go's zero time.
pub(super) fn optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(nullable(from)?.filter(|time| *time != zero()))
}

fn checked<'de, D: Deserializer<'de>>(text: &str) -> Result<Timestamp, D::Error> {
    parse(text).ok_or_else(|| D::Error::custom(format!("{text:?} is not an RFC 3339 time")))
}

/// Parses a date, `T` or a blank, and a time. Seconds, a fraction after a point or a comma, and a zone may follow; a
/// time without a zone is UTC. Digits of the fraction after the ninth are dropped.
fn parse(text: &str) -> Option<Timestamp> {
    let mut rest = text;
    let year = number(&mut rest, 4..=4)?;
    let month = number(after(&mut rest, "-")?, 2..=2)?;
    let day = number(after(&mut rest, "-")?, 2..=2)?;
    // After a blank, Alertmanager accepts no zone.
    let is_zoned = after(&mut rest, "T").is_some();
    if !is_zoned {
        after(&mut rest, " ")?;
    }
    let hour = number(&mut rest, 1..=2)?;
    let minute = number(after(&mut rest, ":")?, 2..=2)?;
    let (mut second, mut nanosecond, mut digits) = (0, 0, 0);
    let has_seconds = after(&mut rest, ":").is_some();
    if has_seconds {
        second = number(&mut rest, 2..=2)?;
        let has_fraction = after(&mut rest, ".").is_some() || after(&mut rest, ",").is_some();
        if has_fraction {
            (nanosecond, digits) = fraction(&mut rest)?;
        }
    } else if !is_zoned {
        return None;
    }
    let offset = match rest {
        "" => 0,
        "Z" if is_zoned => 0,
        rest if is_zoned && has_seconds => offset(rest, matches!(digits, 3 | 6))?,
        _ => return None,
    };
    if second > 59 {
        return None;
    }
    let [month, day, hour, minute, second] = [month, day, hour, minute, second].map(i8::try_from);
    let time = DateTime::new(
        i16::try_from(year).ok()?,
        month.ok()?,
        day.ok()?,
        hour.ok()?,
        minute.ok()?,
        second.ok()?,
        nanosecond,
    );
    let utc = TimeZone::UTC.to_timestamp(time.ok()?);
    let utc = utc.and_then(|time| time.checked_sub(SignedDuration::from_secs(offset)));
    // The latest time that this program can store is on 30 December 9999.
    Some(utc.unwrap_or(Timestamp::MAX))
}

/// Skips `prefix`, if `rest` begins with it.
fn after<'r, 't>(rest: &'r mut &'t str, prefix: &str) -> Option<&'r mut &'t str> {
    *rest = rest.strip_prefix(prefix)?;
    Some(rest)
}

/// Takes that many digits.
fn number(rest: &mut &str, width: std::ops::RangeInclusive<usize>) -> Option<i32> {
    let digits = rest.bytes().take(*width.end());
    let count = digits.take_while(u8::is_ascii_digit).count();
    if !width.contains(&count) {
        return None;
    }
    let (digits, after) = rest.split_at(count);
    *rest = after;
    digits.parse().ok()
}

/// Takes the digits of a fraction. Returns nanoseconds and the number of digits.
fn fraction(rest: &mut &str) -> Option<(i32, usize)> {
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, after) = rest.split_at(count);
    *rest = after;
    let nine = digits.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanosecond = nine.fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0'));
    (count > 0).then_some((nanosecond, count))
}

/// The seconds of `+01:00`. Like Go 1.19, this does not limit the hours.
fn offset(text: &str, may_lack_colon: bool) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let hours = number(&mut rest, 2..=2)?;
    if after(&mut rest, ":").is_none() && !may_lack_colon {
        return None;
    }
    let minutes = number(&mut rest, 2..=2)?;
    rest.is_empty()
        .then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

/// Go's zero time.
fn zero() -> Timestamp {
    let zero = TimeZone::UTC.to_timestamp(date(1, 1, 1).at(0, 0, 0, 0));
    zero.unwrap_or(Timestamp::MIN)
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

    /// The decisions are those of Alertmanager 0.25.
    #[test]
    fn times_are_read_in_the_notations_of_alertmanager() {
        let expected: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        for text in [
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05.000Z",
            "2026-01-02T03:04:05,000Z",
            "2026-01-02T04:04:05+01:00",
            "2026-01-02T04:04:05.000+0100",
            "2026-01-02T04:04:05.000000+0100",
            "2026-01-02T03:04:05-00:00",
            "2026-01-03T04:04:05+25:00",
            "2026-01-02T03:04:05",
            "2026-01-02T3:04:05Z",
            "2026-01-02 03:04:05",
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        let minute = "2026-01-02T03:04:00Z".parse().ok();
        assert_eq!(read("2026-01-02T03:04"), minute);
        assert_eq!(read("2026-01-02T03:04Z"), minute);
        let fine = read("2026-01-02T03:04:05.1234567890123Z");
        assert_eq!(fine, "2026-01-02T03:04:05.123456789Z".parse().ok());
        assert_eq!(read("9999-12-31T23:59:59Z"), Some(Timestamp::MAX));
        for text in [
            "yesterday",
            "2026-01-02",
            "1767323045",
            "03:04:05",
            "10000-01-01T00:00:00Z",
            "2026-01-02T03:04:05+0100",
            "2026-01-02T03:04:05+01",
            "2026-01-02T03:04:05.1234567+0100",
            "2026-01-02t03:04:05Z",
            "2026-01-02T03:04:05z",
            "2026-01-02 03:04:05Z",
            "2026-01-02 03:04",
            "2026-01-02T03:04:60Z",
            "2026-01-02T24:00:00Z",
            "2026-01-02T03:04:05+09:00[Asia/Seoul]",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04+01:00",
            "2026-1-2T03:04:05Z",
            "20260102T030405Z",
            "2026-02-30T00:00:00Z",
            "-001-01-01T00:00:00Z",
            " 2026-01-02T03:04:05Z",
        ] {
            let json = serde_json::Value::String(text.to_owned());
            assert!(optional(json).is_err(), "{text}");
        }
    }
}
