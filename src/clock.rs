//! The time by which the service decides about the opening, admission, the end of holds and admissions, and
//! estimates.
//!
//! An operator may set a wall clock while the server runs. Decisions by it would then stop admission for an hour, or
//! end every hold at once. So the server reads the wall clock once at its start, and then uses the monotonic clock.
//! The two may drift apart. [`Clock::check`] closes the gap at a rate of `SLEW`, and reports each step of the wall
//! clock. A restart adopts the wall clock.
//!
//! ```text
//! wall     ───────┐              ┌──────────    set back by an hour, and forward again
//!                 └──────────────┘
//! service  ─────────────────────────────────    never steps
//! ```

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::domain::Timestamp;

/// The pause between two calls of [`Clock::check`].
pub const CHECK_EVERY: Duration = Duration::from_millis(100);
/// A gap closes by one part in this many of the elapsed time: a second in 100 s.
const SLEW: i64 = 100;
/// A wall clock was set if it moves by this much against the monotonic clock between two checks, in milliseconds.
pub const STEP_MS: i64 = 1_000;

/// A wall clock and a monotonic clock, which tests replace.
pub trait Source: Send + Sync {
    /// The time of the system's clock.
    fn wall(&self) -> Timestamp;
    /// The time since a fixed moment. It never goes back.
    fn elapsed(&self) -> Duration;
}

struct System(Instant);

impl Source for System {
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Timestamp(millis(since.unwrap_or_default()))
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The service's time. Clones share it.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    source: Box<dyn Source>,
    /// The milliseconds by which this server sees the wall clock ahead of `source`.
    wall_ahead: AtomicI64,
    /// The difference between the service's time and the monotonic time, in milliseconds.
    offset: AtomicI64,
    last: Mutex<Check>,
}

/// The result of the last check, in milliseconds.
struct Check {
    elapsed: i64,
    /// The difference between the wall clock and the monotonic clock.
    wall_offset: i64,
    /// Elapsed time that has not been used to close the gap yet.
    unused: i64,
}

/// The wall clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The size of the step in milliseconds. It is negative if the clock was set back.
    pub by_ms: i64,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new(System(Instant::now()))
    }
}

impl Clock {
    /// A clock that begins at the wall clock of `source`.
    pub fn new(source: impl Source + 'static) -> Clock {
        let elapsed = millis(source.elapsed());
        let offset = source.wall().0.saturating_sub(elapsed);
        Clock(Arc::new(Inner {
            source: Box::new(source),
            wall_ahead: AtomicI64::new(0),
            offset: AtomicI64::new(offset),
            last: Mutex::new(Check {
                elapsed,
                wall_offset: offset,
                unused: 0,
            }),
        }))
    }

    /// The service's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let elapsed = millis(self.0.source.elapsed());
        Timestamp(elapsed.saturating_add(self.0.offset.load(Ordering::Relaxed)))
    }

    /// Sets the wall clock that this server sees ahead of the system's by this many milliseconds, or behind it if
    /// negative.
    pub fn set_wall_ahead(&self, by_ms: i64) {
        self.0.wall_ahead.store(by_ms, Ordering::Relaxed);
    }

    fn wall(&self) -> i64 {
        let ahead = self.0.wall_ahead.load(Ordering::Relaxed);
        self.0.source.wall().0.saturating_add(ahead)
    }

    /// The milliseconds by which the wall clock is ahead of the service's time.
    #[must_use]
    pub fn wall_ahead_ms(&self) -> i64 {
        self.wall().saturating_sub(self.now().0)
    }

    /// Compares with the wall clock and closes a part of the gap. `Some` when the wall clock was set since the last
    /// check.
    pub fn check(&self) -> Option<Step> {
        let mut last = self.0.last.lock();
        let elapsed = millis(self.0.source.elapsed());
        let wall_offset = self.wall().saturating_sub(elapsed);
        let by_ms = wall_offset.saturating_sub(last.wall_offset);
        last.unused += elapsed.saturating_sub(last.elapsed);
        (last.elapsed, last.wall_offset) = (elapsed, wall_offset);
        let most = last.unused / SLEW;
        last.unused %= SLEW;
        let offset = self.0.offset.load(Ordering::Relaxed);
        let change = wall_offset.saturating_sub(offset).clamp(-most, most);
        self.0.offset.store(offset + change, Ordering::Relaxed);
        (by_ms.saturating_abs() >= STEP_MS).then_some(Step { by_ms })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A source that moves only by [`Manual::advance`] and [`Manual::step`].
#[derive(Clone, Debug, Default)]
pub struct Manual(Arc<Mutex<(i64, Duration)>>);

impl Manual {
    /// A wall clock that shows `wall`.
    #[must_use]
    pub fn at(wall: Timestamp) -> Manual {
        Manual(Arc::new(Mutex::new((wall.0, Duration::ZERO))))
    }

    /// Lets time pass, on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock();
        now.0 += millis(by);
        now.1 += by;
    }

    /// Sets the wall clock forward, or back by a negative number of milliseconds.
    pub fn step(&self, by_ms: i64) {
        self.0.lock().0 += by_ms;
    }
}

impl Source for Manual {
    fn wall(&self) -> Timestamp {
        Timestamp(self.0.lock().0)
    }

    fn elapsed(&self) -> Duration {
        self.0.lock().1
    }
}

/// The system's clock, which tests can set while time passes.
#[derive(Clone, Debug)]
pub struct Steppable(Instant, Arc<AtomicI64>);

impl Default for Steppable {
    fn default() -> Self {
        Steppable(Instant::now(), Arc::default())
    }
}

impl Steppable {
    /// Sets the wall clock forward, or back by a negative number of milliseconds.
    pub fn step(&self, by_ms: i64) {
        self.1.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Source for Steppable {
    fn wall(&self) -> Timestamp {
        let system = System(self.0).wall();
        Timestamp(system.0 + self.1.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const START: Timestamp = Timestamp(1_800_000_000_000);

    /// Lets time pass with a check every tenth of a second.
    fn pass(clock: &Clock, manual: &Manual, seconds: u32) -> Vec<Step> {
        let checks = (0..seconds * 10).filter_map(|_| {
            manual.advance(CHECK_EVERY);
            clock.check()
        });
        checks.collect()
    }

    #[test]
    fn a_step_of_the_wall_clock_is_reported_once_and_moves_nothing() {
        for by_ms in [-HOUR, 2 * HOUR, -1_000, 1_000] {
            let manual = Manual::at(START);
            let clock = Clock::new(manual.clone());
            manual.step(by_ms);
            assert_eq!(clock.now(), START);
            assert_eq!(clock.wall_ahead_ms(), by_ms);
            assert_eq!(pass(&clock, &manual, 1), [Step { by_ms }]);
            assert_eq!(clock.now().0, START.0 + 1_000 + by_ms.signum() * 10);
        }
    }

    #[test]
    fn two_hours_forward_and_back_are_two_steps_and_leave_the_time_as_it_was() {
        let manual = Manual::at(START);
        let clock = Clock::new(manual.clone());
        manual.step(2 * HOUR);
        assert_eq!(pass(&clock, &manual, 10), [Step { by_ms: 2 * HOUR }]);
        manual.step(-2 * HOUR);
        assert_eq!(pass(&clock, &manual, 10), [Step { by_ms: -2 * HOUR }]);
        assert_eq!(clock.now().0, START.0 + 20_000);
        assert_eq!(clock.wall_ahead_ms(), 0);
    }

    #[test]
    fn a_small_gap_closes_without_a_report_and_time_keeps_advancing() {
        let manual = Manual::at(START);
        let clock = Clock::new(manual.clone());
        manual.step(-500);
        let before = clock.now();
        assert_eq!(pass(&clock, &manual, 49), []);
        assert_eq!(clock.wall_ahead_ms(), -10);
        assert_eq!(clock.now().since(before), Duration::from_millis(48_510));
        assert_eq!(pass(&clock, &manual, 1), []);
        assert_eq!(clock.wall_ahead_ms(), 0);
    }
}
