//! Samples access records, so that a busy route cannot fill the log.
//!
//! Writes, failures and slow requests are always kept. Of the successful, fast reads of a route, all are kept up to a
//! rate. Above it, one in N is kept, and N is computed again each second. A record has a weight: the number of requests
//! of its route that it represents, including itself. So the weights add up to the number of requests.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use super::AccessRecord;

/// The limits for sampling access records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessSampling {
    /// Kept records per second of each route. `None` keeps all.
    pub rate: Option<NonZeroU32>,
    /// Requests that took at least this long are always kept.
    pub slow: Duration,
}

impl AccessSampling {
    /// The default number of records per second of each route.
    pub const DEFAULT_RATE: NonZeroU32 = NonZeroU32::new(100).expect("100 is not 0");
}

impl Default for AccessSampling {
    fn default() -> Self {
        AccessSampling {
            rate: Some(AccessSampling::DEFAULT_RATE),
            slow: Duration::from_millis(100),
        }
    }
}

/// Counts the requests of each route. The route table bounds their number.
pub(super) struct Sampler {
    config: AccessSampling,
    began: Instant,
    routes: RwLock<HashMap<Box<str>, Mutex<Route>>>,
}

impl Sampler {
    pub(super) fn new(config: AccessSampling) -> Sampler {
        Sampler {
            config,
            began: Instant::now(),
            routes: RwLock::default(),
        }
    }

    /// Returns the weight of a record, or `None` if the record is left out. The next kept record of the route then
    /// includes it in its weight.
    pub(super) fn weight(&self, record: &AccessRecord<'_>) -> Option<u64> {
        let read = matches!(record.method, "GET" | "HEAD") && record.status < 400;
        let rate = self.config.rate.filter(|_| read);
        let Some(rate) = rate.filter(|_| record.took < self.config.slow) else {
            return Some(1);
        };
        let second = self.began.elapsed().as_secs();
        if let Some(route) = self.routes.read().get(record.route) {
            return route.lock().weight(second, rate.get());
        }
        let mut routes = self.routes.write();
        let route = routes.entry(record.route.into()).or_default();
        route.get_mut().weight(second, rate.get())
    }
}

/// The sampling state of one route. The sum of all weights and `waiting` is the number of requests.
#[derive(Debug, Default)]
struct Route {
    /// The current second since the sampler began.
    second: u64,
    /// The number of requests in this second, and of kept records.
    seen: u32,
    kept: u32,
    /// One record in this many is kept.
    every: u32,
    /// The number of requests since the last kept record.
    waiting: u64,
}

impl Route {
    fn weight(&mut self, second: u64, rate: u32) -> Option<u64> {
        if second != self.second || self.every == 0 {
            // Expect as many requests as in the previous second; none after a second without requests.
            let expected = if second == self.second + 1 {
                self.seen
            } else {
                0
            };
            self.every = expected.div_ceil(rate).max(1);
            (self.second, self.seen, self.kept) = (second, 0, 0);
        }
        self.seen = self.seen.saturating_add(1);
        self.waiting += 1;
        if self.waiting < self.every.into() {
            return None;
        }
        self.kept += 1;
        if self.kept.is_multiple_of(rate) {
            // More requests came than expected: keep fewer, so that a surge cannot exceed the rate by far in its first
            // second.
            self.every = self.every.saturating_mul(2);
        }
        Some(std::mem::take(&mut self.waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 100;

    /// The kept records and the sum of their weights, for `requests` in each of these seconds.
    fn seconds(requests: &[u32]) -> Vec<(usize, u64)> {
        let mut route = Route::default();
        let second = |(second, requests): (u64, &u32)| {
            let weights = (0..*requests).filter_map(|_| route.weight(second, RATE));
            let weights: Vec<u64> = weights.collect();
            (weights.len(), weights.iter().sum())
        };
        (0..).zip(requests).map(second).collect()
    }

    #[test]
    fn all_are_kept_up_to_the_rate() {
        assert_eq!(
            seconds(&[0, 1, 99, 100, 100, 3]),
            [(0, 0), (1, 1), (99, 99), (100, 100), (100, 100), (3, 3)]
        );
    }

    #[test]
    fn above_the_rate_about_the_rate_is_kept_and_weights_add_up() {
        let found = seconds(&[10, 20_000, 20_000, 20_000, 300, 50]);
        assert!(found[1].0 < 1_000, "the first second of a surge: {found:?}");
        for steady in &found[2..4] {
            assert!((90..=110).contains(&steady.0), "{found:?}");
        }
        let weights: u64 = found.iter().map(|one| one.1).sum();
        let total = 10 + 3 * 20_000 + 300 + 50;
        assert!((total - 200..=total).contains(&weights), "{found:?}");
    }

    #[test]
    fn failures_slow_requests_and_writes_are_always_kept() {
        let sampler = Sampler::new(AccessSampling::default());
        let fast = AccessRecord {
            method: "GET",
            route: "/queue",
            status: 200,
            took: Duration::from_millis(1),
            user: None,
            of_interest: true,
            is_probe: false,
        };
        let kept = |record: AccessRecord<'_>| {
            let weights = (0..5_000).map(|_| sampler.weight(&record));
            weights.filter(|weight| *weight == Some(1)).count()
        };
        assert!(kept(fast) < 5_000);
        let slow = Duration::from_millis(100);
        assert_eq!(kept(AccessRecord { took: slow, ..fast }), 5_000);
        assert_eq!(
            kept(AccessRecord {
                status: 404,
                ..fast
            }),
            5_000
        );
        assert_eq!(
            kept(AccessRecord {
                status: 503,
                ..fast
            }),
            5_000
        );
        assert_eq!(
            kept(AccessRecord {
                method: "POST",
                ..fast
            }),
            5_000
        );
    }

    #[test]
    fn without_a_rate_all_are_kept() {
        let sampler = Sampler::new(AccessSampling {
            rate: None,
            ..AccessSampling::default()
        });
        let record = AccessRecord {
            method: "GET",
            route: "/queue",
            status: 200,
            took: Duration::ZERO,
            user: None,
            of_interest: true,
            is_probe: false,
        };
        assert!((0..5_000).all(|_| sampler.weight(&record) == Some(1)));
    }
}
