-- Pays a reservation. Parameters: user, key or NULL, fingerprint, reservation, place, now.
--
-- It decides on the rows as it finds them. If the reservation changes meanwhile, the answer is 0 and nothing is done.
-- If the account does, the check on the balance ends the statement. The place ends unless its user holds something else
-- that can still be paid, by whichever place.
--
-- Answers: 30 Paid, 31 Unknown, 32 Foreign, 33 Expired, 34 AlreadyPaid, 35 BalanceTooLow, 36 PlaceEnded. Further
-- columns: the date of the seat, and 1 if the place ended.
WITH stored AS MATERIALIZED (
    SELECT fingerprint, answer FROM idempotency WHERE user_id = $1 AND key = $2
), found AS MATERIALIZED (
    SELECT user_id, status, expires_at, price FROM reservations WHERE id = $4
), checked AS MATERIALIZED (
    SELECT CASE
        WHEN (SELECT status = 1 AND user_id = $1 FROM found) THEN 34
        WHEN NOT EXISTS (SELECT 1 FROM queue_places WHERE place = $5 AND ended_at IS NULL) THEN 36
        WHEN NOT EXISTS (SELECT 1 FROM found) THEN 31
        WHEN (SELECT user_id <> $1 FROM found) THEN 32
        WHEN (SELECT status <> 0 OR expires_at <= $6::bigint FROM found) THEN 33
        WHEN coalesce((SELECT balance FROM users WHERE id = $1), 0) < (SELECT price FROM found) THEN 35
        END AS refusal
    WHERE NOT EXISTS (SELECT 1 FROM stored)
), paid AS (
    UPDATE reservations SET status = 1, place = $5
    WHERE id = $4 AND user_id = $1 AND status = 0 AND expires_at > $6
      AND EXISTS (SELECT 1 FROM checked WHERE refusal IS NULL)
    RETURNING seat_id, price
), account AS (
    UPDATE users SET balance = balance - paid.price, version = version + 1, modified_at = $6
    FROM paid WHERE users.id = $1
), entered AS (
    INSERT INTO ledger (user_id, kind, amount, reservation_id, at) SELECT $1, 1, price, $4, $6 FROM paid
), sold AS (
    UPDATE seats SET status = 2, version = version + 1 FROM paid
    WHERE seats.id = paid.seat_id AND seats.status = 1
    RETURNING performance_date_id
), others AS MATERIALIZED (
    SELECT 1 FROM reservations
    WHERE user_id = $1 AND status = 0 AND expires_at > $6 AND id <> $4
), place_ended AS (
    UPDATE queue_places SET ended_at = $6
    WHERE place = $5 AND ended_at IS NULL AND EXISTS (SELECT 1 FROM paid) AND NOT EXISTS (SELECT 1 FROM others)
    RETURNING 1
), decided AS MATERIALIZED (
    SELECT coalesce(refusal, (SELECT 30 FROM paid), 0) AS answer FROM checked
), remembered AS (
    INSERT INTO idempotency (user_id, key, fingerprint, answer, at)
    SELECT $1, $2, $3::bigint, answer, $6 FROM decided WHERE $2 IS NOT NULL AND answer NOT IN (0, 36)
)
SELECT fingerprint, answer, NULL::bigint, NULL::bigint, NULL::bigint, 0::bigint FROM stored
UNION ALL SELECT NULL, answer, NULL, NULL, (SELECT performance_date_id FROM sold),
                 (SELECT count(*) FROM place_ended) FROM decided
