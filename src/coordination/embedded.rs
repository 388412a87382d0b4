//! The queue of one process. It gives places from memory in order of arrival. The store makes them durable.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::locks::SeatLocks;
use super::state::{Flow, QueueState, due_at};
use super::{Claim, Registration, Turn};
use crate::domain::admission_control::{Decision, Measurement, State};
use crate::domain::queue::QueueSnapshot;
use crate::domain::{Place, QueueStatus, Timestamp, UserId};

/// Order, admission and seat locks in memory.
pub struct Embedded {
    pub(super) state: QueueState,
    pub(super) locks: SeatLocks,
    /// The live place of each user, and the last place. One lock covers both, so that the order of arrival is the
    /// order of places.
    order: Mutex<Order>,
    /// The state of the control law of admission.
    law: Mutex<Option<State>>,
}

#[derive(Default)]
struct Order {
    live: HashMap<UserId, Place>,
    last: u64,
}

impl Embedded {
    /// Restores the queue from the store's snapshot. Locks expire after `lock_ttl`.
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
            law: Mutex::new(None),
        }
    }

    /// Gives the next place.
    ///
    /// # Errors
    /// The live place of a user who is already in the queue.
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

    /// Withdraws a place that could not be made durable. Its number stays unused.
    pub fn abandon(&self, user: UserId, registration: Registration) {
        let mut order = self.order.lock();
        if order.live.get(&user) == Some(&registration.place) {
            match registration.replaces {
                Some(earlier) => order.live.insert(user, earlier),
                None => order.live.remove(&user),
            };
        }
    }

    /// Raises the last place to at least `place`.
    pub fn raise(&self, place: Place) {
        let mut order = self.order.lock();
        order.last = order.last.max(place.0);
        self.state.registered_up_to(place);
    }

    /// Records a place that the database gave.
    pub fn keep(&self, user: UserId, place: Place) {
        let mut order = self.order.lock();
        let known = order.live.entry(user).or_insert(place);
        *known = (*known).max(place);
        order.last = order.last.max(place.0);
        self.state.registered_up_to(place);
    }

    /// Claims the batch that is due at `now`. The caller makes it durable and then [publishes](QueueState::publish)
    /// it. Each due time is used once. Batches that were due while the process was down are not made up for.
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
        let from = self.state.watermark();
        let batch = self.state.batch_due(&admission);
        let watermark = from.0.saturating_add(batch);
        let watermark = Place(watermark.min(self.state.registered().0));
        self.state.set_coming(watermark);
        let next = at.after(admission.entry_every());
        *due = Some(if next <= now {
            now.after(admission.entry_every())
        } else {
            next
        });
        (watermark > from).then_some(Claim {
            from,
            watermark,
            at: now,
            id: 0,
        })
    }

    /// The turn to decide. One process always has it.
    pub(super) fn turn(&self, own: &Measurement) -> Turn {
        Turn {
            state: *self.law.lock(),
            worst: *own,
            id: 0,
        }
    }

    /// Applies a decision.
    pub(super) fn apply_decision(&self, next: State, decision: &Decision) {
        *self.law.lock() = Some(next);
        self.state
            .set_flow(Flow::new(decision.rate, decision.admits));
    }

    /// Returns a due batch that could not be made durable. It is retried after `pause`.
    pub fn put_back(&self, now: Timestamp, pause: Duration) {
        *self.state.next_due.lock() = Some(now.after(pause));
        self.state.clear_coming();
    }
}

#[cfg(test)]
mod tests;
