//! Parses the times and durations of a request's parameters.

use std::time::Duration;

use super::ApiError;
use crate::embedded::prometheus::promql::parse_duration;
use crate::embedded::request;

pub(crate) type Params = request::ApiParams<ApiError>;

impl Params {
    /// The first value of a parameter, or an empty text.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// A time in milliseconds since 1970. `None` if the parameter is missing.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        parse_time(text).map(Some).ok_or_else(|| {
            ApiError::parameter(name, format!("cannot parse {text:?} to a valid timestamp"))
        })
    }

    /// A required time.
    pub(super) fn required_time(&self, name: &str) -> Result<i64, ApiError> {
        self.time(name)?
            .ok_or_else(|| ApiError::parameter(name, "cannot parse \"\" to a valid timestamp"))
    }

    /// A duration in milliseconds, given as a number of seconds or as `5m`.
    pub(super) fn duration(&self, name: &str) -> Result<f64, ApiError> {
        let text = self.text(name);
        parse_step(text).ok_or_else(|| {
            ApiError::parameter(name, format!("cannot parse {text:?} to a valid duration"))
        })
    }

    /// The time-out: the parameter `timeout` if it is given, at most `max`.
    pub(super) fn timeout(&self, max: Duration) -> Result<Duration, ApiError> {
        if self.get("timeout").is_none() {
            return Ok(max);
        }
        let ms = self.duration("timeout")?;
        Ok(Duration::try_from_secs_f64(ms / 1000.0).map_or(Duration::ZERO, |d| d.min(max)))
    }
}

/// Seconds since 1970 with a fraction, or RFC 3339.
fn parse_time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = (seconds * 1000.0).round();
        // Beyond 2^53, milliseconds are no longer exact.
        return (ms.abs() < 9.0e15).then_some(ms as i64);
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.as_millisecond())
}

fn parse_step(text: &str) -> Option<f64> {
    if let Ok(seconds) = text.parse::<f64>() {
        // The limit is 63 bits of nanoseconds.
        return (seconds.abs() < 9.2e9).then_some(seconds * 1000.0);
    }
    parse_duration(text).map(|d| d.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        assert_eq!(parse_time("1.5"), Some(1500));
        assert_eq!(parse_time("1700000000.001"), Some(1_700_000_000_001));
        assert_eq!(parse_time("1970-01-01T00:00:02.25Z"), Some(2250));
        for bad in ["", "x", "NaN", "inf", "1e300", "1970-01-01"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn steps_are_seconds_or_durations() {
        assert_eq!(parse_step("15"), Some(15_000.0));
        assert_eq!(parse_step("1m30s"), Some(90_000.0));
        for bad in ["", "x", "NaN", "inf", "1e300"] {
            assert_eq!(parse_step(bad), None, "{bad}");
        }
    }
}
