//! A circuit breaker: after a few failures calls stop until a probe succeeds.
//!
//! It only decides. The caller passes in the time and the random numbers.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;

/// The conditions under which a breaker opens and is probed.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// The number of consecutive time-outs that open it.
    pub failures: u32,
    /// The pause before the first probe. It doubles with every failed probe.
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// A breaker that opens again within this time after it closed continues with its longer pauses.
    pub steady: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        BreakerSettings {
            // A single time-out can happen. Five in a row are a failure, and under load they come within one
            // time-out.
            failures: 5,
            // This is short enough to hide a fast restart.
            pause: Duration::from_millis(200),
            // It is not longer, because users wait to be admitted. It is not shorter, because a recovery may follow
            // each probe.
            longest_pause: Duration::from_secs(2),
            steady: Duration::from_secs(30),
        }
    }
}

/// The kind of a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There was no answer in time, perhaps only once.
    TimedOut,
    /// The connection broke, or the answer is an error. The next call would fail too.
    Broken,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed {
        failures: u32,
        since: Instant,
    },
    Open {
        until: Instant,
    },
    /// A probe is running. If it never returns, another one may start at `until`.
    HalfOpen {
        until: Instant,
    },
}

/// The state of one breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    phase: Phase,
    backoff: Backoff,
}

impl Breaker {
    /// A breaker that must be probed at once.
    pub(super) fn open(settings: BreakerSettings, now: Instant) -> Breaker {
        Breaker {
            settings,
            phase: Phase::Open { until: now },
            backoff: Backoff::new(settings.pause, settings.longest_pause),
        }
    }

    /// Records an answer.
    pub(super) fn succeeded(&mut self) {
        if let Phase::Closed { failures, .. } = &mut self.phase {
            *failures = 0;
        }
    }

    /// Records a failed call. Returns whether it opened the breaker. `chance` (0 to 1) spreads the probes of several
    /// servers.
    pub(super) fn failed(&mut self, failure: Failure, now: Instant, chance: f64) -> bool {
        let Phase::Closed { failures, since } = &mut self.phase else {
            return false;
        };
        *failures += 1;
        if failure == Failure::TimedOut && *failures < self.settings.failures {
            return false;
        }
        if now.saturating_duration_since(*since) >= self.settings.steady {
            self.backoff.reset();
        }
        self.pause(now, chance);
        true
    }

    /// Returns whether to probe now. A caller that gets `true` must finish its probe within `longest`.
    pub(super) fn may_probe(&mut self, now: Instant, longest: Duration) -> bool {
        match self.phase {
            Phase::Open { until } | Phase::HalfOpen { until } if until <= now => {
                self.phase = Phase::HalfOpen {
                    until: now + longest,
                };
                true
            }
            _ => false,
        }
    }

    /// Closes it, or keeps it open for another pause.
    pub(super) fn probed(&mut self, went_well: bool, now: Instant, chance: f64) {
        if went_well {
            self.phase = Phase::Closed {
                failures: 0,
                since: now,
            };
        } else {
            self.pause(now, chance);
        }
    }

    fn pause(&mut self, now: Instant, chance: f64) {
        self.phase = Phase::Open {
            until: now + self.backoff.next(0.5 + 0.5 * chance.clamp(0.0, 1.0)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: Duration = Duration::from_secs(2);

    fn settings() -> BreakerSettings {
        BreakerSettings {
            failures: 3,
            pause: Duration::from_millis(100),
            longest_pause: Duration::from_millis(1_000),
            steady: Duration::from_secs(30),
        }
    }

    fn closed(now: Instant) -> Breaker {
        let mut breaker = Breaker::open(settings(), now);
        assert!(breaker.may_probe(now, PROBE));
        breaker.probed(true, now, 1.0);
        breaker
    }

    #[test]
    fn it_opens_after_so_many_time_outs_in_a_row_and_not_before() {
        let now = Instant::now();
        let mut breaker = closed(now);
        assert!(!breaker.failed(Failure::TimedOut, now, 1.0));
        assert!(!breaker.failed(Failure::TimedOut, now, 1.0));
        breaker.succeeded();
        assert!(!breaker.failed(Failure::TimedOut, now, 1.0));
        assert!(!breaker.failed(Failure::TimedOut, now, 1.0));
        assert!(breaker.failed(Failure::TimedOut, now, 1.0));
        assert!(
            !breaker.failed(Failure::TimedOut, now, 1.0),
            "those under way when it opened do not open it again"
        );
    }

    #[test]
    fn a_broken_connection_opens_it_at_once() {
        let now = Instant::now();
        assert!(closed(now).failed(Failure::Broken, now, 1.0));
    }

    #[test]
    fn one_probe_is_sent_after_the_pause_and_decides() {
        let now = Instant::now();
        let mut breaker = closed(now);
        assert!(breaker.failed(Failure::Broken, now, 1.0));
        let before = now + Duration::from_millis(99);
        let after = now + Duration::from_millis(100);
        assert!(!breaker.may_probe(before, PROBE));
        assert!(breaker.may_probe(after, PROBE));
        assert!(!breaker.may_probe(after, PROBE), "one at a time");
        assert!(breaker.may_probe(after + PROBE, PROBE), "one that is lost");
        breaker.probed(true, after, 1.0);
        assert!(
            !breaker.may_probe(after + PROBE, PROBE),
            "closed: none wanted"
        );
    }

    fn pause_of(breaker: &mut Breaker, from: Instant) -> u64 {
        let found = (0..10_000).find(|ms| {
            let mut copy = Breaker {
                settings: breaker.settings,
                phase: breaker.phase,
                backoff: breaker.backoff,
            };
            copy.may_probe(from + Duration::from_millis(*ms), PROBE)
        });
        found.expect("probed at last")
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_chance_shortens_them_by_half_at_most() {
        let now = Instant::now();
        let mut breaker = closed(now);
        assert!(breaker.failed(Failure::Broken, now, 0.0));
        assert_eq!(pause_of(&mut breaker, now), 50);
        let expected = [200, 400, 800, 1_000, 1_000];
        for pause in expected {
            breaker.probed(false, now, 1.0);
            assert_eq!(pause_of(&mut breaker, now), pause);
        }
    }

    #[test]
    fn a_breaker_that_opens_again_soon_keeps_its_longer_pauses() {
        let now = Instant::now();
        let mut breaker = closed(now);
        assert!(breaker.failed(Failure::Broken, now, 1.0));
        breaker.probed(true, now, 1.0);
        assert!(breaker.failed(Failure::Broken, now, 1.0));
        assert_eq!(pause_of(&mut breaker, now), 200);
        breaker.probed(true, now, 1.0);
        let later = now + Duration::from_secs(30);
        assert!(breaker.failed(Failure::Broken, later, 1.0));
        assert_eq!(pause_of(&mut breaker, later), 100);
    }
}
