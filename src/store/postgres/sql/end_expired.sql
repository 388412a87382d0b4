-- Ends the expired holds that are in the way of one request. Parameters: now, seat, user. A row for each hold:
-- the date of its seat, its place.
WITH due AS MATERIALIZED (
    SELECT id FROM reservations WHERE status = 0 AND expires_at <= $1 AND (seat_id = $2 OR user_id = $3)
    ORDER BY id FOR UPDATE
), ended AS (
    UPDATE reservations SET status = 2 FROM due
    WHERE reservations.id = due.id AND reservations.status = 0 RETURNING seat_id, place
), freed AS (
    UPDATE seats SET status = 0, version = version + 1 FROM ended
    WHERE seats.id = ended.seat_id AND seats.status = 1
    RETURNING seats.id, performance_date_id
)
SELECT freed.performance_date_id, ended.place FROM ended LEFT JOIN freed ON freed.id = ended.seat_id
