-- Gives a hold back. Parameters: user, key or NULL, fingerprint, reservation, now.
--
-- Answers: 40 Cancelled, 41 Unknown, 42 Foreign, 43 AlreadyPaid. 0: the reservation changed meanwhile. Further columns:
-- the date and the place of the hold that ended, and 1 if the reservation is a cancelled one of the user.
WITH stored AS MATERIALIZED (
    SELECT fingerprint, answer FROM idempotency WHERE user_id = $1 AND key = $2
), found AS MATERIALIZED (
    SELECT user_id, status, expires_at FROM reservations WHERE id = $4
), checked AS MATERIALIZED (
    SELECT CASE
        WHEN NOT EXISTS (SELECT 1 FROM found) THEN 41
        WHEN (SELECT user_id <> $1 FROM found) THEN 42
        WHEN (SELECT status = 1 FROM found) THEN 43
        WHEN (SELECT status <> 0 OR expires_at <= $5::bigint FROM found) THEN 41
        END AS refusal
    WHERE NOT EXISTS (SELECT 1 FROM stored)
), ended AS (
    UPDATE reservations SET status = 3
    WHERE id = $4 AND user_id = $1 AND status = 0 AND expires_at > $5
      AND EXISTS (SELECT 1 FROM checked WHERE refusal IS NULL)
    RETURNING seat_id, place
), freed AS (
    UPDATE seats SET status = 0, version = version + 1 FROM ended
    WHERE seats.id = ended.seat_id AND seats.status = 1
    RETURNING performance_date_id
), decided AS MATERIALIZED (
    SELECT coalesce(refusal, (SELECT 40 FROM ended), 0) AS answer FROM checked
), remembered AS (
    INSERT INTO idempotency (user_id, key, fingerprint, answer, at)
    SELECT $1, $2, $3::bigint, answer, $5 FROM decided WHERE $2 IS NOT NULL AND answer <> 0
)
SELECT fingerprint, answer, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, 0::bigint FROM stored
UNION ALL SELECT NULL, answer, NULL, NULL, (SELECT performance_date_id FROM freed), (SELECT place FROM ended),
                 (SELECT count(*) FROM found WHERE user_id = $1 AND status = 3) FROM decided
