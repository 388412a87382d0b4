//! The parameters of Tempo's API.

use super::search::{Search, What};
use super::traceql::{self, Expr};
use super::{QueryLimits, TempoError, tags};
use crate::embedded::loki::parse_duration;
use crate::embedded::request;

/// The default number of traces in a response.
const TRACES: usize = 20;
/// The default number of spans of a trace in a response.
const SPANS: usize = 3;

/// The parameters of a search.
const SEARCH: [&str; 8] = [
    "q",
    "tags",
    "minDuration",
    "maxDuration",
    "limit",
    "start",
    "end",
    "spss",
];

pub(super) type Params = request::ApiParams<TempoError>;

/// The bounds of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) traces: usize,
    pub(super) spans: usize,
}

impl Params {
    /// Refuses unknown parameters that would change the result if they were ignored.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), TempoError> {
        match self.names().find(|name| !known.contains(name)) {
            None => Ok(()),
            Some(name) => Err(TempoError::refused(format!(
                "the parameter '{name}' is not supported"
            ))),
        }
    }

    /// A search, and the bounds of its response.
    pub(super) fn search(&self, limits: &QueryLimits) -> Result<(Search, Bounds), TempoError> {
        self.only(&SEARCH)?;
        let what = match (self.get("q"), self.get("tags")) {
            (Some(_), Some(_)) => {
                return Err(TempoError::refused("give either q or tags, not both"));
            }
            (Some(query), None) => What::Query(expr(query, limits)?),
            (None, tags) => What::Tags(tags::parse(short(tags.unwrap_or_default(), limits)?)?),
        };
        let (from_ns, to_ns) = self.window()?;
        let of_query = match &what {
            What::Query(expr) => expr.shortest_ns(),
            What::Tags(_) => 0,
        };
        let shortest_ns = self.duration("minDuration")?.unwrap_or(0);
        let longest_ns = self.duration("maxDuration")?.unwrap_or(u64::MAX);
        if shortest_ns > longest_ns {
            return Err(TempoError::refused(
                "invalid maxDuration: must be greater than minDuration",
            ));
        }
        let search = Search {
            what,
            from_ns,
            to_ns,
            shortest_ns: shortest_ns.max(of_query),
            longest_ns,
        };
        let bounds = Bounds {
            traces: self.count("limit", TRACES, limits.max_traces)?,
            spans: self.count("spss", SPANS, limits.max_spans_per_set)?,
        };
        Ok((search, bounds))
    }

    /// `start` and `end` in nanoseconds, from Unix seconds. The last second is included. If one is missing, that side
    /// is open.
    pub(super) fn window(&self) -> Result<(u64, u64), TempoError> {
        const SECOND: u64 = 1_000_000_000;
        let seconds = |name: &str| -> Result<Option<u64>, TempoError> {
            let Some(text) = self.get(name) else {
                return Ok(None);
            };
            let wrong = || {
                TempoError::refused(format!(
                    "invalid {name}: {text:?} is not a Unix time in seconds"
                ))
            };
            text.parse().map(Some).map_err(|_| wrong())
        };
        let (start, end) = (seconds("start")?, seconds("end")?);
        if let (Some(start), Some(end)) = (start, end)
            && start > end
        {
            return Err(TempoError::refused(format!(
                "http parameter start must be before end. received start={start} end={end}"
            )));
        }
        let from_ns = start.unwrap_or(0).saturating_mul(SECOND);
        let to_ns = end.map_or(u64::MAX, |end| {
            end.saturating_add(1)
                .saturating_mul(SECOND)
                .saturating_sub(1)
        });
        Ok((from_ns, to_ns))
    }

    fn duration(&self, name: &str) -> Result<Option<u64>, TempoError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        parse_duration(text)
            .and_then(|ns| u64::try_from(ns).ok())
            .map(Some)
            .ok_or_else(|| {
                TempoError::refused(format!("invalid {name}: {text:?} is not a duration"))
            })
    }

    /// The largest number of values in a list.
    pub(super) fn values(&self, limits: &QueryLimits) -> Result<usize, TempoError> {
        self.count("limit", limits.max_values, limits.max_values)
    }

    fn count(&self, name: &str, default: usize, max: usize) -> Result<usize, TempoError> {
        let Some(text) = self.get(name) else {
            return Ok(default.min(max));
        };
        match text.parse::<usize>() {
            Ok(count) if count > max => Err(TempoError::refused(format!(
                "invalid {name}: {count} exceeds the maximum of {max}"
            ))),
            Ok(count) if count > 0 => Ok(count),
            _ => Err(TempoError::refused(format!(
                "invalid {name}: must be a positive number"
            ))),
        }
    }
}

/// A query in TraceQL.
pub(super) fn expr(query: &str, limits: &QueryLimits) -> Result<Expr, TempoError> {
    traceql::parse(short(query, limits)?)
}

pub(super) fn short<'a>(text: &'a str, limits: &QueryLimits) -> Result<&'a str, TempoError> {
    let max = limits.max_query_length;
    if text.len() > max {
        return Err(TempoError::refused(format!(
            "the query is too long ({} > {max} bytes)",
            text.len()
        )));
    }
    Ok(text)
}

/// A trace id: up to 32 hexadecimal digits, padded on the left.
pub(super) fn trace_id(text: &str) -> Result<u128, TempoError> {
    let odd = text
        .chars()
        .enumerate()
        .find(|(_, c)| !c.is_ascii_hexdigit());
    if let Some((at, c)) = odd {
        return Err(TempoError::refused(format!(
            "trace IDs can only contain hex characters: invalid character {c:?} at position {}",
            at + 1
        )));
    }
    if text.len() > 32 {
        return Err(TempoError::refused(
            "trace IDs can't be larger than 128 bits",
        ));
    }
    u128::from_str_radix(text, 16).map_err(|_| TempoError::refused("please provide a trace ID"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_padded_on_the_left_and_anything_else_is_named() {
        assert_eq!(trace_id("1"), Ok(1));
        assert_eq!(trace_id("00FF"), Ok(255));
        assert_eq!(trace_id(&"f".repeat(32)), Ok(u128::MAX));
        for (wrong, why) in [
            ("12x", "'x' at position 3"),
            ("+1", "'+' at position 1"),
            ("é", "hex characters"),
            ("", "provide a trace ID"),
            (&"0".repeat(33), "128 bits"),
        ] {
            let error = trace_id(wrong).unwrap_err().to_string();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn windows_take_in_the_last_second_and_extreme_times_do_not_overflow() {
        let read = |query: &str| Params::of_query(query).window();
        assert_eq!(read("start=2&end=3"), Ok((2_000_000_000, 3_999_999_999)));
        assert_eq!(read(""), Ok((0, u64::MAX)));
        let max = u64::MAX;
        assert_eq!(read(&format!("start={max}&end={max}")), Ok((max, max - 1)));
        assert!(read("start=3&end=2").is_err());
        assert!(read("start=soon").is_err());
        assert!(read("end=-1").is_err());
    }
}
