//! Takes and frees seats, each in one statement and one round trip.

use super::queue::{end_spent, signed};
use super::{Dialect, ServerStore};
use crate::domain::{
    Money, PerformanceDateId, ReservationId, ReservationStatus, SeatId, Timestamp, UserId,
    statement,
};
use crate::store::fault::Fault;
use crate::store::keyed::{self, Changed, Decision, parts};
use crate::store::retry::Retry;
use crate::store::values::Params;
use crate::store::{
    CancelOutcome, Idempotency, Keyed, ReservationRow, Reserve, ReserveOutcome, Settled, StoreError,
};

/// Two requests of one user race for a slot. The later one finds the next slot, or the limit.
const ONE_A_SLOT: &str = "one_live_reservation_per_slot";
/// Another live reservation holds the seat, even if the seat's row says that it is free.
const ONE_A_SEAT: &str = "one_live_reservation_per_seat";

impl<D: Dialect> ServerStore<D> {
    pub(in crate::store) async fn reserve(
        &self,
        wish: Reserve,
        key: Option<Idempotency>,
    ) -> Result<Settled<Keyed<ReserveOutcome>>, StoreError> {
        let (name, fingerprint) = parts(key.as_ref());
        let decision = Decision {
            sql: D::SQL.reserve,
            params: &[
                wish.user.0.into(),
                name,
                fingerprint,
                signed(wish.place).into(),
                wish.seat.0.into(),
                wish.seen_version.into(),
                wish.now.0.into(),
                wish.expires_at.0.into(),
                i64::from(wish.limit).into(),
            ],
            key: key.as_ref(),
            race: Some(ONE_A_SLOT),
        };
        let mut retry = self.keyed(statement::RESERVATION_CREATE, key.as_ref());
        let changed = reserve(&mut retry, &wish, &decision).await?;
        Ok(self.settled(changed))
    }

    pub(in crate::store) async fn cancel(
        &self,
        reservation: ReservationId,
        user: UserId,
        now: Timestamp,
        key: Option<Idempotency>,
    ) -> Result<Settled<Keyed<CancelOutcome>>, StoreError> {
        let (name, fingerprint) = parts(key.as_ref());
        let decision = Decision {
            sql: D::SQL.cancel,
            params: &[
                user.0.into(),
                name,
                fingerprint,
                reservation.0.into(),
                now.0.into(),
            ],
            key: key.as_ref(),
            race: None,
        };
        let mut retry = self.safe(statement::RESERVATION_CANCEL);
        let (mut outcome, row) = keyed::decide(&mut retry, &decision).await?;
        let is_cancelled = D::opt(&row, 6)? == Some(1);
        if retry.uncertain() && is_cancelled && outcome == Keyed::Fresh(CancelOutcome::Unknown) {
            // An earlier attempt, whose answer was lost, cancelled it.
            outcome = Keyed::Fresh(CancelOutcome::Cancelled);
        }
        let place = D::opt(&row, 5)?;
        Ok(self.settled(Changed {
            outcome,
            dates: date::<D>(&row, 4)?.into_iter().collect(),
            ended: end_spent(&mut retry, place.into_iter().collect(), now).await,
        }))
    }

    /// Ends up to `most` expired holds. The outcome is their number.
    pub(in crate::store) async fn expire_holds(
        &self,
        now: Timestamp,
        most: u32,
    ) -> Result<Settled<u64>, StoreError> {
        let mut retry = self.safe(statement::RESERVATION_EXPIRE);
        let params: Params<'_> = &[now.0.into(), i64::from(most).into()];
        let changed = end_holds(&mut retry, D::SQL.expire, params, now).await?;
        Ok(self.settled(changed))
    }

    pub(in crate::store) async fn reservations_of(
        &self,
        user: UserId,
        after: ReservationId,
        most: u32,
    ) -> Result<Vec<ReservationRow>, StoreError> {
        let mut retry = self.read(statement::RESERVATIONS_READ);
        let params: Params<'_> = &[user.0.into(), after.0.into(), i64::from(most).into()];
        let reply = retry.run(D::SQL.reservations_of, params).await?;
        let row = |row: &D::Row| {
            Ok(ReservationRow {
                id: ReservationId(D::int(row, 0)?),
                seat: SeatId(D::int(row, 1)?),
                price: Money(D::int(row, 2)?),
                status: status(D::int(row, 3)?)?,
                expires_at: Timestamp(D::int(row, 4)?),
            })
        };
        let rows: Result<Vec<_>, Fault> = reply.rows.iter().map(row).collect();
        Ok(rows?)
    }
}

/// Repeats the decision until neither an expired hold nor a copy of the request prevents it.
async fn reserve<D: Dialect>(
    retry: &mut Retry<'_, D>,
    wish: &Reserve,
    decision: &Decision<'_>,
) -> Result<Changed<Keyed<ReserveOutcome>>, StoreError> {
    let (mut dates, mut ended) = (Vec::new(), Vec::new());
    let outcome = loop {
        match keyed::ask(retry, decision).await {
            // A copy of this request may have taken the seat. The next attempt finds its answer.
            Ok(Some((Keyed::Fresh(ReserveOutcome::Conflict), _)))
                if decision.key.is_some() && wish.seen_version.is_none() => {}
            Ok(Some((outcome, row))) => {
                dates.extend(date::<D>(&row, 4)?);
                break outcome;
            }
            Ok(None) => {
                let params: Params<'_> =
                    &[wish.now.0.into(), wish.seat.0.into(), wish.user.0.into()];
                let freed = end_holds(retry, D::SQL.end_expired, params, wish.now).await?;
                dates.extend(freed.dates);
                ended.extend(freed.ended);
                if freed.outcome > 0 {
                    continue;
                }
            }
            Err(Fault::Violates(index)) if index == ONE_A_SEAT => {
                let seat = wish.seat.0.into();
                retry.run(D::SQL.follow_reservation, &[seat]).await?;
                break Keyed::Fresh(ReserveOutcome::Conflict);
            }
            Err(fault) => return Err(fault.into()),
        }
        let why = "the seat changed meanwhile".to_owned();
        retry.repeated(why).await?;
    };
    Ok(Changed {
        outcome,
        dates,
        ended,
    })
}

/// Ends expired holds. `sql` returns a row for each of them. The outcome is their number.
async fn end_holds<D: Dialect>(
    retry: &mut Retry<'_, D>,
    sql: &'static str,
    params: Params<'_>,
    now: Timestamp,
) -> Result<Changed<u64>, StoreError> {
    let reply = retry.run(sql, params).await?;
    let (mut dates, mut places) = (Vec::new(), Vec::new());
    for row in &reply.rows {
        dates.extend(date::<D>(row, 0)?);
        places.extend(D::opt(row, 1)?);
    }
    places.sort_unstable();
    places.dedup();
    Ok(Changed {
        outcome: reply.rows.len() as u64,
        dates,
        ended: end_spent(retry, places, now).await,
    })
}

pub(super) fn date<D: Dialect>(
    row: &D::Row,
    column: usize,
) -> Result<Option<PerformanceDateId>, Fault> {
    Ok(D::opt(row, column)?.map(PerformanceDateId))
}

fn status(code: i64) -> Result<ReservationStatus, Fault> {
    ReservationStatus::from_code(code)
        .ok_or_else(|| Fault::damaged(format!("{code} is no status of a reservation")))
}
