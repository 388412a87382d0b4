//! Parses the times, limits and steps of a request's parameters.

use super::QueryError;
use super::eval::Direction;
use super::logql::parse_duration;
use crate::embedded::request;

const HOUR_NS: i64 = 3_600_000_000_000;
/// The largest number of steps in a range query.
const MAX_STEPS: i64 = 11_000;

pub(super) type Params = request::ApiParams<QueryError>;

impl Params {
    /// `start` and `end` in nanoseconds. The default end is now. The default start is `since` before the end, where
    /// `since` defaults to `default_since_ns`.
    pub(super) fn bounds(
        &self,
        now_ns: i64,
        default_since_ns: i64,
    ) -> Result<(i64, i64), QueryError> {
        let end_ns = self.time("end")?.unwrap_or(now_ns);
        let since_ns = match self.get("since") {
            None => default_since_ns,
            Some(text) => parse_duration(text).ok_or_else(|| {
                QueryError::refused(format!(
                    "could not parse 'since' parameter: \"{text}\" is not a duration"
                ))
            })?,
        };
        let start_ns = self
            .time("start")?
            .unwrap_or(end_ns.min(now_ns).saturating_sub(since_ns));
        Ok((start_ns, end_ns))
    }

    /// Like [`bounds`](Self::bounds) over the last hour. The start must be before the end.
    pub(super) fn range(&self, now_ns: i64) -> Result<(i64, i64), QueryError> {
        let (start_ns, end_ns) = self.bounds(now_ns, HOUR_NS)?;
        if end_ns <= start_ns {
            return Err(QueryError::refused(
                "end timestamp must not be before or equal to start time",
            ));
        }
        Ok((start_ns, end_ns))
    }

    /// A time. A number of up to ten digits is in seconds, a longer one in nanoseconds, and a decimal number in
    /// seconds. All other texts must be RFC 3339.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, QueryError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        parse_time(text).map(Some).ok_or_else(|| {
            QueryError::refused(format!(
                "could not parse '{name}' parameter: \"{text}\" is neither a Unix time in seconds or \
                 nanoseconds nor an RFC 3339 time"
            ))
        })
    }

    /// `limit`: the number of lines in the result, by default 100, at least 1, at most `max`.
    pub(super) fn limit(&self, max: usize) -> Result<usize, QueryError> {
        let Some(text) = self.get("limit") else {
            return Ok(100.min(max));
        };
        let limit: usize = text.parse().map_err(|_| {
            QueryError::refused(format!(
                "could not parse 'limit' parameter: \"{text}\" is not a number"
            ))
        })?;
        if limit == 0 {
            return Err(QueryError::refused("limit must be a positive value"));
        }
        if limit > max {
            return Err(QueryError::refused(format!(
                "max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > {max})"
            )));
        }
        Ok(limit)
    }

    /// `direction`, by default backward.
    pub(super) fn direction(&self) -> Result<Direction, QueryError> {
        match self
            .get("direction")
            .map(str::to_ascii_lowercase)
            .as_deref()
        {
            None | Some("backward") => Ok(Direction::Backward),
            Some("forward") => Ok(Direction::Forward),
            Some(other) => Err(QueryError::refused(format!(
                "invalid direction \"{other}\""
            ))),
        }
    }

    /// The times at which a range query is evaluated: the multiples of `step` from the last one at or before the
    /// start to the first one at or after the end. `step` is in seconds or a duration. Its default is a 250th of the
    /// range, at least a second.
    pub(super) fn steps(&self, start_ns: i64, end_ns: i64) -> Result<Vec<i64>, QueryError> {
        let step_ns = match self.get("step") {
            None => (((end_ns - start_ns) / 250) / 1_000_000_000).max(1) * 1_000_000_000,
            Some(text) => parse_step(text).ok_or_else(|| {
                QueryError::refused(format!(
                    "could not parse 'step' parameter: \"{text}\" is neither seconds nor a duration"
                ))
            })?,
        };
        if step_ns <= 0 {
            return Err(QueryError::refused(
                "zero or negative query resolution step widths are not accepted. Try a positive integer",
            ));
        }
        // Like in Loki, points are at multiples of the step around the given range.
        let start_ns = start_ns.saturating_sub(start_ns.rem_euclid(step_ns));
        let past = end_ns.rem_euclid(step_ns);
        let end_ns = if past == 0 {
            end_ns
        } else {
            end_ns.saturating_add(step_ns - past)
        };
        if end_ns.saturating_sub(start_ns) / step_ns > MAX_STEPS {
            return Err(QueryError::refused(
                "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter",
            ));
        }
        let steps = std::iter::successors(Some(start_ns), |at| at.checked_add(step_ns));
        Ok(steps.take_while(|at| *at <= end_ns).collect())
    }
}

fn parse_step(text: &str) -> Option<i64> {
    match text.parse::<f64>() {
        Ok(seconds) => seconds_to_ns(seconds),
        Err(_) => parse_duration(text),
    }
}

fn parse_time(text: &str) -> Option<i64> {
    if text.contains('.')
        && let Ok(seconds) = text.parse::<f64>()
    {
        return seconds_to_ns(seconds);
    }
    if let Ok(number) = text.parse::<i64>() {
        return if text.len() <= 10 {
            number.checked_mul(1_000_000_000)
        } else {
            Some(number)
        };
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

fn seconds_to_ns(seconds: f64) -> Option<i64> {
    let ns = seconds * 1e9;
    // Dates further away would make later sums overflow.
    (ns.abs() < 9e18).then_some(ns.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_all_three_spellings() {
        let ns = 1_568_404_331_324_000_000;
        assert_eq!(parse_time("1568404331"), Some(1_568_404_331_000_000_000));
        assert_eq!(parse_time("1568404331324000000"), Some(ns));
        assert_eq!(parse_time("2019-09-13T19:52:11.324Z"), Some(ns));
        assert_eq!(parse_time("2019-09-13T21:52:11.324+02:00"), Some(ns));
        // A float has a precision of only some hundred nanoseconds here.
        assert!((parse_time("1568404331.324").unwrap() - ns).abs() < 1000);
        for bad in ["", "soon", "1e300.0", "99999999999999999999"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let extreme = Params::of_query(&format!("start={}&end={}", i64::MIN, i64::MAX));
        let (start, end) = extreme.range(0).unwrap();
        assert_eq!((start, end), (i64::MIN, i64::MAX));
    }
}
