//! Counts the consoles that observe this server. Each console sends its own value with its requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use parking_lot::Mutex;

use crate::api::ops::CONSOLE_HEADER;

/// A console without requests for this long has ended. Consoles ask every second or two.
const GONE_AFTER: Duration = Duration::from_secs(10);
/// The largest length of a console's value, in bytes.
const LONGEST: usize = 64;
/// The largest number of consoles that are counted, which bounds the memory.
const MOST: usize = 256;

/// The time of the last request of each console.
#[derive(Clone, Debug, Default)]
pub struct Consoles(Arc<Mutex<HashMap<String, Instant>>>);

impl Consoles {
    /// Records the console that sent these headers, and returns the number of consoles.
    pub(super) fn seen(&self, headers: &HeaderMap, now: Instant) -> u64 {
        let who = headers
            .get(CONSOLE_HEADER)
            .and_then(|value| value.to_str().ok());
        let mut all = self.0.lock();
        all.retain(|_, at| now.saturating_duration_since(*at) < GONE_AFTER);
        if let Some(who) = who.filter(|who| (1..=LONGEST).contains(&who.len()))
            && (all.len() < MOST || all.contains_key(who))
        {
            all.insert(who.to_owned(), now);
        }
        all.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consoles_are_counted_once_each_and_forgotten_when_they_are_silent() {
        let of = |who: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONSOLE_HEADER, who.parse().unwrap());
            headers
        };
        let (consoles, start) = (Consoles::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(consoles.seen(&HeaderMap::new(), start), 0);
        assert_eq!(consoles.seen(&of("a"), start), 1);
        assert_eq!(consoles.seen(&of("b"), later(5)), 2);
        assert_eq!(consoles.seen(&of("b"), later(6)), 2, "not twice");
        assert_eq!(
            consoles.seen(&HeaderMap::new(), later(12)),
            1,
            "a has timed out"
        );
        assert_eq!(consoles.seen(&of(&"x".repeat(65)), later(12)), 1);
        for who in 0..1_000 {
            consoles.seen(&of(&who.to_string()), later(12));
        }
        assert_eq!(consoles.seen(&of("b"), later(12)), MOST as u64, "bounded");
    }
}
