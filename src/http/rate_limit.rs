//! The limits of one token: its rate of requests and its requests in flight. One client must not slow down the
//! others.
//!
//! Each token has a bucket that fills at a steady rate. A request takes from the bucket, and an empty bucket refuses
//! the request. A full bucket without requests in flight equals the initial state, so it is dropped. The memory
//! depends only on the tokens of the last seconds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The limits of one token.
#[derive(Clone, Copy, Debug)]
pub struct TokenLimit {
    /// Requests per second on average.
    pub per_second: f64,
    /// Requests at once after a pause. At least 1.
    pub burst: f64,
    /// Requests in flight.
    pub at_once: u32,
}

impl Default for TokenLimit {
    fn default() -> Self {
        TokenLimit {
            per_second: 20.0,
            burst: 40.0,
            at_once: 8,
        }
    }
}

/// The cost of a request.
pub(super) const REQUEST: f64 = 1.0;
/// The cost of a poll. It does no I/O, and the server sets the time of the next poll.
pub(super) const POLL: f64 = 0.05;

/// The number of maps with buckets. Each map has its own lock.
const SHARDS: usize = 64;
/// The largest number of tokens in one map. Beyond it (a million tokens within two seconds in total), a token without
/// a bucket is not limited.
const PER_SHARD: usize = 16_384;
/// A map with fewer tokens is not swept.
const SWEEP_FROM: usize = 256;
/// The pause between two sweeps of a full map.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// The dataset and the place of a token.
pub(super) type Key = (u64, u64);

#[derive(Debug)]
struct Bucket {
    level: f64,
    at: Duration,
    under_way: u32,
}

#[derive(Debug, Default)]
struct Shard {
    buckets: HashMap<Key, Bucket>,
    sweep_at: usize,
    swept: Option<Duration>,
}

/// The buckets of all tokens.
#[derive(Debug)]
pub(super) struct RateLimit {
    limit: TokenLimit,
    started: Instant,
    shards: Vec<Mutex<Shard>>,
}

/// A request in flight, counted until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    all: Arc<RateLimit>,
    key: Key,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut shard = self.all.shard(&self.key).lock();
        if let Some(bucket) = shard.buckets.get_mut(&self.key) {
            bucket.under_way = bucket.under_way.saturating_sub(1);
        }
    }
}

/// The reason why a token must wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wait {
    /// The bucket has enough after this time.
    Rate(Duration),
    /// One of the token's requests in flight must end first.
    AtOnce,
}

impl RateLimit {
    pub(super) fn new(limit: TokenLimit) -> Arc<RateLimit> {
        Arc::new(RateLimit {
            limit,
            started: Instant::now(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        })
    }

    pub(super) fn limit(&self) -> TokenLimit {
        self.limit
    }

    /// Takes a poll from the bucket.
    pub(super) fn poll(&self, key: Key) -> Result<(), Wait> {
        self.take(key, POLL, false, self.started.elapsed())
            .map(drop)
    }

    /// Takes a request from the bucket and counts it as in flight.
    pub(super) fn request(self: &Arc<Self>, key: Key) -> Result<Option<UnderWay>, Wait> {
        let counted = self.take(key, REQUEST, true, self.started.elapsed())?;
        let all = Arc::clone(self);
        Ok(counted.then_some(UnderWay { all, key }))
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        // Places are consecutive numbers, so they spread evenly.
        &self.shards[key.1 as usize % SHARDS]
    }

    /// Takes `cost` from the bucket. Returns whether the request counts as in flight.
    fn take(&self, key: Key, cost: f64, counted: bool, now: Duration) -> Result<bool, Wait> {
        let limit = self.limit;
        let shard = &mut *self.shard(&key).lock();
        let bucket = match shard.buckets.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) => {
                if !shard.has_room(limit, now) {
                    return Ok(false);
                }
                shard.buckets.entry(key).or_insert(Bucket {
                    level: limit.burst,
                    at: now,
                    under_way: 0,
                })
            }
        };
        bucket.level = bucket.level_at(limit, now);
        bucket.at = bucket.at.max(now);
        if counted && bucket.under_way >= limit.at_once {
            return Err(Wait::AtOnce);
        }
        if bucket.level < cost {
            let seconds = (cost - bucket.level) / limit.per_second;
            return Err(Wait::Rate(Duration::from_secs_f64(seconds.min(3600.0))));
        }
        bucket.level -= cost;
        bucket.under_way += u32::from(counted);
        Ok(counted)
    }
}

impl Bucket {
    fn level_at(&self, limit: TokenLimit, now: Duration) -> f64 {
        let since = now.saturating_sub(self.at).as_secs_f64();
        (self.level + since * limit.per_second).min(limit.burst)
    }
}

impl Shard {
    /// Drops full buckets from time to time. Returns whether there is room for one more.
    fn has_room(&mut self, limit: TokenLimit, now: Duration) -> bool {
        let rested = self.swept.is_none_or(|at| now >= at + SWEEP_EVERY);
        let many = self.buckets.len() >= self.sweep_at.max(SWEEP_FROM);
        if many && (rested || self.buckets.len() < PER_SHARD) {
            self.buckets.retain(|_, bucket| {
                bucket.under_way > 0 || bucket.level_at(limit, now) < limit.burst
            });
            self.swept = Some(now);
            self.sweep_at = (self.buckets.len() * 2).min(PER_SHARD);
        }
        self.buckets.len() < PER_SHARD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = (1, 1);

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn limit() -> Arc<RateLimit> {
        RateLimit::new(TokenLimit {
            per_second: 10.0,
            burst: 5.0,
            at_once: 2,
        })
    }

    #[test]
    fn a_burst_passes_then_the_rate_holds_and_another_token_is_not_touched() {
        let all = limit();
        for _ in 0..5 {
            all.take(KEY, REQUEST, false, at(0)).unwrap();
        }
        assert_eq!(
            all.take(KEY, REQUEST, false, at(0)),
            Err(Wait::Rate(at(100)))
        );
        assert_eq!(
            all.take(KEY, REQUEST, false, at(50)),
            Err(Wait::Rate(at(50)))
        );
        all.take(KEY, REQUEST, false, at(100)).unwrap();
        assert!(all.take(KEY, REQUEST, false, at(100)).is_err());
        all.take((1, 2), REQUEST, false, at(100)).unwrap();
        // A long pause fills the bucket completely, but not beyond.
        for _ in 0..5 {
            all.take(KEY, REQUEST, false, at(100_000)).unwrap();
        }
        assert!(all.take(KEY, REQUEST, false, at(100_000)).is_err());
    }

    #[test]
    fn no_more_are_under_way_than_may_be() {
        let all = limit();
        let first = all.request(KEY).unwrap();
        let _second = all.request(KEY).unwrap();
        assert_eq!(all.request(KEY).unwrap_err(), Wait::AtOnce);
        all.poll(KEY).unwrap();
        drop(first);
        all.request(KEY).unwrap();
    }

    #[test]
    fn tokens_that_went_quiet_are_forgotten() {
        let all = limit();
        for place in 0..100_000 {
            // Each millisecond has a new token. Its bucket is full again after a tenth of a second.
            all.take((1, place), REQUEST, false, at(place)).unwrap();
        }
        let kept: usize = all.shards.iter().map(|one| one.lock().buckets.len()).sum();
        assert!(kept <= SHARDS * (SWEEP_FROM + 1), "{kept} are kept");
    }

    #[test]
    fn a_flood_of_tokens_takes_bounded_memory() {
        let mut shard = Shard::default();
        for place in 0..2 * PER_SHARD as u64 {
            if shard.has_room(limit().limit, at(0)) {
                let bucket = Bucket {
                    level: 0.0,
                    at: at(0),
                    under_way: 0,
                };
                shard.buckets.insert((1, place), bucket);
            }
        }
        assert_eq!(shard.buckets.len(), PER_SHARD);
    }
}
