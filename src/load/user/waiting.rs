//! A waiting user as data. A million of them are held at a time, so the record is small, and it has neither a task nor
//! a connection.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use http::HeaderValue;

use super::wait_token::WaitToken;
use crate::api::ticketing::QueueEntry;

/// The shortest pause between two polls, even if the server asks for a shorter one.
pub(super) const LEAST_POLL_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two polls, even if the server asks for a longer one. The service asks for at most 120 s.
/// Earlier versions ask for 660 s when a million users wait.
const MOST_POLL_PAUSE: Duration = Duration::from_secs(900);

/// A user in the queue between two polls. Users are ordered by the due time of their next poll, the earliest as the
/// greatest.
#[derive(Debug)]
pub(in crate::load) struct WaitingUser {
    pub(in crate::load) id: i64,
    /// The due time of the next poll.
    pub(in crate::load) due: Instant,
    pub(super) place: u64,
    /// The promised time of the admission: the first promise after the opening.
    pub(super) promised: Option<Instant>,
    /// The time of sending of the last poll that was answered with WAIT; before it, the opening.
    pub(super) waited_until: Instant,
    token: WaitToken,
    /// The pause before `due`, in milliseconds.
    poll_after_ms: u32,
}

impl WaitingUser {
    /// The user `id` after the registration that was answered at `done`.
    pub(super) fn new(
        id: i64,
        entry: &QueueEntry,
        token: &HeaderValue,
        done: Instant,
    ) -> WaitingUser {
        let pause = poll_pause(entry);
        WaitingUser {
            id,
            due: done + pause,
            place: entry.wait_id,
            promised: None,
            waited_until: done,
            token: WaitToken::of(token),
            poll_after_ms: u32::try_from(pause.as_millis()).unwrap_or(u32::MAX),
        }
    }

    /// Schedules the first poll after the opening. A poll that was due before the opening moves to a random moment
    /// within the pause that the server named, so that not all users poll at the opening. `spread` is a random number
    /// in 0..1.
    pub(in crate::load) fn open(&mut self, opened: Instant, spread: f64) {
        self.waited_until = opened;
        if self.due <= opened {
            let pause = Duration::from_millis(self.poll_after_ms.into());
            self.due = opened + pause.mul_f64(spread);
        }
    }

    pub(super) fn token(&self) -> HeaderValue {
        self.token.header()
    }
}

impl PartialEq for WaitingUser {
    fn eq(&self, other: &WaitingUser) -> bool {
        self.due == other.due
    }
}

impl Eq for WaitingUser {}

impl PartialOrd for WaitingUser {
    fn partial_cmp(&self, other: &WaitingUser) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for WaitingUser {
    fn cmp(&self, other: &WaitingUser) -> Ordering {
        other.due.cmp(&self.due)
    }
}

/// The pause until the next poll that the server asks for.
pub(super) fn poll_pause(entry: &QueueEntry) -> Duration {
    Duration::from_millis(entry.poll_after_ms).clamp(LEAST_POLL_PAUSE, MOST_POLL_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_user_takes_at_most_150_bytes() {
        assert!(
            size_of::<WaitingUser>() <= 150,
            "{}",
            size_of::<WaitingUser>()
        );
    }

    fn entry(poll_after_ms: u64) -> QueueEntry {
        QueueEntry {
            wait_id: 1,
            user_id: 1,
            position_in_queue: 1,
            status: crate::api::ticketing::QueueStatus::Wait,
            eta_seconds: None,
            poll_after_ms,
        }
    }

    #[test]
    fn the_longest_pause_that_the_service_asks_for_is_kept() {
        assert_eq!(poll_pause(&entry(660_000)), Duration::from_secs(660));
        assert_eq!(poll_pause(&entry(0)), LEAST_POLL_PAUSE);
        assert_eq!(poll_pause(&entry(u64::MAX)), MOST_POLL_PAUSE);
    }

    #[test]
    fn polls_that_the_opening_overtook_are_spread_over_their_pause() {
        let registered = Instant::now();
        let waiting = || {
            let token = HeaderValue::from_static("1.1");
            WaitingUser::new(1, &entry(10_000), &token, registered)
        };
        let seconds = Duration::from_secs;
        for (opened, due) in [(5, 10), (10, 15), (60, 65)] {
            let mut waiting = waiting();
            waiting.open(registered + seconds(opened), 0.5);
            assert_eq!(waiting.due - registered, seconds(due), "{opened}");
            assert_eq!(waiting.waited_until - registered, seconds(opened));
        }
    }
}
