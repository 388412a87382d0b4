//! Seats are taken and freed, each in one statement and one round trip.

use sqlx::postgres::PgRow;

use super::Retry;
use super::columns::{get, int, opt};
use super::queue::{self, signed};
use crate::domain::{
    Money, PerformanceDateId, ReservationId, ReservationStatus, SeatId, Timestamp, UserId,
};
use crate::store::fault::Fault;
use crate::store::keyed::{self, Changed, Decision, parts};
use crate::store::values::Params;
use crate::store::{
    CancelOutcome, Idempotency, Keyed, ReservationRow, Reserve, ReserveOutcome, StoreError,
};

/// Two requests of one user race for the slot. The later finds the next slot, or the limit.
const ONE_A_SLOT: &str = "one_live_reservation_per_slot";
/// The seat is held, whatever its row says.
const ONE_A_SEAT: &str = "one_live_reservation_per_seat";

/// The statement that reserves a seat. The benchmark measures it without the service.
pub const RESERVE: &str = include_str!("sql/reserve.sql");

const CANCEL: &str = include_str!("sql/cancel.sql");

const EXPIRE: &str = include_str!("sql/expire.sql");

const END_EXPIRED: &str = include_str!("sql/end_expired.sql");

/// Corrects a seat's row that contradicts the live reservation of the seat.
const FOLLOW_RESERVATION: &str = "UPDATE seats SET status = r.status + 1
    FROM reservations r WHERE seats.id = $1 AND r.seat_id = seats.id AND r.status IN (0, 1)";

const OF_USER: &str = "SELECT id, seat_id, price, status, expires_at FROM reservations
    WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3";

pub(super) async fn reserve(
    retry: &mut Retry<'_>,
    wish: &Reserve,
    key: Option<&Idempotency>,
) -> Result<Changed<Keyed<ReserveOutcome>>, StoreError> {
    let (name, fingerprint) = parts(key);
    let decision = Decision {
        sql: RESERVE,
        params: &[
            wish.user.0.into(),
            name,
            signed(wish.place).into(),
            wish.seat.0.into(),
            wish.seen_version.into(),
            wish.now.0.into(),
            wish.expires_at.0.into(),
            fingerprint,
            i64::from(wish.limit).into(),
        ],
        key,
        race: Some(ONE_A_SLOT),
    };
    let (mut dates, mut ended) = (Vec::new(), Vec::new());
    let outcome = loop {
        match keyed::ask(retry, &decision).await {
            // A copy of this request may have taken the seat. The next attempt finds its answer.
            Ok(Some((Keyed::Fresh(ReserveOutcome::Conflict), _)))
                if key.is_some() && wish.seen_version.is_none() => {}
            Ok(Some((outcome, row))) => {
                dates.extend(date(&row, 4)?);
                break outcome;
            }
            Ok(None) => {
                let freed = end_expired(retry, wish).await?;
                dates.extend(freed.dates);
                ended.extend(freed.ended);
                if freed.outcome > 0 {
                    continue;
                }
            }
            Err(Fault::Violates(constraint)) if constraint == ONE_A_SEAT => {
                let seat = wish.seat.0.into();
                retry.run(FOLLOW_RESERVATION, &[seat]).await?;
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

/// Ends the expired holds that are in the way of a reservation.
async fn end_expired(retry: &mut Retry<'_>, wish: &Reserve) -> Result<Changed<u64>, StoreError> {
    let params: Params<'_> = &[wish.now.0.into(), wish.seat.0.into(), wish.user.0.into()];
    end_holds(retry, END_EXPIRED, params, wish.now).await
}

pub(super) async fn cancel(
    retry: &mut Retry<'_>,
    id: ReservationId,
    user: UserId,
    now: Timestamp,
    key: Option<&Idempotency>,
) -> Result<Changed<Keyed<CancelOutcome>>, StoreError> {
    let (name, fingerprint) = parts(key);
    let decision = Decision {
        sql: CANCEL,
        params: &[user.0.into(), name, id.0.into(), now.0.into(), fingerprint],
        key,
        race: None,
    };
    let (mut outcome, row) = keyed::decide(retry, &decision).await?;
    let is_cancelled = int(&row, 6)? == 1;
    if retry.uncertain() && is_cancelled && outcome == Keyed::Fresh(CancelOutcome::Unknown) {
        // By the attempt whose answer was lost.
        outcome = Keyed::Fresh(CancelOutcome::Cancelled);
    }
    let place = opt(&row, 5)?;
    Ok(Changed {
        outcome,
        dates: date(&row, 4)?.into_iter().collect(),
        ended: queue::end_spent(retry, place.into_iter().collect(), now).await,
    })
}

/// Ends expired holds. The outcome is their number.
pub(super) async fn expire(
    retry: &mut Retry<'_>,
    now: Timestamp,
    most: u32,
) -> Result<Changed<u64>, StoreError> {
    let params: Params<'_> = &[now.0.into(), i64::from(most).into()];
    end_holds(retry, EXPIRE, params, now).await
}

async fn end_holds(
    retry: &mut Retry<'_>,
    sql: &'static str,
    params: Params<'_>,
    now: Timestamp,
) -> Result<Changed<u64>, StoreError> {
    let reply = retry.run(sql, params).await?;
    let row = reply.rows.first();
    let row = row.ok_or_else(|| Fault::unavailable("it gave no answer"))?;
    let dates: Vec<i64> = get(row, 1)?;
    Ok(Changed {
        outcome: u64::try_from(int(row, 0)?).unwrap_or(0),
        dates: dates.into_iter().map(PerformanceDateId).collect(),
        ended: queue::end_spent(retry, get(row, 2)?, now).await,
    })
}

/// At most `most` reservations of `user` with ids above `after`, by id.
pub(super) async fn of_user(
    retry: &mut Retry<'_>,
    user: UserId,
    after: ReservationId,
    most: u32,
) -> Result<Vec<ReservationRow>, StoreError> {
    let params: Params<'_> = &[user.0.into(), after.0.into(), i64::from(most).into()];
    let reply = retry.run(OF_USER, params).await?;
    let row = |row: &PgRow| {
        Ok(ReservationRow {
            id: ReservationId(int(row, 0)?),
            seat: SeatId(int(row, 1)?),
            price: Money(int(row, 2)?),
            status: status(get(row, 3)?)?,
            expires_at: Timestamp(int(row, 4)?),
        })
    };
    reply.rows.iter().map(row).collect()
}

pub(super) fn date(row: &PgRow, column: usize) -> Result<Option<PerformanceDateId>, Fault> {
    Ok(opt(row, column)?.map(PerformanceDateId))
}

fn status(code: i16) -> Result<ReservationStatus, StoreError> {
    ReservationStatus::from_code(code.into())
        .ok_or_else(|| StoreError::Damaged(format!("{code} is no status of a reservation")))
}
