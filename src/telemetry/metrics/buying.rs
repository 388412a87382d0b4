//! The input of admission that follows the objective: the latency of the requests of buying, the requests in progress,
//! and the wait for database connections. Requests of buying are those to all routes except the queue, the probes and
//! the OpenAPI document.
//!
//! The instruments of OpenTelemetry can be read only by a collection, and their bounds are too coarse for a percentile.
//! So this module counts beside them, at a cost of two atomic additions per request. `booking/follow` reads the counts
//! once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The number of buckets in each octave (doubling of the value), so that a value is known to an eighth.
const FINE: usize = 8;
/// The number of buckets. They cover values up to 2^28 µs, above four minutes.
const BUCKETS: usize = 25 * FINE;
/// The length of a slot in the ring of requests in progress, in milliseconds.
const SLOT_MS: u64 = 32;
/// The number of slots: 33 s, which is longer than the longest request, its time-outs included.
const SLOTS: u64 = 1_024;

/// A histogram of durations: the number of values in each bucket of `bucket`, since the start or since an earlier
/// reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latencies(Vec<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Latencies(vec![0; BUCKETS])
    }
}

impl Latencies {
    /// The values since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Latencies) -> Latencies {
        let pairs = self.0.iter().zip(&earlier.0);
        Latencies(pairs.map(|(now, then)| now.saturating_sub(*then)).collect())
    }

    /// The number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The 95th percentile, exact to an eighth of its value. Zero if there are no values.
    #[must_use]
    pub fn p95(&self) -> Duration {
        let rank = self.count().saturating_mul(95).div_ceil(100);
        let mut seen = 0;
        for (at, count) in self.0.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return Duration::from_micros(middle(at));
            }
        }
        Duration::ZERO
    }
}

/// The bucket of a value in microseconds.
fn bucket(micros: u64) -> usize {
    let micros = micros.max(FINE as u64);
    let octave = micros.ilog2() as usize - FINE.ilog2() as usize;
    let fine = (micros >> octave) as usize - FINE;
    (octave * FINE + fine).min(BUCKETS - 1)
}

/// The middle of a bucket, in microseconds.
fn middle(bucket: usize) -> u64 {
    let (octave, fine) = (bucket / FINE, bucket % FINE);
    (((FINE + fine) as u64) << octave) + ((1_u64 << octave) >> 1)
}

/// The status of a request whose client disconnected before the answer. nginx logs the same number.
const CLIENT_CLOSED: u16 = 499;

/// The histogram to which all requests add values without a lock. A reading of it is a [`Latencies`].
struct Counts([AtomicU64; BUCKETS]);

impl Counts {
    fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0[bucket(micros)].fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> Latencies {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Latencies(self.0.iter().map(read).collect())
    }
}

impl Default for Counts {
    fn default() -> Self {
        Counts([const { AtomicU64::new(0) }; BUCKETS])
    }
}

/// The requests of buying on this server. Counters only grow; a reader subtracts an earlier reading.
pub struct Buying {
    answered: Counts,
    errors: AtomicU64,
    waits: Counts,
    /// Requests in progress, by the time at which they began: a ring of `SLOTS` slots of `SLOT_MS` each. No request
    /// lasts longer than the ring, so a slot never contains requests of two rounds.
    under_way: [AtomicI64; SLOTS as usize],
    /// The beginning of slot 0.
    began: Instant,
}

/// The counts at one moment. All except `oldest` only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuyingCounts {
    /// Requests that were answered 2xx or 3xx, or whose client did not wait for the answer.
    pub answered: Latencies,
    /// Requests that were answered 5xx.
    pub errors: u64,
    /// Waits for a database connection.
    pub waits: Latencies,
    /// The age of the oldest request in progress; zero if there is none.
    pub oldest: Duration,
}

impl Default for Buying {
    fn default() -> Self {
        Buying {
            answered: Counts::default(),
            errors: AtomicU64::new(0),
            waits: Counts::default(),
            under_way: [const { AtomicI64::new(0) }; SLOTS as usize],
            began: Instant::now(),
        }
    }
}

impl Buying {
    /// Begins a request, which is in progress until the result is dropped.
    pub(super) fn begin(self: &Arc<Self>, started: Instant) -> UnderWay {
        let slot = self.slot(started) % SLOTS;
        self.under_way[slot as usize].fetch_add(1, Ordering::Relaxed);
        UnderWay {
            buying: Arc::clone(self),
            slot: slot as usize,
            started,
            status: CLIENT_CLOSED,
        }
    }

    /// The number of slots from the beginning to `at`. The remainder by [`SLOTS`] is the place in the ring.
    fn slot(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX) / SLOT_MS
    }

    /// Counts a request that has ended. A 4xx is not counted: a refusal takes little work, so its time says nothing
    /// about the load.
    fn ended(&self, status: u16, took: Duration) {
        match status {
            500.. => {
                self.errors.fetch_add(1, Ordering::Relaxed);
            }
            // The client disconnected: the answer would have taken at least this long.
            CLIENT_CLOSED | ..400 => self.answered.add(took),
            _ => {}
        }
    }

    /// Counts the wait of a statement for a database connection.
    pub(super) fn waited(&self, wait: Duration) {
        self.waits.add(wait);
    }

    pub(super) fn read(&self, now: Instant) -> BuyingCounts {
        BuyingCounts {
            answered: self.answered.read(),
            errors: self.errors.load(Ordering::Relaxed),
            waits: self.waits.read(),
            oldest: self.oldest(now),
        }
    }

    /// The age of the oldest request in progress; zero if there is none.
    fn oldest(&self, now: Instant) -> Duration {
        let newest = self.slot(now);
        let first = newest.saturating_sub(SLOTS - 1);
        let busy = |slot: &u64| self.under_way[(slot % SLOTS) as usize].load(Ordering::Relaxed) > 0;
        let oldest = (first..=newest).find(busy);
        // The age counts from the end of the slot, so that a new request has no age.
        let age = oldest.map_or(0, |slot| newest.saturating_sub(slot + 1) * SLOT_MS);
        Duration::from_millis(age)
    }
}

/// A request of buying in progress. It begins when the request has arrived completely. Otherwise a client that sends a
/// body slowly would count as a slow service, and could stop admission.
pub struct UnderWay {
    buying: Arc<Buying>,
    slot: usize,
    started: Instant,
    status: u16,
}

impl UnderWay {
    /// Records the status of the answer. Without this call the client disconnected.
    pub fn answered(mut self, status: u16) {
        self.status = status;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.buying.under_way[self.slot].fetch_sub(1, Ordering::Relaxed);
        self.buying.ended(self.status, self.started.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_known_to_an_eighth() {
        for micros in [8, 9, 100, 999, 350_000, 500_000, 10_000_000, 100_000_000] {
            let read = middle(bucket(micros));
            assert!(
                read.abs_diff(micros) * 8 <= micros,
                "{micros} read as {read}"
            );
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(bucket(0), 0);
    }

    #[test]
    fn refusals_are_not_counted_and_errors_are_counted_separately() {
        let buying = Arc::new(Buying::default());
        for (status, millis) in [
            (200, 10),
            (201, 10),
            (409, 1),
            (429, 1),
            (503, 1),
            (499, 400),
        ] {
            buying.ended(status, Duration::from_millis(millis));
        }
        let counts = buying.read(Instant::now());
        assert_eq!((counts.answered.count(), counts.errors), (3, 1));
        assert!(counts.answered.p95() >= Duration::from_millis(350));
    }

    #[test]
    fn the_percentile_covers_only_values_since_the_earlier_reading() {
        let buying = Buying::default();
        (0..100).for_each(|_| buying.ended(200, Duration::from_secs(3)));
        let before = buying.read(Instant::now()).answered;
        (0..100).for_each(|_| buying.ended(200, Duration::from_millis(5)));
        let since = buying.read(Instant::now()).answered.since(&before);
        assert_eq!(since.count(), 100);
        assert!(since.p95() < Duration::from_millis(6), "{:?}", since.p95());
        assert_eq!(before.since(&before).p95(), Duration::ZERO);
    }

    #[test]
    fn the_oldest_request_is_the_earliest_one_in_progress() {
        let buying = Arc::new(Buying::default());
        let at = |seconds| buying.began + Duration::from_secs(seconds);
        let (first, second) = (buying.begin(at(1)), buying.begin(at(3)));
        let age = |now| buying.read(at(now)).oldest.as_millis() / 100;
        assert_eq!(age(4), 29);
        drop(first);
        assert_eq!(age(4), 9);
        drop(second);
        assert_eq!(age(4), 0);
        let _new = buying.begin(at(4));
        assert_eq!(buying.read(at(4)).oldest, Duration::ZERO);
    }
}
