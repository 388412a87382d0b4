//! Concerts, seats and reservations: list, reserve, cancel.

use std::sync::Arc;
use std::time::Instant;

use super::{ActiveDataset, Booking, Caller, Refusal, SeatMap, replay_or};
use crate::coordination::{Held as HeldLock, SeatLock};
use crate::domain::{
    ConcertId, Money, PerformanceDateId, ReservationId, ReservationStatus, SeatId, SeatStatus,
    Timestamp, UserId,
};
use crate::store::{
    Answer as _, CancelOutcome, Idempotency, Keyed, Reserve, ReserveOutcome, SeatPreview,
};
use crate::telemetry::{LockOutcome, ReservationOutcome, Step};

/// A request to reserve a seat.
#[derive(Clone, Debug)]
pub struct SeatRequest {
    /// The concert that the client named; it must be the seat's.
    pub concert: Option<ConcertId>,
    /// The date that the client named; it must be the seat's.
    pub date: Option<PerformanceDateId>,
    pub seat: SeatId,
    /// The token's user.
    pub user: UserId,
    /// The idempotency key.
    pub key: Option<Idempotency>,
}

/// A new hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub id: ReservationId,
    /// The end of the hold.
    pub expires_at: Timestamp,
}

/// A reservation as its user sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationView {
    pub id: ReservationId,
    pub concert: ConcertId,
    pub date: PerformanceDateId,
    pub seat: SeatId,
    /// The price of the seat.
    pub price: Money,
    /// Its status at the time of reading.
    pub status: ReservationStatus,
    /// The end of the hold; a PENDING reservation must be paid before.
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
        let dataset = self.dataset()?;
        let concerts = &dataset.catalog.concerts;
        let from = concerts.partition_point(|(id, _)| *id <= after);
        let page: Vec<_> = concerts[from..].iter().take(limit).cloned().collect();
        let more = from + page.len() < concerts.len();
        Ok((page, more))
    }

    /// The dates of a concert, each with whether a seat of it is free, which may be older than what a seat map shows.
    /// `http` checks the caller's admission.
    ///
    /// # Errors
    /// [`Refusal::UnknownConcert`], [`Refusal::Store`].
    pub async fn dates(
        &self,
        caller: &Caller,
        concert: ConcertId,
    ) -> Result<Vec<(PerformanceDateId, String, bool)>, Refusal> {
        let dataset = &caller.dataset;
        require_concert(dataset, concert)?;
        let mut dates = Vec::new();
        for at in dataset.dates_of.get(&concert).into_iter().flatten() {
            let (date, _, day) = &dataset.catalog.dates[*at];
            let free = dataset.maps.any_free(&dataset.store, *date).await?;
            dates.push((*date, day.clone(), free));
        }
        Ok(dates)
    }

    /// The seats of a date as of the last commit. Where several servers share the database, they are at most
    /// `Store::shared_for` old. `http` checks the caller's admission.
    ///
    /// # Errors
    /// [`Refusal::UnknownConcert`], [`Refusal::UnknownDate`], [`Refusal::Store`].
    pub async fn seat_map(
        &self,
        caller: &Caller,
        concert: ConcertId,
        date: PerformanceDateId,
    ) -> Result<Arc<SeatMap>, Refusal> {
        let dataset = &caller.dataset;
        require_concert(dataset, concert)?;
        if concert_of(dataset, date) != Some(concert) {
            return Err(Refusal::UnknownDate);
        }
        Ok(dataset.maps.get(&dataset.store, date).await?)
    }

    /// Reserves a seat. Three checks protect it, in this order: seat lock, seat version, unique index of live
    /// reservations. The hold is durable when this returns.
    ///
    /// # Errors
    /// Every [`Refusal`] about seats, limits and keys; [`Refusal::NotAdmitted`], [`Refusal::AdmissionEnded`],
    /// [`Refusal::OutcomeUnknown`], [`Refusal::Store`].
    pub async fn reserve(&self, caller: &Caller, request: SeatRequest) -> Result<Held, Refusal> {
        let (user, key) = (request.user, request.key.clone());
        let reserve = self.reserve_once(caller, request);
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
        request: SeatRequest,
    ) -> Result<Keyed<ReserveOutcome>, Refusal> {
        let dataset = &caller.dataset;
        if let Err(refusal) = caller.require_active() {
            return replay_or(caller, request.key.as_ref(), refusal).await;
        }
        let date = dataset
            .info()
            .date_of(request.seat)
            .ok_or(Refusal::UnknownSeat)?;
        let (seat, user, key) = (request.seat, request.user, request.key.clone());
        let seen = match dataset
            .store
            .preview(seat, user, key, dataset.now())
            .await?
        {
            SeatPreview::Seen {
                replay: Some(replay),
                ..
            } => return Ok(replay),
            SeatPreview::Seen { seat, .. } => Some(seat.ok_or(Refusal::UnknownSeat)?),
            // PostgreSQL and MySQL: `reserve` reads the seat itself.
            SeatPreview::Deferred => None,
        };
        let fits = request.date.is_none_or(|given| given == date)
            && request
                .concert
                .is_none_or(|given| concert_of(dataset, date) == Some(given));
        if !fits {
            return Err(Refusal::SeatMismatch);
        }
        if seen.is_some_and(|seat| seat.status != SeatStatus::Available) {
            return refuse(dataset, request, ReserveOutcome::Taken).await;
        }
        let Some(lock) = self.lock(dataset, &request).await else {
            return refuse(dataset, request, ReserveOutcome::Locked).await;
        };
        let now = dataset.now();
        let reserve = Reserve {
            seat: request.seat,
            seen_version: seen.map(|seat| seat.version),
            user: request.user,
            place: caller.place(),
            now,
            expires_at: now.after(self.rules().hold),
            limit: self.rules().max_live,
        };
        let settled = dataset.store.reserve(reserve, request.key).await;
        // Released before the answer, so that the caller's next request does not find its own lock.
        if let Some(held) = lock {
            held.release().await;
        }
        let settled = settled?;
        // The reservation may have freed the seat of an expired hold. That ends the admission of its user, who has paid
        // for another seat.
        dataset.end_admissions(&settled.ended).await;
        if settled.outcome == Keyed::Fresh(ReserveOutcome::PlaceEnded) {
            dataset.end_admissions(&[caller.place()]).await;
        }
        Ok(settled.outcome)
    }

    /// The lock of the seat. `Some(None)`: the database alone decides. `None`: another request holds the lock.
    async fn lock<'a>(
        &self,
        dataset: &'a ActiveDataset,
        request: &SeatRequest,
    ) -> Option<Option<HeldLock<'a>>> {
        let key = request.key.as_ref();
        let name = key.map(|key| format!("{}/{}", request.user, key.key));
        let asked = Instant::now();
        let mut step = Step::begin("seat.lock");
        let (outcome, lock) = match dataset
            .coordination
            .try_lock(request.seat, name.as_deref())
            .await
        {
            SeatLock::Held(held) => (LockOutcome::Acquired, Some(Some(held))),
            SeatLock::Busy => (LockOutcome::Busy, None),
            // Two requests have the same key: the database accepts one, and the other finds its answer. The lock was
            // busy, so it counts as busy, but the request goes on without it.
            SeatLock::Copy => (LockOutcome::Busy, Some(None)),
            // Version and unique index suffice. The lock only reduces contention in the database.
            SeatLock::Unavailable => (LockOutcome::Failed, Some(None)),
        };
        let backend = dataset.coordination.backend();
        step.note("concert.lock.backend", backend);
        step.note("concert.lock.outcome", outcome.label());
        self.metrics.seat_lock(backend, outcome, asked.elapsed());
        lock
    }

    /// Cancels a hold, also after the admission has ended. The seat is free when this returns.
    ///
    /// # Errors
    /// [`Refusal::UnknownReservation`], [`Refusal::ForeignReservation`], [`Refusal::AlreadyPaid`],
    /// [`Refusal::KeyReused`], [`Refusal::NotAdmitted`], [`Refusal::OutcomeUnknown`], [`Refusal::Store`].
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
        if let Err(refusal) = caller.require_ever_admitted() {
            return replay_or(caller, key.as_ref(), refusal).await;
        }
        let store = &caller.dataset.store;
        let settled = store
            .cancel(id, caller.user(), caller.dataset.now(), key)
            .await?;
        if settled.outcome == Keyed::Fresh(CancelOutcome::Cancelled) {
            self.metrics.reservation(ReservationOutcome::Cancelled);
        }
        caller.dataset.end_admissions(&settled.ended).await;
        Ok(settled.outcome)
    }

    /// At most `limit` reservations of the caller with ids above `after`, by id, and whether more follow. A token whose
    /// admission has ended is accepted.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn reservations(
        &self,
        caller: &Caller,
        after: ReservationId,
        limit: u32,
    ) -> Result<(Vec<ReservationView>, bool), Refusal> {
        let dataset = &caller.dataset;
        let user = caller.user();
        let rows = dataset
            .store
            .reservations_of(user, after, limit + 1)
            .await?;
        let (now, more) = (dataset.now(), rows.len() > limit as usize);
        let view = |row: crate::store::ReservationRow| {
            let date = dataset.info().date_of(row.seat)?;
            let has_run_out = row.status == ReservationStatus::Pending && now >= row.expires_at;
            Some(ReservationView {
                id: row.id,
                concert: concert_of(dataset, date)?,
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
        let page = rows.into_iter().take(limit as usize).filter_map(view);
        Ok((page.collect(), more))
    }
}

/// Answers with a refusal that was decided before a write. A final refusal of a keyed request is stored, so that a
/// repeat gets it again.
async fn refuse(
    dataset: &ActiveDataset,
    request: SeatRequest,
    outcome: ReserveOutcome,
) -> Result<Keyed<ReserveOutcome>, Refusal> {
    match request.key.filter(|_| outcome.is_final()) {
        None => Ok(Keyed::Fresh(outcome)),
        Some(key) => Ok(dataset
            .store
            .remember_refusal(request.user, key, outcome, dataset.now())
            .await?),
    }
}

fn require_concert(dataset: &ActiveDataset, concert: ConcertId) -> Result<(), Refusal> {
    let concerts = &dataset.catalog.concerts;
    match concerts.binary_search_by_key(&concert, |(id, _)| *id) {
        Ok(_) => Ok(()),
        Err(_) => Err(Refusal::UnknownConcert),
    }
}

fn concert_of(dataset: &ActiveDataset, date: PerformanceDateId) -> Option<ConcertId> {
    let dates = &dataset.catalog.dates;
    let at = dates.binary_search_by_key(&date, |(id, ..)| *id).ok()?;
    Some(dates[at].1)
}
