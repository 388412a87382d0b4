-- Ends the expired holds that are in the way of one request. Parameters: now, seat, user. Columns: the number that
-- ended, the dates of their seats, their places.
WITH due AS MATERIALIZED (
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
       ARRAY(SELECT DISTINCT place FROM ended WHERE place IS NOT NULL)
