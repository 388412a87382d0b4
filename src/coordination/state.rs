//! One server's copy of the queue: the watermark, the batches, the settings. A poll reads two atomics and, once
//! admitted, a short list. It takes no lock that a writer holds for long, and makes no I/O.
//!
//! Without Redis this is the only copy; with Redis it is a replica of the shared queue.
//!
//! Joint invariant, in places:
//!
//! ```text
//! 0 ── admitted ──── watermark ──── coming ──── registered
//!      by the clock  known batches  claimed,    last place
//!                    (some begin    not yet     given
//!                    in a moment)   durable
//! ```
//!
//! `admitted ≤ watermark ≤ registered`, and none of the three ever decreases. `coming` is 0 when no batch is
//! claimed. `watermark` is stored after its batch is in `batches`, so a reader that sees it finds the batch.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};

use crate::domain::queue::{Admission, Follow, QueueSnapshot};
use crate::domain::{Place, QueueStatus, Timestamp};

/// The queue as this server sees it.
pub struct QueueState {
    registered: AtomicU64,
    /// The last place of the newest known batch, admitted or announced.
    watermark: AtomicU64,
    /// The highest place that has been admitted so far.
    admitted: AtomicU64,
    /// The last place of a due batch that is not durable yet.
    coming: AtomicU64,
    /// The last place and the start of every batch, in ascending order.
    batches: ArcSwap<Vec<(Place, Timestamp)>>,
    /// Places whose admission ended early.
    ended: RwLock<HashSet<Place>>,
    admission: ArcSwap<Admission>,
    pub(super) next_due: Mutex<Option<Timestamp>>,
    /// The rate while admission follows the objective.
    flow: Mutex<Flow>,
    active_for: Duration,
}

/// Users admitted a second while admission follows the objective.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow {
    /// The rate of the last decision; 0 before the first one.
    pub rate: f64,
    /// `false`: no user is admitted until the next decision.
    pub admits: bool,
    /// The fraction of a user that is due but cannot be admitted yet.
    credit: f64,
}

impl Flow {
    /// The flow of a decision.
    #[must_use]
    pub fn new(rate: f64, admits: bool) -> Flow {
        Flow {
            rate,
            admits,
            credit: 0.0,
        }
    }

    /// The number of users who are due after `time`.
    fn due(&mut self, time: Duration) -> u64 {
        if !self.admits {
            return 0;
        }
        self.credit += self.rate.max(0.0) * time.as_secs_f64();
        let whole = self.credit.floor();
        self.credit -= whole;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number that is not negative; the cast saturates"
        )]
        let people = whole as u64;
        people
    }
}

/// The standing of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// WAIT, ACTIVE or EXPIRED.
    pub status: QueueStatus,
    /// The number of places from the watermark up to this one. 0 after admission.
    pub position: u64,
    /// The time until admission at the current rate. `None` if it cannot be estimated.
    pub eta: Option<Duration>,
}

/// The queue in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// The number of given places.
    pub registered: u64,
    pub watermark: u64,
    /// The number of places beyond the watermark.
    pub waiting: u64,
    /// The number of places that are admitted and have not ended.
    pub active: u64,
}

impl QueueState {
    /// Restores the queue from the store's snapshot.
    #[must_use]
    pub fn restore(snapshot: &QueueSnapshot, active_for: Duration) -> QueueState {
        let ended = snapshot.places.iter().filter(|place| place.2);
        QueueState {
            registered: AtomicU64::new(snapshot.last().0),
            watermark: AtomicU64::new(snapshot.watermark().0),
            // A durable batch is admitted, whatever the clock shows.
            admitted: AtomicU64::new(snapshot.watermark().0),
            coming: AtomicU64::new(0),
            batches: ArcSwap::from_pointee(snapshot.admissions.clone()),
            ended: RwLock::new(ended.map(|&(place, ..)| place).collect()),
            admission: ArcSwap::from_pointee(snapshot.admission.unwrap_or_default()),
            next_due: Mutex::new(None),
            flow: Mutex::default(),
            active_for,
        }
    }

    /// Raises the last place given to `last`; never lowers it.
    pub fn registered_up_to(&self, last: Place) {
        self.registered.fetch_max(last.0, Ordering::AcqRel);
    }

    /// The highest place that was given, as far as this server knows.
    #[must_use]
    pub fn registered(&self) -> Place {
        Place(self.registered.load(Ordering::Acquire))
    }

    /// The watermark of the newest known batch, which may begin in a moment.
    #[must_use]
    pub fn watermark(&self) -> Place {
        Place(self.watermark.load(Ordering::Acquire))
    }

    /// The admitted-up-to watermark at `now`. It never goes back, even if the clock does.
    #[must_use]
    pub fn watermark_at(&self, now: Timestamp) -> Place {
        let (seen, known) = (self.admitted.load(Ordering::Acquire), self.watermark().0);
        if seen == known {
            return Place(seen);
        }
        let batches = self.batches.load();
        let newest = batches.iter().rev().find(|(_, at)| *at <= now);
        let newest = newest.map_or(0, |(watermark, _)| watermark.0);
        Place(
            self.admitted
                .fetch_max(newest, Ordering::AcqRel)
                .max(newest),
        )
    }

    /// The last place whose admission has expired.
    #[must_use]
    pub fn expired_up_to(&self, now: Timestamp) -> Place {
        let batches = self.batches.load();
        let expired = batches.partition_point(|(_, at)| now >= at.after(self.active_for));
        match expired {
            0 => Place(0),
            some => batches[some - 1].0,
        }
    }

    /// Ends the admission of a place early: with its last hold after a payment, or by a new registration.
    pub fn end(&self, place: Place) {
        self.ended.write().insert(place);
    }

    /// The status of `place` at `now`.
    #[must_use]
    pub fn status(&self, place: Place, now: Timestamp) -> QueueStatus {
        if place > self.watermark_at(now) {
            return QueueStatus::Wait;
        }
        let batches = self.batches.load();
        let at = batches.partition_point(|(watermark, _)| *watermark < place);
        let admitted_at = batches.get(at).map_or(now, |(_, at)| *at);
        if now >= admitted_at.after(self.active_for) || self.ended.read().contains(&place) {
            QueueStatus::Expired
        } else {
            QueueStatus::Active
        }
    }

    /// Status, position and estimated time of admission of `place`.
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
        let position = place.0.saturating_sub(self.watermark_at(now).0).max(1);
        Standing {
            status,
            position,
            eta: self.eta(place, now),
        }
    }

    fn eta(&self, place: Place, now: Timestamp) -> Option<Duration> {
        let next_in = self.next_in(now)?;
        // It is read after `next_in`, because the server that claims a batch sets `coming` before it moves the due
        // time.
        let coming = self.coming.load(Ordering::Acquire).max(self.watermark().0);
        let Some(behind) = place.0.checked_sub(coming).filter(|behind| *behind > 0) else {
            // The batch is due. It is being made durable, or begins in a moment.
            return Some(Duration::ZERO);
        };
        let admission = self.admission();
        match admission.follow {
            Follow::Settings => admission.eta(behind, Some(next_in)),
            Follow::Objective => self.eta_at_rate(behind, next_in, &admission),
        }
    }

    /// The wait at the rate of the last decision, or at least the floor.
    fn eta_at_rate(
        &self,
        behind: u64,
        next_in: Duration,
        admission: &Admission,
    ) -> Option<Duration> {
        let rate = self.flow().rate.max(admission.cap().floor());
        #[expect(clippy::cast_precision_loss, reason = "places are fewer than 2^53")]
        let seconds = behind.saturating_sub(1) as f64 / rate;
        let further = Duration::try_from_secs_f64(seconds).ok()?;
        Some(next_in.saturating_add(further))
    }

    /// The rate while admission follows the objective.
    #[must_use]
    pub fn flow(&self) -> Flow {
        *self.flow.lock()
    }

    /// Sets the rate until the next decision. The fraction of a user that is due stays due.
    pub fn set_flow(&self, flow: Flow) {
        let mut now = self.flow.lock();
        *now = Flow {
            credit: now.credit,
            ..flow
        };
    }

    /// The number of users whom the due batch admits.
    pub(super) fn batch_due(&self, admission: &Admission) -> u64 {
        match admission.follow {
            Follow::Settings => admission.batch,
            Follow::Objective => self.flow.lock().due(admission.entry_every()),
        }
    }

    /// Announces a batch up to `watermark` that is being made durable.
    pub(super) fn set_coming(&self, watermark: Place) {
        self.coming.store(watermark.0, Ordering::Release);
    }

    /// Withdraws the announced batch.
    pub(super) fn clear_coming(&self) {
        self.coming.store(0, Ordering::Release);
    }

    /// The time until the next batch is due. `None` while admission is paused or has no opening time.
    #[must_use]
    pub fn next_in(&self, now: Timestamp) -> Option<Duration> {
        let admission = self.admission.load();
        let opens_at = admission.opens_at.filter(|_| !admission.paused)?;
        Some(due_at(*self.next_due.lock(), opens_at, &admission, now).since(now))
    }

    /// The number of places beyond the watermark.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let registered = self.registered.load(Ordering::Acquire);
        registered.saturating_sub(self.watermark.load(Ordering::Acquire))
    }

    /// The admission settings.
    #[must_use]
    pub fn admission(&self) -> Admission {
        **self.admission.load()
    }

    /// Replaces the settings but not the due time, because another server decided both.
    pub(super) fn store_admission(&self, admission: Admission) {
        self.admission.store(Arc::new(admission));
    }

    /// Applies new settings. An opening or a shorter interval takes effect at once.
    pub fn set_admission(&self, admission: Admission, now: Timestamp) {
        let before = self.admission();
        self.admission.store(Arc::new(admission));
        let mut due = self.next_due.lock();
        if admission.opens_at != before.opens_at {
            *due = None;
        } else if let Some(at) = *due {
            *due = Some(at.min(now.after(admission.entry_every())));
        }
    }

    /// Admits all places up to `watermark` from `at` on. `at` may be in the near future, so that all servers begin
    /// together. The watermark never goes back. The batch must be durable.
    pub fn publish(&self, watermark: Place, at: Timestamp) {
        if watermark <= self.watermark() {
            return;
        }
        let mut batches = Vec::clone(&self.batches.load());
        // The newest expired batch represents all expired ones.
        let expired = batches.partition_point(|(_, since)| at >= since.after(self.active_for));
        batches.drain(..expired.saturating_sub(1));
        if expired > 0 {
            let floor = batches[0].0;
            self.ended.write().retain(|place| *place > floor);
        }
        batches.push((watermark, at));
        self.batches.store(Arc::new(batches));
        self.watermark.store(watermark.0, Ordering::Release);
    }

    #[must_use]
    pub fn counts(&self, now: Timestamp) -> QueueCounts {
        let registered = self.registered.load(Ordering::Acquire);
        let watermark = self.watermark_at(now).0;
        let floor = self.expired_up_to(now).0;
        let ended = self
            .ended
            .read()
            .iter()
            .filter(|p| p.0 > floor && p.0 <= watermark)
            .count();
        QueueCounts {
            registered,
            watermark,
            waiting: registered.saturating_sub(watermark),
            active: watermark.saturating_sub(floor).saturating_sub(ended as u64),
        }
    }
}

/// The due time of the next batch. After the opening it is at most one interval away, so that a clock that was set
/// back does not stop admission.
pub(super) fn due_at(
    due: Option<Timestamp>,
    opens_at: Timestamp,
    admission: &Admission,
    now: Timestamp,
) -> Timestamp {
    let at = due.unwrap_or(opens_at).max(opens_at);
    if opens_at <= now {
        at.min(now.after(admission.entry_every()))
    } else {
        at
    }
}
