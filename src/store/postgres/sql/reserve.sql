-- Reserves a seat. Parameters: user, key or NULL, fingerprint, place, seat, seen version or NULL, now and the end of
-- the hold (ms), the most live reservations of a user.
--
-- Of two that take the same seat, the later waits for the earlier's commit at "taken". PostgreSQL then reads the row
-- again and finds it not free and at another version.
--
-- Answers: 10 Reserved (id, end of the hold), 11 Taken, 13 Conflict, 14 LimitReached, 15 PlaceEnded. 0: an expired hold
-- is in the way of the seat or of the limit; it must end first.
WITH stored AS MATERIALIZED (
    SELECT fingerprint, answer, answer_first, answer_second FROM idempotency
    WHERE user_id = $1 AND key = $2 AND answer NOT IN (12, 13, 15, 36)
), seen AS MATERIALIZED (
    SELECT version, status FROM seats WHERE id = $5
), live AS MATERIALIZED (
    SELECT slot, status = 0 AND expires_at <= $7::bigint AS has_expired
    FROM reservations WHERE user_id = $1 AND status IN (0, 1)
), found AS MATERIALIZED (
    SELECT EXISTS (SELECT 1 FROM stored) AS answered,
           NOT EXISTS (SELECT 1 FROM queue_places WHERE place = $4 AND ended_at IS NULL) AS ended,
           (SELECT count(*) FROM live) >= $9::bigint AS at_limit,
           (SELECT min(slot) FROM (SELECT 1 AS slot UNION ALL SELECT slot + 1 FROM live) AS next
            WHERE slot NOT IN (SELECT slot FROM live)) AS slot
), taken AS (
    UPDATE seats SET status = 1, version = version + 1
    WHERE id = $5 AND status = 0 AND version = coalesce($6::bigint, (SELECT version FROM seen))
      AND (SELECT NOT answered AND NOT ended AND NOT at_limit FROM found)
    RETURNING performance_date_id, price
), made AS (
    INSERT INTO reservations (seat_id, user_id, price, status, slot, created_at, expires_at, place)
    SELECT $5, $1, price, 0, (SELECT slot FROM found), $7, $8::bigint, $4::bigint FROM taken
    RETURNING id, expires_at
), decided AS MATERIALIZED (
    SELECT CASE
        WHEN ended THEN 15
        WHEN at_limit AND EXISTS (SELECT 1 FROM live WHERE has_expired) THEN 0
        WHEN at_limit THEN 14
        WHEN EXISTS (SELECT 1 FROM made) THEN 10
        WHEN EXISTS (SELECT 1 FROM seen WHERE status = 1 AND version = coalesce($6, version)) AND EXISTS (
            SELECT 1 FROM reservations WHERE seat_id = $5 AND status = 0 AND expires_at <= $7
        ) THEN 0
        WHEN $6 IS NULL AND (SELECT status FROM seen) IS DISTINCT FROM 0 THEN 11
        ELSE 13 END AS answer,
        (SELECT id FROM made) AS answer_first, (SELECT expires_at FROM made) AS answer_second
    FROM found WHERE NOT answered
), remembered AS (
    INSERT INTO idempotency (user_id, key, fingerprint, answer, answer_first, answer_second, at)
    SELECT $1, $2, $3::bigint, answer, answer_first, answer_second, $7 FROM decided
    WHERE $2 IS NOT NULL AND answer NOT IN (0, 13, 15)
)
SELECT fingerprint, answer, answer_first, answer_second, NULL::bigint FROM stored
UNION ALL SELECT NULL, answer, answer_first, answer_second, (SELECT performance_date_id FROM taken) FROM decided
