//! The queue of one process: places are handed out in order of arrival, and everyone up to the mark
//! is in. A poll reads two atomics and, once admitted, a short list; it takes no lock that a writer
//! holds for long.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};

use crate::domain::queue::Admission;
use crate::domain::{Place, QueueStatus, Timestamp, UserId};

/// The queue's state in memory.
pub struct Queue {
    /// User → live place; also hands out places, so that order of arrival is order of place.
    order: Mutex<Order>,
    registered: AtomicU64,
    mark: AtomicU64,
    /// Every batch: up to which place, since when. Ascending.
    batches: ArcSwap<Vec<(Place, Timestamp)>>,
    /// Places used up or left behind before their time.
    ended: RwLock<HashSet<Place>>,
    admission: ArcSwap<Admission>,
    next_due: Mutex<Option<Timestamp>>,
    active_for: Duration,
}

#[derive(Default)]
struct Order {
    live: HashMap<UserId, Place>,
    last: u64,
}

/// A place handed out, to be made durable before it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The new place.
    pub place: Place,
    /// The user's earlier place, which has ended.
    pub replaces: Option<Place>,
}

/// Where a place stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// WAIT, ACTIVE or EXPIRED.
    pub status: QueueStatus,
    /// How many are to be admitted up to and including this one; 0 once admitted.
    pub position: u64,
    /// Until admission by the current rate; `None` while nobody can tell.
    pub eta: Option<Duration>,
}

/// The queue in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Places handed out.
    pub registered: u64,
    /// Everyone up to here is in.
    pub mark: u64,
    /// Behind the mark.
    pub waiting: u64,
    /// In, and neither expired nor used up.
    pub active: u64,
}

impl Queue {
    /// The queue as the store remembers it. `places`: place, user, ended; ascending.
    #[must_use]
    pub fn restore(
        places: &[(Place, UserId, bool)],
        batches: Vec<(Place, Timestamp)>,
        admission: Admission,
        active_for: Duration,
    ) -> Queue {
        let mark = batches.last().map_or(0, |(mark, _)| mark.0);
        // A place that was handed out but not committed is given again, unless a batch went past it.
        let last = places.last().map_or(0, |(place, ..)| place.0).max(mark);
        let live = places
            .iter()
            .filter(|p| !p.2)
            .map(|&(place, user, _)| (user, place))
            .collect();
        let ended = places
            .iter()
            .filter(|p| p.2)
            .map(|&(place, ..)| place)
            .collect();
        Queue {
            order: Mutex::new(Order { live, last }),
            registered: AtomicU64::new(last),
            mark: AtomicU64::new(mark),
            batches: ArcSwap::from_pointee(batches),
            ended: RwLock::new(ended),
            admission: ArcSwap::from_pointee(admission),
            next_due: Mutex::new(None),
            active_for,
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
            && self.status(place, now) != QueueStatus::Expired
        {
            return Err(place);
        }
        order.last += 1;
        let place = Place(order.last);
        order.live.insert(user, place);
        self.registered.store(order.last, Ordering::Release);
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

    /// Ends a place before its time: it was used up by a payment, or left behind.
    pub fn end(&self, place: Place) {
        self.ended.write().insert(place);
    }

    /// What a token of `place` is worth now.
    #[must_use]
    pub fn status(&self, place: Place, now: Timestamp) -> QueueStatus {
        if place.0 > self.mark.load(Ordering::Acquire) {
            return QueueStatus::Wait;
        }
        let batches = self.batches.load();
        let at = batches.partition_point(|(mark, _)| *mark < place);
        let admitted_at = batches.get(at).map_or(now, |(_, at)| *at);
        if now >= admitted_at.after(self.active_for) || self.ended.read().contains(&place) {
            QueueStatus::Expired
        } else {
            QueueStatus::Active
        }
    }

    /// Status, position and promise for `place`.
    #[must_use]
    pub fn standing(&self, place: Place, now: Timestamp) -> Standing {
        let status = self.status(place, now);
        if status != QueueStatus::Wait {
            return Standing {
                status,
                position: 0,
                eta: Some(Duration::ZERO),
            };
        }
        let position = place
            .0
            .saturating_sub(self.mark.load(Ordering::Acquire))
            .max(1);
        let admission = self.admission.load();
        Standing {
            status,
            position,
            eta: admission.eta(position, self.next_in(now)),
        }
    }

    /// Time until the next batch is due; `None` while paused or without an opening time.
    #[must_use]
    pub fn next_in(&self, now: Timestamp) -> Option<Duration> {
        let admission = self.admission.load();
        let opens_at = admission.opens_at.filter(|_| !admission.paused)?;
        Some(due_at(*self.next_due.lock(), opens_at, &admission, now).since(now))
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let registered = self.registered.load(Ordering::Acquire);
        registered.saturating_sub(self.mark.load(Ordering::Acquire))
    }

    /// The admission settings in force.
    #[must_use]
    pub fn admission(&self) -> Admission {
        **self.admission.load()
    }

    /// Puts new settings in force. A sale that opens, or a shorter interval, takes effect at once.
    pub fn set_admission(&self, admission: Admission, now: Timestamp) {
        let before = self.admission();
        self.admission.store(Arc::new(admission));
        let mut due = self.next_due.lock();
        if admission.opens_at != before.opens_at {
            *due = None;
        } else if let Some(at) = *due {
            *due = Some(at.min(now.after(admission.every())));
        }
    }

    /// The batch that is due at `now`, if one is: the mark to be made durable and then
    /// [`publish`](Queue::publish)ed. Moves the due time on, so each due time is used once; batches
    /// that nobody could claim while the process was away are not made up for.
    pub fn take_due(&self, now: Timestamp) -> Option<Place> {
        let admission = self.admission();
        let opens_at = admission.opens_at.filter(|opens| *opens <= now)?;
        if admission.paused {
            return None;
        }
        let mut due = self.next_due.lock();
        let at = due_at(*due, opens_at, &admission, now);
        if now < at {
            return None;
        }
        let next = at.after(admission.every());
        *due = Some(if next <= now {
            now.after(admission.every())
        } else {
            next
        });
        let mark = self.mark.load(Ordering::Acquire);
        let registered = self.registered.load(Ordering::Acquire);
        let next = mark.saturating_add(admission.batch).min(registered);
        (next > mark).then_some(Place(next))
    }

    /// Puts back a due batch that could not be made durable, to be tried again after `pause`.
    pub fn put_back(&self, now: Timestamp, pause: Duration) {
        *self.next_due.lock() = Some(now.after(pause));
    }

    /// Lets everyone up to `mark` in, since `at`. The batch is on disk by now.
    pub fn publish(&self, mark: Place, at: Timestamp) {
        let mut batches = Vec::clone(&self.batches.load());
        // What expired long ago needs no entry of its own; the newest expired one stands for all.
        let expired = batches.partition_point(|(_, since)| at >= since.after(self.active_for));
        batches.drain(..expired.saturating_sub(1));
        if expired > 0 {
            let floor = batches[0].0;
            self.ended.write().retain(|place| *place > floor);
        }
        batches.push((mark, at));
        self.batches.store(Arc::new(batches));
        self.mark.store(mark.0, Ordering::Release);
    }

    /// The queue in numbers.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> QueueCounts {
        let registered = self.registered.load(Ordering::Acquire);
        let mark = self.mark.load(Ordering::Acquire);
        let batches = self.batches.load();
        let expired = batches.partition_point(|(_, at)| now >= at.after(self.active_for));
        let floor = if expired == 0 {
            0
        } else {
            batches[expired - 1].0.0
        };
        let ended = self
            .ended
            .read()
            .iter()
            .filter(|p| p.0 > floor && p.0 <= mark)
            .count();
        QueueCounts {
            registered,
            mark,
            waiting: registered.saturating_sub(mark),
            active: mark.saturating_sub(floor).saturating_sub(ended as u64),
        }
    }
}

/// When the next batch is due. Never further off than one interval once the sale is open, so that a
/// clock that was set back does not stop admission.
fn due_at(
    due: Option<Timestamp>,
    opens_at: Timestamp,
    admission: &Admission,
    now: Timestamp,
) -> Timestamp {
    let at = due.unwrap_or(opens_at).max(opens_at);
    if opens_at <= now {
        at.min(now.after(admission.every()))
    } else {
        at
    }
}

#[cfg(test)]
mod tests;
