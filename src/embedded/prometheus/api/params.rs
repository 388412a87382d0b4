//! Parameters of requests: from the query string, and of a POST also from a form.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{Method, header};

use super::ApiError;
use crate::embedded::prometheus::promql::parse_duration;

/// The parameters of a request in order of appearance; those of a form come first.
pub(super) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let in_url = request.uri().query().unwrap_or_default().to_owned();
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|v| v.starts_with("application/x-www-form-urlencoded"));
        let mut pairs = vec![];
        if request.method() == Method::POST && is_form {
            let body = Bytes::from_request(request, state)
                .await
                .map_err(|e| ApiError::bad_data(format!("error parsing form values: {e}")))?;
            decode_pairs(&body, &mut pairs)?;
        }
        decode_pairs(in_url.as_bytes(), &mut pairs)?;
        Ok(Self(pairs))
    }
}

impl Params {
    /// The first value of a parameter, empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// All values of a parameter.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// A time in milliseconds since 1970, `None` if the parameter is missing.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            text => parse_time(text).map(Some).ok_or_else(|| {
                ApiError::parameter(name, format!("cannot parse {text:?} to a valid timestamp"))
            }),
        }
    }

    /// A time that must be there.
    pub(super) fn required_time(&self, name: &str) -> Result<i64, ApiError> {
        self.time(name)?
            .ok_or_else(|| ApiError::parameter(name, "cannot parse \"\" to a valid timestamp"))
    }

    /// A duration in milliseconds: a number of seconds or `5m`.
    pub(super) fn duration(&self, name: &str) -> Result<f64, ApiError> {
        let text = self.get(name);
        parse_step(text).ok_or_else(|| {
            ApiError::parameter(name, format!("cannot parse {text:?} to a valid duration"))
        })
    }

    /// The time allowed: the parameter `timeout` if there is one, at most `max`.
    pub(super) fn timeout(&self, max: Duration) -> Result<Duration, ApiError> {
        if self.get("timeout").is_empty() {
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
        // 2^53: beyond, milliseconds are no longer exact.
        return (ms.abs() < 9.0e15).then_some(ms as i64);
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.as_millisecond())
}

fn parse_step(text: &str) -> Option<f64> {
    if let Ok(seconds) = text.parse::<f64>() {
        // What fits into 63 bits of nanoseconds.
        return (seconds.abs() < 9.2e9).then_some(seconds * 1000.0);
    }
    parse_duration(text).map(|d| d.as_secs_f64() * 1000.0)
}

/// `application/x-www-form-urlencoded`: `a=1&b=%7B+%7D`.
fn decode_pairs(text: &[u8], into: &mut Vec<(String, String)>) -> Result<(), ApiError> {
    for pair in text.split(|b| *b == b'&').filter(|p| !p.is_empty()) {
        let (name, value) = match pair.iter().position(|b| *b == b'=') {
            Some(i) => (&pair[..i], &pair[i + 1..]),
            None => (pair, &[][..]),
        };
        into.push((decode(name)?, decode(value)?));
    }
    Ok(())
}

fn decode(text: &[u8]) -> Result<String, ApiError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let code = rest.get(..2).and_then(|hex| {
                    let hex = std::str::from_utf8(hex).ok()?;
                    u8::from_str_radix(hex, 16).ok()
                });
                let code = code.ok_or_else(|| {
                    ApiError::bad_data(
                        "error parsing form values: '%' without two hexadecimal digits".to_owned(),
                    )
                })?;
                out.push(code);
                rest = &rest[2..];
            }
            other => out.push(other),
        }
    }
    match String::from_utf8_lossy(&out) {
        Cow::Borrowed(_) => Ok(String::from_utf8(out).unwrap_or_default()),
        Cow::Owned(_) => Err(ApiError::bad_data(
            "error parsing form values: not UTF-8".to_owned(),
        )),
    }
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

    #[test]
    fn forms_are_decoded() {
        let mut pairs = vec![];
        decode_pairs(b"query=a%7Bb%3D%22c%22%7D+%2B+1&x&=y", &mut pairs).unwrap();
        let expected = [("query", "a{b=\"c\"} + 1"), ("x", ""), ("", "y")];
        assert_eq!(pairs, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert!(decode_pairs(b"a=%f", &mut pairs).is_err());
        assert!(decode_pairs(b"a=%ff", &mut pairs).is_err());
    }
}
