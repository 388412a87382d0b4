//! What one server knows of the queue: the mark, the batches, the settings. A poll reads two atomics
//! and, once admitted, a short list; it takes no lock that a writer holds for long, and asks nobody.
//!
//! Alone, this is the truth; with the shared queue it follows it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};

use crate::domain::queue::{Admission, QueueSnapshot};
use crate::domain::{Place, QueueStatus, Timestamp};

/// The queue as this server sees it.
pub struct QueueState {
    registered: AtomicU64,
    /// Up to where batches are known, be they in force or announced.
    mark: AtomicU64,
    /// Up to where they were once seen in force.
    in_force: AtomicU64,
    /// Up to where a batch that is due is being made durable.
    coming: AtomicU64,
    /// Every batch: up to which place, since when. Ascending.
    batches: ArcSwap<Vec<(Place, Timestamp)>>,
    /// Places that ended before their time.
    ended: RwLock<HashSet<Place>>,
    admission: ArcSwap<Admission>,
    pub(super) next_due: Mutex<Option<Timestamp>>,
    active_for: Duration,
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
    /// In, and not ended.
    pub active: u64,
}

impl QueueState {
    /// As the store remembers it.
    #[must_use]
    pub fn restore(snapshot: &QueueSnapshot, active_for: Duration) -> QueueState {
        let ended = snapshot.places.iter().filter(|place| place.2);
        QueueState {
            registered: AtomicU64::new(snapshot.last().0),
            mark: AtomicU64::new(snapshot.mark().0),
            // Durable batches are in force, whatever the clock shows.
            in_force: AtomicU64::new(snapshot.mark().0),
            coming: AtomicU64::new(0),
            batches: ArcSwap::from_pointee(snapshot.admissions.clone()),
            ended: RwLock::new(ended.map(|&(place, ..)| place).collect()),
            admission: ArcSwap::from_pointee(snapshot.admission.unwrap_or_default()),
            next_due: Mutex::new(None),
            active_for,
        }
    }

    /// Notes that places up to `last` were handed out; never goes back.
    pub fn registered_up_to(&self, last: Place) {
        self.registered.fetch_max(last.0, Ordering::AcqRel);
    }

    /// The last place handed out, as far as this server knows.
    #[must_use]
    pub fn registered(&self) -> Place {
        Place(self.registered.load(Ordering::Acquire))
    }

    /// Everyone up to here is in, or will be in a moment.
    #[must_use]
    pub fn mark(&self) -> Place {
        Place(self.mark.load(Ordering::Acquire))
    }

    /// Everyone up to here is in. Never goes back, whatever the clock does.
    #[must_use]
    pub fn mark_at(&self, now: Timestamp) -> Place {
        let (seen, known) = (self.in_force.load(Ordering::Acquire), self.mark().0);
        if seen == known {
            return Place(seen);
        }
        let batches = self.batches.load();
        let newest = batches.iter().rev().find(|(_, at)| *at <= now);
        let newest = newest.map_or(0, |(mark, _)| mark.0);
        Place(
            self.in_force
                .fetch_max(newest, Ordering::AcqRel)
                .max(newest),
        )
    }

    /// Everyone up to here was admitted so long ago that it has ended.
    #[must_use]
    pub fn expired_up_to(&self, now: Timestamp) -> Place {
        let batches = self.batches.load();
        let expired = batches.partition_point(|(_, at)| now >= at.after(self.active_for));
        match expired {
            0 => Place(0),
            some => batches[some - 1].0,
        }
    }

    /// Ends a place before its time: with its last hold after a payment, or by a new registration.
    pub fn end(&self, place: Place) {
        self.ended.write().insert(place);
    }

    /// What a token of `place` is worth now.
    #[must_use]
    pub fn status(&self, place: Place, now: Timestamp) -> QueueStatus {
        if place > self.mark_at(now) {
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
        let position = place.0.saturating_sub(self.mark_at(now).0).max(1);
        Standing {
            status,
            position,
            eta: self.eta(place, now),
        }
    }

    fn eta(&self, place: Place, now: Timestamp) -> Option<Duration> {
        let next_in = self.next_in(now)?;
        // In this order: whoever takes a batch notes it before the next one's time.
        let coming = self.coming.load(Ordering::Acquire).max(self.mark().0);
        let Some(behind) = place.0.checked_sub(coming).filter(|behind| *behind > 0) else {
            // Of a batch whose time has come: it is being made durable, or in force in a moment.
            return Some(Duration::ZERO);
        };
        self.admission.load().eta(behind, Some(next_in))
    }

    /// Notes that everyone up to `mark` is let in as soon as that is durable.
    pub(super) fn set_coming(&self, mark: Place) {
        self.coming.store(mark.0, Ordering::Release);
    }

    /// Notes that what was coming is not, for now.
    pub(super) fn nothing_comes(&self) {
        self.coming.store(0, Ordering::Release);
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

    /// Takes settings over, as they are.
    pub(super) fn store_admission(&self, admission: Admission) {
        self.admission.store(Arc::new(admission));
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

    /// Lets everyone up to `mark` in from `at` on, which may be a moment ahead so that all servers
    /// do it at once; never goes back. The batch is on disk by now.
    pub fn publish(&self, mark: Place, at: Timestamp) {
        if mark <= self.mark() {
            return;
        }
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
        let mark = self.mark_at(now).0;
        let floor = self.expired_up_to(now).0;
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
pub(super) fn due_at(
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
