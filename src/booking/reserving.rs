//! Looking at concerts and seats, reserving, giving back.

use std::sync::Arc;
use std::time::Instant;

use super::{Booking, Caller, Refusal, SeatMap, World, replay_or};
use crate::coordination::{Held as HeldLock, SeatLock};
use crate::domain::{
    ConcertId, PerformanceDateId, ReservationId, SeatId, SeatStatus, Timestamp, UserId,
};
use crate::store::{CancelOutcome, Idempotency, Keyed, Look, Reserve, ReserveOutcome};
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
        let answer = self.reserve_keyed(caller, wish).await;
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

    async fn reserve_keyed(
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
        let seen_version = match world.store.look(seat, user, key).await? {
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
        let Some(lock) = self.lock(world, wish.seat).await else {
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
        let answer = world.store.reserve(reserve, wish.key).await;
        // Whoever is told the outcome and comes again meets the seat, not this lock.
        if let Some(held) = lock {
            held.release().await;
        }
        Ok(answer?)
    }

    /// The lock of `seat`, or the leave to do without it; `None` while somebody else holds it.
    async fn lock<'a>(&self, world: &'a World, seat: SeatId) -> Option<Option<HeldLock<'a>>> {
        let asked = Instant::now();
        let mut step = Step::begin("seat.lock");
        let (outcome, lock) = match world.coordination.try_lock(seat).await {
            SeatLock::Held(held) => (LockOutcome::Acquired, Some(Some(held))),
            SeatLock::Busy => (LockOutcome::Busy, None),
            // Version and unique index hold alone; the lock only spares the database.
            SeatLock::Unavailable => (LockOutcome::Failed, Some(None)),
        };
        let backend = world.coordination.backend();
        step.note("concert.lock.backend", backend);
        step.note("concert.lock.outcome", outcome.label());
        self.metrics.seat_lock(backend, outcome, asked.elapsed());
        lock
    }

    /// Gives a hold back; the seat is free when this returns.
    ///
    /// # Errors
    /// [`Refusal::UnknownReservation`], [`Refusal::ForeignReservation`], [`Refusal::AlreadyPaid`],
    /// or the store's.
    pub async fn cancel(&self, caller: &Caller, id: ReservationId) -> Result<(), Refusal> {
        match caller
            .world
            .store
            .cancel(id, caller.user(), caller.world.now())
            .await?
        {
            CancelOutcome::Cancelled => {
                self.metrics.reservation(ReservationOutcome::Cancelled);
                Ok(())
            }
            CancelOutcome::Unknown => Err(Refusal::UnknownReservation),
            CancelOutcome::Foreign => Err(Refusal::ForeignReservation),
            CancelOutcome::AlreadyPaid => Err(Refusal::AlreadyPaid),
        }
    }
}

/// A refusal before the store was asked: remembered only where a repeat could ask for it.
async fn refuse(
    world: &World,
    wish: ReserveWish,
    outcome: ReserveOutcome,
) -> Result<Keyed<ReserveOutcome>, Refusal> {
    match wish.key {
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
