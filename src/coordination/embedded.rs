//! The queue of one process: places are handed out in order of arrival from memory, and what must
//! outlive the process is made durable by the store.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::locks::SeatLocks;
use super::state::{QueueState, due_at};
use super::{Claim, Registration};
use crate::domain::queue::QueueSnapshot;
use crate::domain::{Place, QueueStatus, Timestamp, UserId};

/// Order, admission and seat locks in memory.
pub struct Embedded {
    pub(super) state: QueueState,
    pub(super) locks: SeatLocks,
    /// User → live place; also hands out places, so that order of arrival is order of place.
    order: Mutex<Order>,
}

#[derive(Default)]
struct Order {
    live: HashMap<UserId, Place>,
    last: u64,
}

impl Embedded {
    /// The queue as the store remembers it, with locks that run out after `lock_ttl`.
    #[must_use]
    pub fn restore(snapshot: &QueueSnapshot, active_for: Duration, lock_ttl: Duration) -> Embedded {
        let live = snapshot.places.iter().filter(|place| !place.2);
        Embedded {
            state: QueueState::restore(snapshot, active_for),
            locks: SeatLocks::new(lock_ttl),
            order: Mutex::new(Order {
                live: live.map(|&(place, user, _)| (user, place)).collect(),
                last: snapshot.last().0,
            }),
        }
    }

    /// Hands out the next place, or gives the place the user already stands in.
    ///
    /// # Errors
    /// The live place of a user who is in the queue already.
    pub fn register(&self, user: UserId, now: Timestamp) -> Result<Registration, Place> {
        let mut order = self.order.lock();
        let earlier = order.live.get(&user).copied();
        if let Some(place) = earlier
            && self.state.status(place, now) != QueueStatus::Expired
        {
            return Err(place);
        }
        order.last += 1;
        let place = Place(order.last);
        order.live.insert(user, place);
        self.state.registered_up_to(place);
        Ok(Registration {
            place,
            replaces: earlier,
        })
    }

    /// Takes back a place that could not be made durable. The number stays unused.
    pub fn abandon(&self, user: UserId, registration: Registration) {
        let mut order = self.order.lock();
        if order.live.get(&user) == Some(&registration.place) {
            match registration.replaces {
                Some(earlier) => order.live.insert(user, earlier),
                None => order.live.remove(&user),
            };
        }
    }

    /// Makes sure that no place up to `place` is handed out any more.
    pub fn raise(&self, place: Place) {
        let mut order = self.order.lock();
        order.last = order.last.max(place.0);
        self.state.registered_up_to(place);
    }

    /// Takes over a place that the database gave.
    pub fn keep(&self, user: UserId, place: Place) {
        let mut order = self.order.lock();
        let known = order.live.entry(user).or_insert(place);
        *known = (*known).max(place);
        order.last = order.last.max(place.0);
        self.state.registered_up_to(place);
    }

    /// The batch that is due at `now`, if one is: the mark to be made durable and then
    /// [`publish`](QueueState::publish)ed. Moves the due time on, so each due time is used once; batches
    /// that nobody could claim while the process was away are not made up for.
    pub fn take_due(&self, now: Timestamp) -> Option<Claim> {
        let admission = self.state.admission();
        let opens_at = admission.opens_at.filter(|opens| *opens <= now)?;
        if admission.paused {
            return None;
        }
        let mut due = self.state.next_due.lock();
        let at = due_at(*due, opens_at, &admission, now);
        if now < at {
            return None;
        }
        let from = self.state.mark();
        let mark = from.0.saturating_add(admission.batch);
        let mark = Place(mark.min(self.state.registered().0));
        self.state.set_coming(mark);
        let next = at.after(admission.every());
        *due = Some(if next <= now {
            now.after(admission.every())
        } else {
            next
        });
        (mark > from).then_some(Claim {
            from,
            mark,
            at: now,
            id: 0,
        })
    }

    /// Puts back a due batch that could not be made durable, to be tried again after `pause`.
    pub fn put_back(&self, now: Timestamp, pause: Duration) {
        *self.state.next_due.lock() = Some(now.after(pause));
        self.state.nothing_comes();
    }
}

#[cfg(test)]
mod tests;
