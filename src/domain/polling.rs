//! Decides when a waiting client polls again.
//!
//! All clients together stay near a budget of polls per second. Each client polls at most once in a tenth of its
//! promised wait, because an earlier poll would give the user no new information. A pause is never longer than
//! [`POLL_CEILING`], so a change of admission reaches every user within that time.

use std::time::Duration;

/// The shortest pause that the service asks of a client.
pub const POLL_FLOOR: Duration = Duration::from_millis(250);
/// The longest pause that the service asks of a client. With more waiting users than the budget allows in this time
/// (120,000 at 1,000 a second), the polls exceed the budget.
pub const POLL_CEILING: Duration = Duration::from_secs(120);
/// A pause is at least the promised wait divided by this.
const POLLS_IN_A_WAIT: u32 = 10;
/// A pause is drawn from a range of this share of its length on both sides. So clients that were answered together do
/// not return together.
const JITTER: f64 = 0.1;
/// A client whose batch comes before its next poll comes this long after the batch.
const AFTER_THE_BATCH: Duration = Duration::from_millis(20);

/// The polls a second that all waiting clients together should make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollBudget(pub u32);

impl Default for PollBudget {
    fn default() -> Self {
        PollBudget(1_000)
    }
}

impl PollBudget {
    /// The bounds of the budget, in polls a second.
    pub const BOUNDS: std::ops::RangeInclusive<u32> = 10..=1_000_000;

    /// The pause until the next poll of one of `waiting` clients whose promised wait is `eta`; `None` means that the
    /// time of admission is unknown. Watermarks move once in `entry_every`. A client whose batch comes before its next
    /// poll polls just after the batch.
    ///
    /// `spread` is a random number in 0..1 from the caller.
    #[must_use]
    pub fn pause(
        self,
        waiting: u64,
        eta: Option<Duration>,
        entry_every: Duration,
        spread: f64,
    ) -> Duration {
        let spread = spread.clamp(0.0, 1.0);
        let even = Duration::from_millis(waiting.saturating_mul(1_000) / u64::from(self.0.max(1)));
        let part_of_the_wait = eta.unwrap_or_default() / POLLS_IN_A_WAIT;
        let regular = even
            .max(part_of_the_wait)
            .clamp(POLL_FLOOR, POLL_CEILING.div_f64(1.0 + JITTER))
            .mul_f64(1.0 - JITTER + 2.0 * JITTER * spread);
        match eta {
            Some(eta) if eta < regular => {
                let window = (entry_every / 4).min(Duration::from_secs(1));
                (eta + AFTER_THE_BATCH + window.mul_f64(spread)).clamp(POLL_FLOOR, POLL_CEILING)
            }
            _ => regular,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVERY: Duration = Duration::from_secs(15);

    /// Polls a second of `waiting` clients, of whom `batch` are admitted in each interval of [`EVERY`].
    fn rate(waiting: u64, batch: u64, budget: PollBudget) -> f64 {
        let pause = |n: u64| {
            let eta = Some(EVERY * u32::try_from(n / batch + 1).expect("a small number"));
            let spread = (n % 100) as f64 / 99.0;
            budget.pause(waiting, eta, EVERY, spread).as_secs_f64()
        };
        (0..waiting).map(|n| 1.0 / pause(n)).sum()
    }

    #[test]
    fn all_polls_together_stay_within_the_budget() {
        for budget in [500, 5_000].map(PollBudget) {
            for (waiting, batch) in [(1_000, 100), (20_000, 500)] {
                let rate = rate(waiting, batch, budget);
                // Clients of the next batch poll just after it.
                let most = f64::from(budget.0) * 1.2;
                assert!(
                    rate <= most,
                    "{rate} polls a second of {waiting}, {budget:?}"
                );
            }
        }
    }

    #[test]
    fn a_long_wait_needs_few_polls() {
        let pause = |eta| PollBudget::default().pause(100, Some(eta), EVERY, 0.5);
        assert_eq!(pause(Duration::from_secs(600)), Duration::from_secs(60));
        assert_eq!(pause(Duration::from_secs(60)), Duration::from_secs(6));
    }

    #[test]
    fn a_million_waiting_clients_poll_within_two_minutes() {
        for eta in [None, Some(Duration::from_secs(36_000))] {
            let pause = |spread| PollBudget(100).pause(1_000_000, eta, EVERY, spread);
            assert_eq!(pause(1.0), POLL_CEILING);
            assert!(pause(0.0) < pause(0.5) && pause(0.5) < pause(1.0));
        }
    }

    #[test]
    fn a_client_whose_batch_is_next_polls_just_after_it() {
        let eta = Duration::from_secs(3);
        let pause = |spread| PollBudget(1_000).pause(20_000, Some(eta), EVERY, spread);
        assert_eq!(pause(0.0), eta + AFTER_THE_BATCH);
        assert_eq!(pause(1.0), eta + AFTER_THE_BATCH + Duration::from_secs(1));
    }

    proptest! {
        #[test]
        fn a_pause_stays_between_floor_and_ceiling(
            waiting: u64,
            budget: u32,
            eta: Option<u64>,
            entry_every in 1_u64..,
            spread: f64,
        ) {
            let eta = eta.map(Duration::from_millis);
            let pause = PollBudget(budget).pause(waiting, eta, Duration::from_millis(entry_every), spread);
            prop_assert!(pause >= POLL_FLOOR.mul_f64(1.0 - JITTER) && pause <= POLL_CEILING, "{pause:?}");
        }
    }
}
