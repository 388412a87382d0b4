//! Seat locks within one process. They keep contention for a seat away from the database.
//!
//! A request tries a lock and never waits for it: the second request learns that another one is reserving the seat.
//! Each lock has a fencing value. Only the holder with that value releases it, so that a holder whose lock expired
//! cannot release its successor's lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::domain::SeatId;

const STRIPES: usize = 64;

/// All seat locks of this process.
#[derive(Debug)]
pub struct SeatLocks {
    stripes: Box<[Mutex<HashMap<SeatId, Held>>]>,
    fence: AtomicU64,
    ttl: Duration,
}

#[derive(Debug)]
struct Held {
    fence: u64,
    until: Instant,
    /// The keyed request that holds it, if it is one.
    request: Option<Box<str>>,
}

/// The result of an attempt to lock.
#[derive(Debug)]
pub enum Tried<'a> {
    /// The lock was taken.
    Held(LockGuard<'a>),
    /// Another request holds it.
    Busy,
    /// A copy of the same keyed request holds it.
    Copy,
}

/// A held lock. Dropping it releases it.
#[derive(Debug)]
pub struct LockGuard<'a> {
    locks: &'a SeatLocks,
    seat: SeatId,
    /// Rises with every lock that is taken, so a later holder has a higher value.
    pub fence: u64,
}

impl SeatLocks {
    /// Locks that expire after `ttl` even if their holder never releases them.
    #[must_use]
    pub fn new(ttl: Duration) -> SeatLocks {
        SeatLocks {
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            fence: AtomicU64::new(1),
            ttl,
        }
    }

    /// Tries to lock `seat`, unless another request holds the lock. `request` names the keyed request, if it is one.
    pub fn try_lock(&self, seat: SeatId, request: Option<&str>) -> Tried<'_> {
        let now = Instant::now();
        let mut stripe = self.stripe(seat).lock();
        if let Some(held) = stripe.get(&seat).filter(|held| now < held.until) {
            let is_copy = request.is_some() && held.request.as_deref() == request;
            return if is_copy { Tried::Copy } else { Tried::Busy };
        }
        let fence = self.fence.fetch_add(1, Ordering::Relaxed);
        stripe.insert(
            seat,
            Held {
                fence,
                until: now + self.ttl,
                request: request.map(Box::from),
            },
        );
        Tried::Held(LockGuard {
            locks: self,
            seat,
            fence,
        })
    }

    fn stripe(&self, seat: SeatId) -> &Mutex<HashMap<SeatId, Held>> {
        let at = seat.0.unsigned_abs() as usize % self.stripes.len();
        &self.stripes[at]
    }
}

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        let mut stripe = self.locks.stripe(self.seat).lock();
        if stripe
            .get(&self.seat)
            .is_some_and(|held| held.fence == self.fence)
        {
            stripe.remove(&self.seat);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(tried: Tried<'_>) -> LockGuard<'_> {
        match tried {
            Tried::Held(guard) => guard,
            other => panic!("not taken: {other:?}"),
        }
    }

    #[test]
    fn a_seat_is_locked_by_one_until_it_is_released() {
        let locks = SeatLocks::new(Duration::from_secs(60));
        let first = taken(locks.try_lock(SeatId(1), None));
        assert!(matches!(locks.try_lock(SeatId(1), None), Tried::Busy));
        // Another seat of the same stripe.
        drop(taken(locks.try_lock(SeatId(65), None)));
        drop(first);
        drop(taken(locks.try_lock(SeatId(1), None)));
    }

    #[test]
    fn a_copy_of_the_request_that_holds_a_lock_is_distinguished_from_others() {
        let locks = SeatLocks::new(Duration::from_secs(60));
        let first = taken(locks.try_lock(SeatId(1), Some("7/a")));
        assert!(matches!(
            locks.try_lock(SeatId(1), Some("7/a")),
            Tried::Copy
        ));
        assert!(matches!(
            locks.try_lock(SeatId(1), Some("7/b")),
            Tried::Busy
        ));
        assert!(matches!(locks.try_lock(SeatId(1), None), Tried::Busy));
        drop(first);
        let unkeyed = taken(locks.try_lock(SeatId(1), None));
        assert!(matches!(locks.try_lock(SeatId(1), None), Tried::Busy));
        drop(unkeyed);
    }

    #[test]
    fn a_holder_whose_lock_ran_out_does_not_release_its_successors() {
        let locks = SeatLocks::new(Duration::ZERO);
        let late = taken(locks.try_lock(SeatId(1), None));
        // The first lock expired at once.
        let successor = taken(locks.try_lock(SeatId(1), None));
        assert!(successor.fence > late.fence);
        drop(late);
        let held = locks
            .stripe(SeatId(1))
            .lock()
            .get(&SeatId(1))
            .map(|held| held.fence);
        assert_eq!(held, Some(successor.fence));
    }
}
