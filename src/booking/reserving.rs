//! Looking at concerts and seats, reserving, giving back.

use std::sync::Arc;
use std::time::Instant;

use super::{Booking, Caller, Refusal, SeatMap, World, replay_or};
use crate::coordination::{Held as HeldLock, SeatLock};
use crate::domain::{
    ConcertId, Money, PerformanceDateId, ReservationId, ReservationStatus, SeatId, SeatStatus,
    Timestamp, UserId,
};
use crate::store::{Answer as _, CancelOutcome, Idempotency, Keyed, Look, Reserve, ReserveOutcome};
use crate::telemetry::{LockOutcome, ReservationOutcome, Step};

/// What a caller wants to reserve.
#[derive(Clone, Debug)]
pub struct ReserveWish {
    /// Given, it must fit the seat.
    pub concert: Option<ConcertId>,
    /// Given, it must fit the seat.
    pub date: Option<PerformanceDateId>,
    /// The seat.
    pub seat: SeatId,
    /// The token's user.
    pub user: UserId,
    /// Makes a repeat harmless.
    pub key: Option<Idempotency>,
}

/// A reservation made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its id.
    pub id: ReservationId,
    /// Until when it must be paid.
    pub expires_at: Timestamp,
}

/// A reservation as its user sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationView {
    /// Its id.
    pub id: ReservationId,
    /// The concert.
    pub concert: ConcertId,
    /// The date.
    pub date: PerformanceDateId,
    /// The seat.
    pub seat: SeatId,
    /// What it costs.
    pub price: Money,
    /// Where it stands now.
    pub status: ReservationStatus,
    /// Until when a PENDING one can be paid.
    pub expires_at: Timestamp,
}

impl Booking {
    /// At most `limit` concerts with ids above `after`, and whether more follow.
    ///
    /// # Errors
    /// [`Refusal::NoDataset`].
    pub fn concerts(
        &self,
        after: ConcertId,
        limit: usize,
    ) -> Result<(Vec<(ConcertId, String)>, bool), Refusal> {
        let world = self.world()?;
        let concerts = &world.catalog.concerts;
        let from = concerts.partition_point(|(id, _)| *id <= after);
        let page: Vec<_> = concerts[from..].iter().take(limit).cloned().collect();
        let more = from + page.len() < concerts.len();
        Ok((page, more))
    }

    /// The dates of a concert, each with whether a seat of it is free.
    ///
    /// # Errors
    /// [`Refusal::UnknownConcert`], or the store's.
    pub async fn dates(
        &self,
        caller: &Caller,
        concert: ConcertId,
    ) -> Result<Vec<(PerformanceDateId, String, bool)>, Refusal> {
        let world = &caller.world;
        require_concert(world, concert)?;
        let mut dates = Vec::new();
        for at in world.dates_of.get(&concert).into_iter().flatten() {
            let (date, _, day) = &world.catalog.dates[*at];
            let free = world.maps.any_free(&world.store, *date).await?;
            dates.push((*date, day.clone(), free));
        }
        Ok(dates)
    }

    /// The seats of a date as of the last commit.
    ///
    /// # Errors
    /// [`Refusal::UnknownConcert`], [`Refusal::UnknownDate`], or the store's.
    pub async fn seat_map(
        &self,
        caller: &Caller,
        concert: ConcertId,
        date: PerformanceDateId,
    ) -> Result<Arc<SeatMap>, Refusal> {
        let world = &caller.world;
        require_concert(world, concert)?;
        if concert_of(world, date) != Some(concert) {
            return Err(Refusal::UnknownDate);
        }
        Ok(world.maps.get(&world.store, date).await?)
    }

    /// Holds a seat. Lock, then version, then unique index; on disk when this returns.
    ///
    /// # Errors
    /// Every [`Refusal`] about seats, limits and keys, or the store's.
    pub async fn reserve(&self, caller: &Caller, wish: ReserveWish) -> Result<Held, Refusal> {
        let (user, key) = (wish.user, wish.key.clone());
        let reserve = self.reserve_once(caller, wish);
        let answer = self.copies.run(user, key.as_ref(), reserve).await;
        self.metrics.reservation(match &answer {
            Ok(Keyed::Fresh(ReserveOutcome::Reserved { .. })) => ReservationOutcome::Reserved,
            Ok(Keyed::Fresh(ReserveOutcome::Taken)) => ReservationOutcome::Taken,
            Ok(Keyed::Fresh(ReserveOutcome::Locked)) => ReservationOutcome::Locked,
            Ok(Keyed::Fresh(ReserveOutcome::Conflict)) => ReservationOutcome::Conflict,
            Ok(Keyed::Fresh(ReserveOutcome::LimitReached)) => ReservationOutcome::LimitReached,
            Ok(Keyed::Fresh(ReserveOutcome::PlaceEnded)) => ReservationOutcome::Rejected,
            Ok(Keyed::Replayed(_)) => ReservationOutcome::Replayed,
            Ok(Keyed::Mismatch) => ReservationOutcome::Rejected,
            Err(Refusal::Store(_)) => ReservationOutcome::Failed,
            Err(_) => ReservationOutcome::Rejected,
        });
        match answer? {
            Keyed::Mismatch => Err(Refusal::KeyReused),
            Keyed::Fresh(outcome) | Keyed::Replayed(outcome) => match outcome {
                ReserveOutcome::Reserved { id, expires_at } => Ok(Held { id, expires_at }),
                ReserveOutcome::Taken | ReserveOutcome::Conflict => Err(Refusal::SeatTaken),
                ReserveOutcome::Locked => Err(Refusal::SeatLocked),
                ReserveOutcome::LimitReached => {
                    Err(Refusal::ReservationLimit(self.rules().max_live))
                }
                ReserveOutcome::PlaceEnded => Err(Refusal::AdmissionEnded),
            },
        }
    }

    async fn reserve_once(
        &self,
        caller: &Caller,
        wish: ReserveWish,
    ) -> Result<Keyed<ReserveOutcome>, Refusal> {
        let world = &caller.world;
        if let Err(refusal) = caller.require_active() {
            return replay_or(caller, wish.key.as_ref(), refusal).await;
        }
        let date = world
            .info()
            .date_of(wish.seat)
            .ok_or(Refusal::UnknownSeat)?;
        let (seat, user, key) = (wish.seat, wish.user, wish.key.clone());
        let seen_version = match world.store.look(seat, user, key, world.now()).await? {
            Look::Seen {
                replay: Some(replay),
                ..
            } => return Ok(replay),
            Look::Seen { seat, .. } => Some(seat.ok_or(Refusal::UnknownSeat)?),
            Look::Later => None,
        };
        let fits = wish.date.is_none_or(|given| given == date)
            && wish
                .concert
                .is_none_or(|given| concert_of(world, date) == Some(given));
        if !fits {
            return Err(Refusal::SeatMismatch);
        }
        if seen_version.is_some_and(|seat| seat.status != SeatStatus::Available) {
            return refuse(world, wish, ReserveOutcome::Taken).await;
        }
        let Some(lock) = self.lock(world, &wish).await else {
            return refuse(world, wish, ReserveOutcome::Locked).await;
        };
        let now = world.now();
        let reserve = Reserve {
            seat: wish.seat,
            seen_version: seen_version.map(|seat| seat.version),
            user: wish.user,
            place: caller.place(),
            now,
            expires_at: now.after(self.rules().hold),
            limit: self.rules().max_live,
        };
        let settled = world.store.reserve(reserve, wish.key).await;
        // A caller that has its answer and comes again meets the seat, not this lock.
        if let Some(held) = lock {
            held.release().await;
        }
        let settled = settled?;
        world.end(&settled.ended).await;
        if settled.outcome == Keyed::Fresh(ReserveOutcome::PlaceEnded) {
            world.end(&[caller.place()]).await;
        }
        Ok(settled.outcome)
    }

    /// The lock of the seat, or the leave to do without it; `None` while another request holds it.
    async fn lock<'a>(&self, world: &'a World, wish: &ReserveWish) -> Option<Option<HeldLock<'a>>> {
        let key = wish.key.as_ref();
        let request = key.map(|key| format!("{}/{}", wish.user, key.key));
        let asked = Instant::now();
        let mut step = Step::begin("seat.lock");
        let (outcome, lock) = match world
            .coordination
            .try_lock(wish.seat, request.as_deref())
            .await
        {
            SeatLock::Held(held) => (LockOutcome::Acquired, Some(Some(held))),
            SeatLock::Busy => (LockOutcome::Busy, None),
            // The unique key decides between copies, and the later finds the answer of the earlier.
            SeatLock::Copy => (LockOutcome::Busy, Some(None)),
            // Version and unique index hold alone; the lock only spares the database.
            SeatLock::Unavailable => (LockOutcome::Failed, Some(None)),
        };
        let backend = world.coordination.backend();
        step.note("concert.lock.backend", backend);
        step.note("concert.lock.outcome", outcome.label());
        self.metrics.seat_lock(backend, outcome, asked.elapsed());
        lock
    }

    /// Gives a hold back; the seat is free when this returns. Also after the time of the admission.
    ///
    /// # Errors
    /// [`Refusal::UnknownReservation`], [`Refusal::ForeignReservation`], [`Refusal::AlreadyPaid`],
    /// [`Refusal::KeyReused`], or the store's.
    pub async fn cancel(
        &self,
        caller: &Caller,
        id: ReservationId,
        key: Option<Idempotency>,
    ) -> Result<(), Refusal> {
        let cancel = self.cancel_once(caller, id, key.clone());
        match self.copies.run(caller.user(), key.as_ref(), cancel).await? {
            Keyed::Mismatch => Err(Refusal::KeyReused),
            Keyed::Fresh(outcome) | Keyed::Replayed(outcome) => match outcome {
                CancelOutcome::Cancelled => Ok(()),
                CancelOutcome::Unknown => Err(Refusal::UnknownReservation),
                CancelOutcome::Foreign => Err(Refusal::ForeignReservation),
                CancelOutcome::AlreadyPaid => Err(Refusal::AlreadyPaid),
            },
        }
    }

    async fn cancel_once(
        &self,
        caller: &Caller,
        id: ReservationId,
        key: Option<Idempotency>,
    ) -> Result<Keyed<CancelOutcome>, Refusal> {
        if let Err(refusal) = caller.require_admitted_once() {
            return replay_or(caller, key.as_ref(), refusal).await;
        }
        let store = &caller.world.store;
        let settled = store
            .cancel(id, caller.user(), caller.world.now(), key)
            .await?;
        if settled.outcome == Keyed::Fresh(CancelOutcome::Cancelled) {
            self.metrics.reservation(ReservationOutcome::Cancelled);
        }
        caller.world.end(&settled.ended).await;
        Ok(settled.outcome)
    }

    /// At most `most` reservations of the caller with ids above `after`, by id, and whether more follow.
    /// A token that has ended will do: what it bought is still its user's.
    ///
    /// # Errors
    /// The store's.
    pub async fn reservations(
        &self,
        caller: &Caller,
        after: ReservationId,
        most: u32,
    ) -> Result<(Vec<ReservationView>, bool), Refusal> {
        let world = &caller.world;
        let user = caller.user();
        let rows = world.store.reservations_of(user, after, most + 1).await?;
        let (now, more) = (world.now(), rows.len() > most as usize);
        let view = |row: crate::store::ReservationRow| {
            let date = world.info().date_of(row.seat)?;
            let has_run_out = row.status == ReservationStatus::Pending && now >= row.expires_at;
            Some(ReservationView {
                id: row.id,
                concert: concert_of(world, date)?,
                date,
                seat: row.seat,
                price: row.price,
                status: match has_run_out {
                    true => ReservationStatus::Expired,
                    false => row.status,
                },
                expires_at: row.expires_at,
            })
        };
        let page = rows.into_iter().take(most as usize).filter_map(view);
        Ok((page.collect(), more))
    }
}

/// A refusal before the store was asked: remembered only where a repeat could ask for it.
async fn refuse(
    world: &World,
    wish: ReserveWish,
    outcome: ReserveOutcome,
) -> Result<Keyed<ReserveOutcome>, Refusal> {
    match wish.key.filter(|_| outcome.is_final()) {
        None => Ok(Keyed::Fresh(outcome)),
        Some(key) => Ok(world
            .store
            .remember_refusal(wish.user, key, outcome, world.now())
            .await?),
    }
}

fn require_concert(world: &World, concert: ConcertId) -> Result<(), Refusal> {
    let concerts = &world.catalog.concerts;
    match concerts.binary_search_by_key(&concert, |(id, _)| *id) {
        Ok(_) => Ok(()),
        Err(_) => Err(Refusal::UnknownConcert),
    }
}

fn concert_of(world: &World, date: PerformanceDateId) -> Option<ConcertId> {
    let dates = &world.catalog.dates;
    let at = dates.binary_search_by_key(&date, |(id, ..)| *id).ok()?;
    Some(dates[at].1)
}
