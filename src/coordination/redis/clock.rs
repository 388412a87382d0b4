//! Estimates Redis's clock from the times in its answers.
//!
//! An answer shows a time before its transmission. So an estimate is never ahead of the clock, and the highest of the
//! last few is the best. A deadline by the estimate is never too late.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::domain::Timestamp;

/// The number of kept answers. At ten answers per second, the estimate follows a clock that was set back within 1.6
/// s.
const SAMPLES: usize = 16;

/// An estimate of another machine's clock.
#[derive(Debug)]
pub(super) struct RemoteClock {
    start: Instant,
    /// The differences between the other clock and the time since `start`, in milliseconds.
    offsets: Mutex<VecDeque<i64>>,
}

impl RemoteClock {
    pub(super) fn new(start: Instant) -> RemoteClock {
        RemoteClock {
            start,
            offsets: Mutex::new(VecDeque::with_capacity(SAMPLES)),
        }
    }

    /// Adds the `time` of an answer that arrived at `received`.
    pub(super) fn observe(&self, time: Timestamp, received: Instant) {
        let offset = time.0.saturating_sub(self.ticks(received));
        let mut offsets = self.offsets.lock();
        if offsets.len() == SAMPLES {
            offsets.pop_front();
        }
        offsets.push_back(offset);
    }

    /// The other clock's time at `now`.
    pub(super) fn at(&self, now: Instant) -> Timestamp {
        let best = self.offsets.lock().iter().max().copied();
        Timestamp(self.ticks(now).saturating_add(best.unwrap_or(0)))
    }

    /// The other clock's time at the end of a wait of `within` that begins at `now`.
    pub(super) fn deadline(&self, now: Instant, within: Duration) -> i64 {
        self.at(now).after(within).0
    }

    /// The milliseconds by which the other clock is ahead of one that shows `wall` at `now`.
    pub(super) fn ahead(&self, now: Instant, wall: Timestamp) -> i64 {
        self.at(now).0.saturating_sub(wall.0)
    }

    fn ticks(&self, at: Instant) -> i64 {
        let since = at.saturating_duration_since(self.start);
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_answer_counts_and_the_estimate_is_never_ahead_of_the_clock() {
        let start = Instant::now();
        let clock = RemoteClock::new(start);
        let after = |ms| start + Duration::from_millis(ms);
        // The other clock showed 5,000 at the start.
        clock.observe(Timestamp(5_100), after(130));
        assert_eq!(clock.at(after(200)), Timestamp(5_170));
        clock.observe(Timestamp(5_300), after(302));
        assert_eq!(clock.at(after(400)), Timestamp(5_398));
        clock.observe(Timestamp(5_400), after(900));
        assert_eq!(clock.at(after(1_000)), Timestamp(5_998));
        let deadline = clock.deadline(after(1_000), Duration::from_millis(500));
        assert_eq!(deadline, 6_498);
    }

    #[test]
    fn the_estimate_follows_a_clock_that_was_set_back_after_a_while() {
        let start = Instant::now();
        let clock = RemoteClock::new(start);
        clock.observe(Timestamp(1_000_000), start);
        for _ in 0..SAMPLES {
            clock.observe(Timestamp(5_000), start);
        }
        assert_eq!(clock.at(start), Timestamp(5_000));
    }
}
