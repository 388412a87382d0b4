//! The metadata of a source's answers: the earliest time of the next request, the source's clock, its warnings.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use parking_lot::Mutex;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, HeaderValue};

use crate::http_client::retry_after;

/// No answer has had a `Date` yet.
const UNKNOWN: i64 = i64::MIN;
/// Longer pauses are treated as mistakes, in milliseconds.
const LONGEST_PAUSE_MS: u64 = 24 * 3_600_000;

/// A warning stays this long after the last answer that repeats it, in milliseconds. An answer without it may belong
/// to another query, so it does not remove the warning.
const WARNING_MS: i64 = 10_000;

/// The metadata of a source's latest answers.
#[derive(Debug)]
pub struct ResponseMeta {
    retry_ms: AtomicU64,
    ahead_ms: AtomicI64,
    /// The source's warning about an answer, and its time in Unix milliseconds.
    warning: Mutex<Option<(String, i64)>>,
}

impl Default for ResponseMeta {
    fn default() -> ResponseMeta {
        ResponseMeta {
            retry_ms: AtomicU64::new(0),
            ahead_ms: AtomicI64::new(UNKNOWN),
            warning: Mutex::default(),
        }
    }
}

impl ResponseMeta {
    /// The pause that its last answer asked for, if it was a 429 or 503.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let ms = self.retry_ms.load(Ordering::Relaxed);
        (ms > 0).then(|| Duration::from_millis(ms))
    }

    /// The time by which the source's clock is ahead of this machine's, in milliseconds. A difference below a second
    /// counts as 0, because `Date` has whole seconds.
    #[must_use]
    pub fn ahead_ms(&self) -> Option<i64> {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        (ahead != UNKNOWN).then_some(ahead)
    }

    /// The source's warning about one of its latest answers.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        self.warning_at(now_ms())
    }

    fn warning_at(&self, now: i64) -> Option<String> {
        let warning = self.warning.lock();
        let warning = warning.as_ref();
        let lasts = warning.filter(|(_, at)| now.saturating_sub(*at) <= WARNING_MS);
        lasts.map(|(text, _)| text.clone())
    }

    /// Records the source's warning about an answer.
    pub(super) fn warn(&self, text: String) {
        *self.warning.lock() = Some((text, now_ms()));
    }

    /// Records the head of an answer. The request was sent at `asked`, the answer came at `came` (Unix milliseconds).
    pub(super) fn note(&self, status: StatusCode, headers: &HeaderMap, asked: i64, came: i64) {
        let busy = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        let retry = if busy { pause_ms(headers, came) } else { 0 };
        self.retry_ms.store(retry, Ordering::Relaxed);
        if let Some(date) = headers.get(DATE).and_then(date_ms) {
            let ahead = ahead_ms(date, asked, came);
            self.ahead_ms.store(ahead, Ordering::Relaxed);
        }
    }
}

/// Unix milliseconds.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

fn pause_ms(headers: &HeaderMap, now: i64) -> u64 {
    let now = Timestamp::from_millisecond(now).unwrap_or_default();
    let pause = retry_after(headers, now).unwrap_or_default();
    u64::try_from(pause.as_millis()).map_or(LONGEST_PAUSE_MS, |ms| ms.min(LONGEST_PAUSE_MS))
}

fn date_ms(value: &HeaderValue) -> Option<i64> {
    let zoned = jiff::fmt::rfc2822::parse(value.to_str().ok()?).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

/// A `Date` has whole seconds and lies between request and answer.
fn ahead_ms(date: i64, asked: i64, came: i64) -> i64 {
    if date > came {
        date - came
    } else if date + 999 < asked {
        date + 999 - asked
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name = reqwest::header::HeaderName::from_static(name);
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    #[test]
    fn a_warning_ends_when_it_is_not_repeated() {
        let meta = ResponseMeta::default();
        assert_eq!(meta.warning(), None);
        meta.warn("partial".into());
        assert_eq!(meta.warning().as_deref(), Some("partial"));
        assert_eq!(meta.warning_at(now_ms() + WARNING_MS + 1), None);
    }

    #[test]
    fn a_clock_is_wrong_only_by_what_the_seconds_of_a_date_cannot_explain() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let date = 784_111_777_000;
        let ahead = |asked, came| {
            let meta = ResponseMeta::default();
            let head = headers(&[("date", "Sun, 06 Nov 1994 08:49:37 GMT")]);
            meta.note(StatusCode::OK, &head, asked, came);
            meta.ahead_ms()
        };
        assert_eq!(ahead(date + 900, date + 990), Some(0));
        assert_eq!(ahead(date - 500, date + 10), Some(0));
        assert_eq!(ahead(date - 9_000, date - 8_000), Some(8_000));
        assert_eq!(ahead(date + 8_999, date + 9_100), Some(-8_000));
        let meta = ResponseMeta::default();
        meta.note(StatusCode::OK, &headers(&[("date", "soon")]), 0, 0);
        assert_eq!(meta.ahead_ms(), None);
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date_and_only_by_who_is_busy() {
        let now = 784_111_777_000;
        let asked = |status, value: &str| {
            let meta = ResponseMeta::default();
            meta.note(status, &headers(&[("retry-after", value)]), now, now);
            meta.retry_after().map(|pause| pause.as_secs())
        };
        let busy = StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(asked(busy, "7"), Some(7));
        assert_eq!(asked(StatusCode::SERVICE_UNAVAILABLE, " 7 "), Some(7));
        assert_eq!(asked(busy, "Sun, 06 Nov 1994 08:50:07 GMT"), Some(30));
        assert_eq!(asked(busy, "99999999999999999999"), None);
        assert_eq!(asked(busy, "9999999999"), Some(86_400));
        assert_eq!(asked(busy, "-1"), None);
        assert_eq!(asked(StatusCode::OK, "7"), None);
    }

    #[test]
    fn the_next_answer_ends_the_pause() {
        let meta = ResponseMeta::default();
        let busy = headers(&[("retry-after", "7")]);
        meta.note(StatusCode::TOO_MANY_REQUESTS, &busy, 0, 0);
        assert!(meta.retry_after().is_some());
        meta.note(StatusCode::OK, &HeaderMap::new(), 0, 0);
        assert_eq!(meta.retry_after(), None);
    }
}
