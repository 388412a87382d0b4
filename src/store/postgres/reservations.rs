//! Taking and freeing seats, each in one statement and one round trip.

use tokio_postgres::Row;

use super::attempts::Attempts;
use super::fault::Fault;
use super::idempotency::{self, Decision};
use super::pool::Params;
use super::queue::{self, signed};
use crate::domain::{
    Money, PerformanceDateId, Place, ReservationId, ReservationStatus, SeatId, Timestamp, UserId,
};
use crate::store::{
    CancelOutcome, Idempotency, Keyed, ReservationRow, Reserve, ReserveOutcome, StoreError,
};

/// Two requests of one user race for the slot; the later finds the next one, or the limit.
const ONE_A_SLOT: &str = "one_live_reservation_per_slot";
/// The seat is held, whatever its row says.
const ONE_A_SEAT: &str = "one_live_reservation_per_seat";

/// The statement that reserves a seat, for whoever measures it alone. Parameters: user, key or NULL,
/// place, seat, seen version or NULL, now and the end of the hold (ms), fingerprint, most live
/// reservations of a user.
///
/// Of two that take the same seat, the later waits for the earlier's commit at `taken`; PostgreSQL then
/// looks at the row again and finds it not free and at another version. No answer: a hold that has run out
/// is in the way of the seat or the limit, see `END_RUN_OUT`. The texts are those serde makes of
/// [`ReserveOutcome`].
pub const RESERVE: &str = "WITH kept AS MATERIALIZED (
    SELECT fingerprint, answer FROM idempotency WHERE user_id = $1 AND key = $2
      AND answer NOT IN ('\"Locked\"', '\"Conflict\"', '\"PlaceEnded\"')
), seen AS MATERIALIZED (
    SELECT version, status FROM seats WHERE id = $4
), live AS MATERIALIZED (
    SELECT slot, status = 0 AND expires_at <= $6::bigint AS has_run_out
    FROM reservations WHERE user_id = $1 AND status IN (0, 1)
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
    INSERT INTO reservations (seat_id, user_id, price, status, slot, created_at, expires_at, place)
    SELECT $4, $1, price, 0, (SELECT slot FROM standing), $6, $7::bigint, $3::bigint FROM taken
    RETURNING id
), decided AS MATERIALIZED (
    SELECT CASE
        WHEN ended THEN '\"PlaceEnded\"'
        WHEN at_limit THEN CASE WHEN NOT EXISTS (SELECT 1 FROM live WHERE has_run_out) THEN '\"LimitReached\"' END
        WHEN EXISTS (SELECT 1 FROM made) THEN
            '{\"Reserved\":{\"id\":' || (SELECT id FROM made) || ',\"expires_at\":' || $7::bigint || '}}'
        WHEN EXISTS (SELECT 1 FROM seen WHERE status = 1 AND version = coalesce($5, version)) AND EXISTS (
            SELECT 1 FROM reservations WHERE seat_id = $4 AND status = 0 AND expires_at <= $6
        ) THEN NULL
        WHEN $5 IS NULL AND (SELECT status FROM seen) IS DISTINCT FROM 0 THEN '\"Taken\"'
        ELSE '\"Conflict\"' END AS answer
    FROM standing WHERE NOT answered
), remembered AS (
    INSERT INTO idempotency (user_id, key, fingerprint, answer, at)
    SELECT $1, $2, $8::bigint, answer, $6 FROM decided
    WHERE $2 IS NOT NULL AND answer NOT IN ('\"Conflict\"', '\"PlaceEnded\"')
)
SELECT kept.fingerprint, coalesce(kept.answer, decided.answer), (SELECT performance_date_id FROM taken)
FROM standing LEFT JOIN kept ON true LEFT JOIN decided ON true";

/// Puts a seat's row back in agreement with the live reservation that holds it.
const FOLLOW_RESERVATION: &str = "UPDATE seats SET status = r.status + 1
    FROM reservations r WHERE seats.id = $1 AND r.seat_id = seats.id AND r.status IN (0, 1)";

/// Decided like a payment. The texts are those serde makes of [`CancelOutcome`].
const CANCEL: &str = "WITH kept AS MATERIALIZED (
    SELECT fingerprint, answer FROM idempotency WHERE user_id = $1 AND key = $2
), found AS MATERIALIZED (
    SELECT user_id, status, expires_at FROM reservations WHERE id = $3
), standing AS MATERIALIZED (
    SELECT CASE
        WHEN NOT EXISTS (SELECT 1 FROM found) THEN '\"Unknown\"'
        WHEN (SELECT user_id <> $1 FROM found) THEN '\"Foreign\"'
        WHEN (SELECT status = 1 FROM found) THEN '\"AlreadyPaid\"'
        WHEN (SELECT status <> 0 OR expires_at <= $4::bigint FROM found) THEN '\"Unknown\"'
        END AS refusal
    WHERE NOT EXISTS (SELECT 1 FROM kept)
), ended AS (
    UPDATE reservations SET status = 3
    WHERE id = $3 AND user_id = $1 AND status = 0 AND expires_at > $4
      AND EXISTS (SELECT 1 FROM standing WHERE refusal IS NULL)
    RETURNING seat_id, place
), freed AS (
    UPDATE seats SET status = 0, version = version + 1 FROM ended
    WHERE seats.id = ended.seat_id AND seats.status = 1
    RETURNING performance_date_id
), decided AS MATERIALIZED (
    SELECT coalesce(refusal, (SELECT '\"Cancelled\"' FROM ended)) AS answer FROM standing
), remembered AS (
    INSERT INTO idempotency (user_id, key, fingerprint, answer, at)
    SELECT $1, $2, $5::bigint, answer, $4 FROM decided WHERE $2 IS NOT NULL AND answer IS NOT NULL
)
SELECT fingerprint, answer, NULL::bigint, NULL::bigint, false FROM kept
UNION ALL SELECT NULL, answer, (SELECT performance_date_id FROM freed), (SELECT place FROM ended),
                 EXISTS (SELECT 1 FROM found WHERE user_id = $1 AND status = 3) FROM decided";

/// Several servers sweep at a time: each takes what no other has in hand. Parameters: now, most.
const EXPIRE: &str = "WITH due AS MATERIALIZED (
    SELECT id FROM reservations WHERE status = 0 AND expires_at <= $1
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
), ended AS (
    UPDATE reservations SET status = 2 FROM due WHERE reservations.id = due.id RETURNING seat_id, place
), freed AS (
    UPDATE seats SET status = 0, version = version + 1 FROM ended
    WHERE seats.id = ended.seat_id AND seats.status = 1
    RETURNING performance_date_id
)
SELECT (SELECT count(*) FROM ended), ARRAY(SELECT performance_date_id FROM freed),
       ARRAY(SELECT DISTINCT place FROM ended WHERE place IS NOT NULL)";

/// The same for the holds that are in the way of one request. Parameters: now, seat, user.
const END_RUN_OUT: &str = "WITH due AS MATERIALIZED (
    SELECT id FROM reservations WHERE status = 0 AND expires_at <= $1 AND (seat_id = $2 OR user_id = $3)
    ORDER BY id FOR UPDATE
), ended AS (
    UPDATE reservations SET status = 2 FROM due
    WHERE reservations.id = due.id AND reservations.status = 0 RETURNING seat_id, place
), freed AS (
    UPDATE seats SET status = 0, version = version + 1 FROM ended
    WHERE seats.id = ended.seat_id AND seats.status = 1
    RETURNING performance_date_id
)
SELECT (SELECT count(*) FROM ended), ARRAY(SELECT performance_date_id FROM freed),
       ARRAY(SELECT DISTINCT place FROM ended WHERE place IS NOT NULL)";

const OF_USER: &str = "SELECT id, seat_id, price, status, expires_at FROM reservations
    WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3";

/// What a statement decided, the dates of the seats that changed with it, and the places that ended.
pub(super) struct Changed<T> {
    pub(super) outcome: T,
    pub(super) dates: Vec<PerformanceDateId>,
    pub(super) ended: Vec<Place>,
}

pub(super) async fn reserve(
    attempts: &mut Attempts<'_>,
    wish: &Reserve,
    key: Option<&Idempotency>,
) -> Result<Changed<Keyed<ReserveOutcome>>, StoreError> {
    let (name, fingerprint) = parts(key);
    let place = signed(wish.place);
    let decision = Decision {
        sql: RESERVE,
        params: &[
            &wish.user.0,
            &name,
            &place,
            &wish.seat.0,
            &wish.seen_version,
            &wish.now.0,
            &wish.expires_at.0,
            &fingerprint,
            &i64::from(wish.limit),
        ],
        user: wish.user,
        key,
        races: &[ONE_A_SLOT],
    };
    let (mut dates, mut ended) = (Vec::new(), Vec::new());
    let outcome = loop {
        match idempotency::ask(attempts, decision).await {
            // Of a copy of this request, perhaps: the next attempt finds its answer.
            Ok(Some((Keyed::Fresh(ReserveOutcome::Conflict), _)))
                if key.is_some() && wish.seen_version.is_none() => {}
            Ok(Some((outcome, row))) => {
                dates.extend(date(&row, 2));
                break outcome;
            }
            Ok(None) => {
                let sql = END_RUN_OUT;
                let params: Params<'_> = &[&wish.now.0, &wish.seat.0, &wish.user.0];
                let freed = end_holds(attempts, sql, params, wish.now).await?;
                dates.extend(freed.dates);
                ended.extend(freed.ended);
                if freed.outcome > 0 {
                    continue;
                }
            }
            Err(Fault::Violates(constraint)) if constraint == ONE_A_SEAT => {
                attempts.rows(FOLLOW_RESERVATION, &[&wish.seat.0]).await?;
                break Keyed::Fresh(ReserveOutcome::Conflict);
            }
            Err(fault) => return Err(fault.into()),
        }
        let why = "the seat changed meanwhile".to_owned();
        attempts.repeated(why).await?;
    };
    Ok(Changed {
        outcome,
        dates,
        ended,
    })
}

pub(super) async fn cancel(
    attempts: &mut Attempts<'_>,
    id: ReservationId,
    user: UserId,
    now: Timestamp,
    key: Option<&Idempotency>,
) -> Result<Changed<Keyed<CancelOutcome>>, StoreError> {
    let (name, fingerprint) = parts(key);
    let decision = Decision {
        sql: CANCEL,
        params: &[&user.0, &name, &id.0, &now.0, &fingerprint],
        user,
        key,
        races: &[],
    };
    let (mut outcome, row) = idempotency::decide(attempts, decision).await?;
    let is_cancelled: bool = row.get(4);
    if attempts.uncertain() && is_cancelled && outcome == Keyed::Fresh(CancelOutcome::Unknown) {
        // By the attempt whose answer was lost.
        outcome = Keyed::Fresh(CancelOutcome::Cancelled);
    }
    let place: Option<i64> = row.get(3);
    Ok(Changed {
        outcome,
        dates: date(&row, 2).into_iter().collect(),
        ended: queue::end_spent(attempts, place.into_iter().collect(), now).await,
    })
}

/// Ends holds that have run out: how many.
pub(super) async fn expire(
    attempts: &mut Attempts<'_>,
    now: Timestamp,
    most: u32,
) -> Result<Changed<u64>, StoreError> {
    end_holds(attempts, EXPIRE, &[&now.0, &i64::from(most)], now).await
}

async fn end_holds(
    attempts: &mut Attempts<'_>,
    sql: &'static str,
    params: Params<'_>,
    now: Timestamp,
) -> Result<Changed<u64>, StoreError> {
    let rows = attempts.rows(sql, params).await?;
    let row = rows
        .first()
        .ok_or_else(|| Fault::unavailable("it gave no answer"))?;
    let dates: Vec<i64> = row.get(1);
    Ok(Changed {
        outcome: u64::try_from(row.get::<_, i64>(0)).unwrap_or(0),
        dates: dates.into_iter().map(PerformanceDateId).collect(),
        ended: queue::end_spent(attempts, row.get(2), now).await,
    })
}

/// At most `most` reservations of `user` with ids above `after`, by id.
pub(super) async fn of_user(
    attempts: &mut Attempts<'_>,
    user: UserId,
    after: ReservationId,
    most: u32,
) -> Result<Vec<ReservationRow>, StoreError> {
    let params: Params<'_> = &[&user.0, &after.0, &i64::from(most)];
    let rows = attempts.rows(OF_USER, params).await?;
    let row = |row: &Row| {
        Ok(ReservationRow {
            id: ReservationId(row.get(0)),
            seat: SeatId(row.get(1)),
            price: Money(row.get(2)),
            status: status(row.get(3))?,
            expires_at: Timestamp(row.get(4)),
        })
    };
    rows.iter().map(row).collect()
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
        for answer in [
            CancelOutcome::Cancelled,
            CancelOutcome::Unknown,
            CancelOutcome::Foreign,
            CancelOutcome::AlreadyPaid,
        ] {
            let text = serde_json::to_string(&answer).unwrap();
            assert!(CANCEL.contains(&format!("'{text}'")), "{text}");
        }
        let text = serde_json::to_string(&reserved).unwrap();
        assert_eq!(text, r#"{"Reserved":{"id":7,"expires_at":8}}"#);
        for part in [r#"'{"Reserved":{"id":'"#, r#"',"expires_at":'"#, "'}}'"] {
            assert!(RESERVE.contains(part), "{part}");
        }
    }
}
