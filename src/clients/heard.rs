//! What a source's answers say beside their bodies: when to ask again, and what time it is there.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use parking_lot::Mutex;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, HeaderValue};

use crate::http_client::retry_after;

/// No time was told.
const UNTOLD: i64 = i64::MIN;
/// A longer pause is asked for by mistake.
const LONGEST_PAUSE_MS: u64 = 24 * 3_600_000;

/// Answers that say nothing of it do not take a warning back, since they are to other questions; it ends
/// when none repeats it for so long.
const WARNING_MS: i64 = 10_000;

/// The last that was heard of a source.
#[derive(Debug)]
pub struct Heard {
    retry_ms: AtomicU64,
    ahead_ms: AtomicI64,
    /// What the source itself called wrong with an answer, and when.
    warning: Mutex<Option<(String, i64)>>,
}

impl Default for Heard {
    fn default() -> Heard {
        Heard {
            retry_ms: AtomicU64::new(0),
            ahead_ms: AtomicI64::new(UNTOLD),
            warning: Mutex::default(),
        }
    }
}

impl Heard {
    /// How long its last answer, a 429 or 503, asked to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let ms = self.retry_ms.load(Ordering::Relaxed);
        (ms > 0).then(|| Duration::from_millis(ms))
    }

    /// How far its clock is ahead of this machine's, in milliseconds; within a second it cannot be
    /// told and is 0.
    #[must_use]
    pub fn ahead_ms(&self) -> Option<i64> {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        (ahead != UNTOLD).then_some(ahead)
    }

    /// What the source called wrong with one of its latest answers.
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

    /// Notes that the source called something wrong with an answer.
    pub(super) fn warn(&self, text: String) {
        *self.warning.lock() = Some((text, now_ms()));
    }

    /// Notes an answer's head; it was asked for at `asked` and came at `came` (Unix milliseconds).
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

/// A date is whole seconds and was written between asking and answer.
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
    fn a_warning_lasts_until_nobody_repeats_it() {
        let heard = Heard::default();
        assert_eq!(heard.warning(), None);
        heard.warn("partial".into());
        assert_eq!(heard.warning().as_deref(), Some("partial"));
        assert_eq!(heard.warning_at(now_ms() + WARNING_MS + 1), None);
    }

    #[test]
    fn a_clock_is_wrong_only_by_what_the_seconds_of_a_date_cannot_explain() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let date = 784_111_777_000;
        let ahead = |asked, came| {
            let heard = Heard::default();
            let head = headers(&[("date", "Sun, 06 Nov 1994 08:49:37 GMT")]);
            heard.note(StatusCode::OK, &head, asked, came);
            heard.ahead_ms()
        };
        assert_eq!(ahead(date + 900, date + 990), Some(0));
        assert_eq!(ahead(date - 500, date + 10), Some(0));
        assert_eq!(ahead(date - 9_000, date - 8_000), Some(8_000));
        assert_eq!(ahead(date + 8_999, date + 9_100), Some(-8_000));
        let heard = Heard::default();
        heard.note(StatusCode::OK, &headers(&[("date", "soon")]), 0, 0);
        assert_eq!(heard.ahead_ms(), None);
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date_and_only_by_who_is_busy() {
        let now = 784_111_777_000;
        let asked = |status, value: &str| {
            let heard = Heard::default();
            heard.note(status, &headers(&[("retry-after", value)]), now, now);
            heard.retry_after().map(|pause| pause.as_secs())
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
        let heard = Heard::default();
        let busy = headers(&[("retry-after", "7")]);
        heard.note(StatusCode::TOO_MANY_REQUESTS, &busy, 0, 0);
        assert!(heard.retry_after().is_some());
        heard.note(StatusCode::OK, &HeaderMap::new(), 0, 0);
        assert_eq!(heard.retry_after(), None);
    }
}
