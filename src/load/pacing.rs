//! The pace of the users. An operator can pause a run, or make it slower or faster than the scenario.
//!
//! A due time within a pause of the run moves to the end of the pause, and the request is not late.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// The bounds of the factor.
const FACTORS: (f64, f64) = (1.0 / 16.0, 16.0);

/// The pace of a run.
#[derive(Debug)]
pub(super) struct Pacing {
    /// All pauses are divided by this factor.
    factor: AtomicU64,
    /// Notifies of every change of the pace.
    paused: watch::Sender<bool>,
}

impl Default for Pacing {
    fn default() -> Pacing {
        Pacing {
            factor: AtomicU64::new(1.0_f64.to_bits()),
            paused: watch::Sender::new(false),
        }
    }
}

impl Pacing {
    pub(super) fn factor(&self) -> f64 {
        f64::from_bits(self.factor.load(Relaxed))
    }

    /// Multiplies the pace by `times`, within the bounds. Returns the new factor.
    pub(super) fn scale(&self, times: f64) -> f64 {
        let factor = (self.factor() * times).clamp(FACTORS.0, FACTORS.1);
        self.factor.store(factor.to_bits(), Relaxed);
        // This wakes every schedule, so that it computes its next due time again.
        self.paused.send_modify(|_| {});
        factor
    }

    pub(super) fn pause(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    pub(super) fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Notifies of every change of the pace, and of the beginning and the end of a pause.
    pub(super) fn changes(&self) -> watch::Receiver<bool> {
        self.paused.subscribe()
    }

    /// Waits until the run is not paused.
    pub(super) async fn resumed(&self) {
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = self.paused.subscribe().wait_for(|paused| !paused).await;
    }

    /// The length of a pause of the scenario at the current pace.
    pub(super) fn scaled(&self, pause: Duration) -> Duration {
        let factor = self.factor();
        if factor == 1.0 {
            return pause;
        }
        pause.div_f64(factor)
    }

    /// A due time that the server asked for. A slower pace delays it, a faster one does not change it.
    pub(super) fn delayed(&self, due: Instant) -> Instant {
        let factor = self.factor();
        if factor >= 1.0 {
            return due;
        }
        let now = Instant::now();
        now + due.saturating_duration_since(now).div_f64(factor)
    }

    /// The rest after a round of `took` in a loop without pauses, so that the loop follows a slower pace.
    fn rest_after(&self, took: Duration) -> Duration {
        let factor = self.factor();
        if factor >= 1.0 {
            return Duration::ZERO;
        }
        took.mul_f64(1.0 / factor - 1.0)
    }

    /// Rests after a round of a loop without pauses, if the pace is slower than the scenario.
    pub(super) async fn rest(&self, took: Duration) {
        let rest = self.rest_after(took);
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
    }

    /// A schedule that starts now and follows the pace.
    pub(super) fn schedule(&self) -> Schedule<'_> {
        Schedule {
            pacing: self,
            changes: self.changes(),
            anchor: (tokio::time::Instant::now(), Duration::ZERO),
            factor: self.factor(),
        }
    }
}

/// A schedule whose instants follow the pace.
pub(super) struct Schedule<'t> {
    pacing: &'t Pacing,
    changes: watch::Receiver<bool>,
    /// An instant, and the position of the schedule at that instant.
    anchor: (tokio::time::Instant, Duration),
    factor: f64,
}

impl Schedule<'_> {
    /// Waits until the schedule reaches the position `at`. Returns the instant at which it was due.
    pub(super) async fn reach(&mut self, at: Duration) -> Instant {
        loop {
            if *self.changes.borrow_and_update() {
                self.move_anchor();
                self.pacing.resumed().await;
                self.anchor.0 = tokio::time::Instant::now();
            }
            if self.factor != self.pacing.factor() {
                self.move_anchor();
                self.factor = self.pacing.factor();
            }
            let ahead = at.saturating_sub(self.anchor.1);
            let due = self.anchor.0 + ahead.div_f64(self.factor);
            tokio::select! {
                biased;
                changed = self.changes.changed() => drop(changed),
                () = tokio::time::sleep_until(due) => return due.into_std(),
            }
        }
    }

    fn move_anchor(&mut self) {
        let now = tokio::time::Instant::now();
        let passed = now.duration_since(self.anchor.0).mul_f64(self.factor);
        self.anchor = (now, self.anchor.1 + passed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_stays_within_its_bounds() {
        let pacing = Pacing::default();
        for _ in 0..100 {
            pacing.scale(2.0);
        }
        assert_eq!(pacing.factor(), FACTORS.1);
        for _ in 0..100 {
            pacing.scale(0.5);
        }
        assert_eq!(pacing.factor(), FACTORS.0);
        let second = Duration::from_secs(1);
        assert_eq!(pacing.scaled(second), Duration::from_secs(16));
        assert_eq!(pacing.rest_after(second), Duration::from_secs(15));
    }

    #[tokio::test(start_paused = true)]
    async fn a_schedule_stops_while_paused_and_continues_at_the_new_pace() {
        let pacing = Pacing::default();
        let mut schedule = pacing.schedule();
        let seconds = Duration::from_secs;
        let begun = tokio::time::Instant::now();
        schedule.reach(seconds(1)).await;
        let (_, ()) = tokio::join!(schedule.reach(seconds(3)), async {
            tokio::time::sleep(seconds(1)).await;
            pacing.pause(true);
            tokio::time::sleep(seconds(5)).await;
            pacing.scale(0.5);
            pacing.pause(false);
        });
        // 1 s to the first, 1 s of 2 s to the second, 5 s of pause, 1 s at half the pace.
        let took = begun.elapsed();
        assert!(took >= seconds(9) && took < seconds(10), "{took:?}");
    }
}
