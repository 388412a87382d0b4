//! What Redis's clock says at the moment, as far as its answers tell.
//!
//! An answer tells what the clock showed before it travelled here, so each estimate is at most the
//! truth, and the highest of the last few is the best. A deadline made of it is never too late.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::domain::Timestamp;

/// Answers remembered: at ten a second, a clock that was set back is believed within 1.6 s.
const SAMPLES: usize = 16;

/// An estimate of another machine's clock.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    /// Milliseconds from `start`'s count to the other clock's.
    offsets: Mutex<VecDeque<i64>>,
}

impl Clock {
    pub(super) fn new(start: Instant) -> Clock {
        Clock {
            start,
            offsets: Mutex::new(VecDeque::with_capacity(SAMPLES)),
        }
    }

    /// Notes that an answer received at `received` says `time`.
    pub(super) fn heard(&self, time: Timestamp, received: Instant) {
        let offset = time.0.saturating_sub(self.ticks(received));
        let mut offsets = self.offsets.lock();
        if offsets.len() == SAMPLES {
            offsets.pop_front();
        }
        offsets.push_back(offset);
    }

    /// Its time at `now`.
    pub(super) fn at(&self, now: Instant) -> Timestamp {
        let best = self.offsets.lock().iter().max().copied();
        Timestamp(self.ticks(now).saturating_add(best.unwrap_or(0)))
    }

    /// Its time when a wait of `within` that begins at `now` is over.
    pub(super) fn deadline(&self, now: Instant, within: Duration) -> i64 {
        self.at(now).after(within).0
    }

    /// How many milliseconds it is ahead of a clock that shows `wall` at `now`.
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
    fn the_answer_that_travelled_least_is_believed_and_never_overtakes_the_truth() {
        let start = Instant::now();
        let clock = Clock::new(start);
        let after = |ms| start + Duration::from_millis(ms);
        // The other clock showed 5,000 at the start.
        clock.heard(Timestamp(5_100), after(130));
        assert_eq!(clock.at(after(200)), Timestamp(5_170));
        clock.heard(Timestamp(5_300), after(302));
        assert_eq!(clock.at(after(400)), Timestamp(5_398));
        clock.heard(Timestamp(5_400), after(900));
        assert_eq!(clock.at(after(1_000)), Timestamp(5_998));
        let deadline = clock.deadline(after(1_000), Duration::from_millis(500));
        assert_eq!(deadline, 6_498);
    }

    #[test]
    fn a_clock_that_was_set_back_is_believed_after_a_while() {
        let start = Instant::now();
        let clock = Clock::new(start);
        clock.heard(Timestamp(1_000_000), start);
        for _ in 0..SAMPLES {
            clock.heard(Timestamp(5_000), start);
        }
        assert_eq!(clock.at(start), Timestamp(5_000));
    }
}
