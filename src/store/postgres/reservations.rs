//! Taking and freeing seats, each in one statement and one round trip.

use tokio_postgres::Row;

use super::attempts::Attempts;
use super::fault::Fault;
use super::idempotency;
use super::pool::Params;
use crate::domain::reservation::TransitionError;
use crate::domain::{PerformanceDateId, ReservationId, ReservationStatus, Timestamp, UserId};
use crate::store::{CancelOutcome, Idempotency, Keyed, Reserve, ReserveOutcome, StoreError};

/// Two requests of one user race for the slot; the later finds the next one, or the limit.
const ONE_A_SLOT: &str = "one_live_reservation_per_slot";
/// The seat is held, whatever its row says.
const ONE_A_SEAT: &str = "one_live_reservation_per_seat";

/// The statement that reserves a seat, for whoever measures it alone. Parameters: user, key or NULL,
/// place, seat, seen version or NULL, now and the end of the hold (ms), fingerprint, most live
/// reservations of a user.
///
/// Of two that take the same seat, the later waits for the earlier's commit at `taken`; PostgreSQL then
/// looks at the row again and finds it not free and at another version. The texts are those serde makes
/// of [`ReserveOutcome`].
pub const RESERVE: &str = "WITH kept AS MATERIALIZED (
    SELECT fingerprint, answer FROM idempotency WHERE user_id = $1 AND key = $2
), seen AS MATERIALIZED (
    SELECT version, status FROM seats WHERE id = $4
), live AS MATERIALIZED (
    SELECT slot FROM reservations WHERE user_id = $1 AND status IN (0, 1)
), standing AS MATERIALIZED (
    SELECT EXISTS (SELECT 1 FROM kept) AS answered,
           NOT EXISTS (SELECT 1 FROM queue_places WHERE place = $3 AND ended_at IS NULL) AS ended,
           (SELECT count(*) FROM live) >= $9::bigint AS at_limit,
           (SELECT min(slot) FROM (SELECT 1 AS slot UNION ALL SELECT slot + 1 FROM live) AS next
            WHERE slot NOT IN (SELECT slot FROM live)) AS slot
), taken AS (
    UPDATE seats SET status = 1, version = version + 1
    WHERE id = $4 AND status = 0 AND version = coalesce($5::bigint, (SELECT version FROM seen))
      AND (SELECT NOT answered AND NOT ended AND NOT at_limit FROM standing)
    RETURNING performance_date_id, price
), made AS (
    INSERT INTO reservations (seat_id, user_id, price, status, slot, created_at, expires_at)
    SELECT $4, $1, price, 0, (SELECT slot FROM standing), $6::bigint, $7::bigint FROM taken
    RETURNING id
), decided AS MATERIALIZED (
    SELECT CASE
        WHEN ended THEN '\"PlaceEnded\"'
        WHEN at_limit THEN '\"LimitReached\"'
        WHEN EXISTS (SELECT 1 FROM made) THEN
            '{\"Reserved\":{\"id\":' || (SELECT id FROM made) || ',\"expires_at\":' || $7::bigint || '}}'
        WHEN $5 IS NULL AND (SELECT status FROM seen) IS DISTINCT FROM 0 THEN '\"Taken\"'
        ELSE '\"Conflict\"' END AS answer
    FROM standing WHERE NOT answered
), remembered AS (
    INSERT INTO idempotency (user_id, key, fingerprint, answer, at)
    SELECT $1, $2, $8::bigint, answer, $6 FROM decided WHERE $2 IS NOT NULL
)
SELECT kept.fingerprint, coalesce(kept.answer, decided.answer), (SELECT performance_date_id FROM taken)
FROM standing LEFT JOIN kept ON true LEFT JOIN decided ON true";

/// Puts a seat's row back in agreement with the live reservation that holds it.
const FOLLOW_RESERVATION: &str = "UPDATE seats SET status = r.status + 1
    FROM reservations r WHERE seats.id = $1 AND r.seat_id = seats.id AND r.status IN (0, 1)";

const CANCEL: &str = "WITH found AS MATERIALIZED (
    SELECT user_id, status, expires_at FROM reservations WHERE id = $1
), ended AS (
    UPDATE reservations SET status = 3
    WHERE id = $1 AND user_id = $2 AND status = 0 AND expires_at > $3
    RETURNING seat_id
), freed AS (
    UPDATE seats SET status = 0, version = version + 1 FROM ended
    WHERE seats.id = ended.seat_id AND seats.status = 1
    RETURNING performance_date_id
)
SELECT user_id, status, expires_at, EXISTS (SELECT 1 FROM ended), (SELECT performance_date_id FROM freed)
FROM found";

/// Several servers sweep at a time: each takes what no other has in hand.
const EXPIRE: &str = "WITH due AS MATERIALIZED (
    SELECT id FROM reservations WHERE status = 0 AND expires_at <= $1
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
), ended AS (
    UPDATE reservations SET status = 2 FROM due WHERE reservations.id = due.id RETURNING seat_id
), freed AS (
    UPDATE seats SET status = 0, version = version + 1 FROM ended
    WHERE seats.id = ended.seat_id AND seats.status = 1
    RETURNING performance_date_id
)
SELECT (SELECT count(*) FROM ended), ARRAY(SELECT performance_date_id FROM freed)";

/// What was decided, and the date of the seat that changed with it.
pub(super) type Changed<T> = (T, Option<PerformanceDateId>);

pub(super) async fn reserve(
    attempts: &mut Attempts<'_>,
    wish: &Reserve,
    key: Option<&Idempotency>,
) -> Result<Changed<Keyed<ReserveOutcome>>, StoreError> {
    let (name, fingerprint) = parts(key);
    let place = i64::try_from(wish.place.0).unwrap_or(i64::MAX);
    let params: Params<'_> = &[
        &wish.user.0,
        &name,
        &place,
        &wish.seat.0,
        &wish.seen_version,
        &wish.now.0,
        &wish.expires_at.0,
        &fingerprint,
        &i64::from(wish.limit),
    ];
    match idempotency::decide(attempts, RESERVE, params, key, &[ONE_A_SLOT]).await {
        Ok((answer, row)) => Ok((answer, date(&row, 2))),
        Err(Fault::Violates(constraint)) if constraint == ONE_A_SEAT => {
            attempts.rows(FOLLOW_RESERVATION, &[&wish.seat.0]).await?;
            let refusal = ReserveOutcome::Conflict;
            let answer = match key {
                Some(key) => {
                    idempotency::remember(attempts, wish.user, key, &refusal, wish.now).await?
                }
                None => Keyed::Fresh(refusal),
            };
            Ok((answer, None))
        }
        Err(fault) => Err(fault.into()),
    }
}

pub(super) async fn cancel(
    attempts: &mut Attempts<'_>,
    id: ReservationId,
    user: UserId,
    now: Timestamp,
) -> Result<Changed<CancelOutcome>, StoreError> {
    loop {
        let rows = attempts.rows(CANCEL, &[&id.0, &user.0, &now.0]).await?;
        let Some(row) = rows.first() else {
            return Ok((CancelOutcome::Unknown, None));
        };
        if row.get(3) {
            return Ok((CancelOutcome::Cancelled, date(row, 4)));
        }
        let status = status(row.get(1))?;
        if row.get::<_, i64>(0) != user.0 {
            return Ok((CancelOutcome::Foreign, None));
        }
        if attempts.uncertain() && status == ReservationStatus::Cancelled {
            // By the attempt whose answer was lost.
            return Ok((CancelOutcome::Cancelled, None));
        }
        if status == ReservationStatus::Pending && now >= Timestamp(row.get(2)) {
            return Ok((CancelOutcome::Unknown, None));
        }
        match status.cancel() {
            Err(TransitionError::AlreadyPaid) => return Ok((CancelOutcome::AlreadyPaid, None)),
            Err(TransitionError::Expired) => return Ok((CancelOutcome::Unknown, None)),
            // It was live when the statement began, and somebody else's statement ended it.
            Ok(_) => attempts.repeated("it changed meanwhile".to_owned()).await?,
        }
    }
}

/// Ends holds that ran out: how many, and the date of each seat that is free again.
pub(super) async fn expire(
    attempts: &mut Attempts<'_>,
    now: Timestamp,
    most: u32,
) -> Result<(u64, Vec<PerformanceDateId>), StoreError> {
    let rows = attempts.rows(EXPIRE, &[&now.0, &i64::from(most)]).await?;
    let Some(row) = rows.first() else {
        return Ok((0, Vec::new()));
    };
    let dates: Vec<i64> = row.get(1);
    let ended = u64::try_from(row.get::<_, i64>(0)).unwrap_or(0);
    Ok((ended, dates.into_iter().map(PerformanceDateId).collect()))
}

/// Key and fingerprint as parameters.
pub(super) fn parts(key: Option<&Idempotency>) -> (Option<&str>, Option<i64>) {
    (
        key.map(|key| key.key.as_str()),
        key.map(|key| key.fingerprint),
    )
}

pub(super) fn date(row: &Row, column: usize) -> Option<PerformanceDateId> {
    row.get::<_, Option<i64>>(column).map(PerformanceDateId)
}

fn status(code: i16) -> Result<ReservationStatus, StoreError> {
    ReservationStatus::from_code(code.into())
        .ok_or_else(|| StoreError::Damaged(format!("{code} is no status of a reservation")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_that_sql_writes_are_those_that_serde_reads() {
        for answer in [
            ReserveOutcome::Taken,
            ReserveOutcome::Conflict,
            ReserveOutcome::LimitReached,
            ReserveOutcome::PlaceEnded,
        ] {
            let text = serde_json::to_string(&answer).unwrap();
            assert!(RESERVE.contains(&format!("'{text}'")), "{text}");
        }
        let reserved = ReserveOutcome::Reserved {
            id: ReservationId(7),
            expires_at: Timestamp(8),
        };
        let text = serde_json::to_string(&reserved).unwrap();
        assert_eq!(text, r#"{"Reserved":{"id":7,"expires_at":8}}"#);
        for part in [r#"'{"Reserved":{"id":'"#, r#"',"expires_at":'"#, "'}}'"] {
            assert!(RESERVE.contains(part), "{part}");
        }
    }
}
