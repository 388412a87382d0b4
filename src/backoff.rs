//! Pauses between attempts. They double up to a longest pause. A random part keeps several servers from retrying at the
//! same moment.

use std::time::Duration;

/// The pauses of one series of attempts.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    pauses: u32,
}

impl Backoff {
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Backoff {
        Backoff {
            first,
            longest,
            pauses: 0,
        }
    }

    /// The next pause. `share` is a random number in 0..1 from the caller; it keeps several servers from retrying
    /// together.
    pub fn next(&mut self, share: f64) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.pauses.min(16));
        self.pauses = self.pauses.saturating_add(1);
        doubled.min(self.longest).mul_f64(share)
    }

    /// The longest pause.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        self.longest
    }

    /// Restarts with the first pause.
    pub fn reset(&mut self) {
        self.pauses = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_until_they_are_reset() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(1_000));
        assert_eq!(backoff.next(1.0), ms(100));
        assert_eq!(backoff.next(0.5), ms(100));
        assert_eq!(backoff.next(1.0), ms(400));
        assert_eq!(backoff.next(1.0), ms(800));
        for _ in 0..100 {
            assert_eq!(backoff.next(1.0), ms(1_000));
        }
        backoff.reset();
        assert_eq!(backoff.next(1.0), ms(100));
    }
}
