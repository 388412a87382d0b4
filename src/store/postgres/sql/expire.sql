-- Ends expired holds. Several servers sweep at a time: each takes those that no other has locked. Parameters: now, the
-- most. A row for each hold: the date of its seat, its place.
WITH due AS MATERIALIZED (
    SELECT id FROM reservations WHERE status = 0 AND expires_at <= $1
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
), ended AS (
    UPDATE reservations SET status = 2 FROM due WHERE reservations.id = due.id RETURNING seat_id, place
), freed AS (
    UPDATE seats SET status = 0, version = version + 1 FROM ended
    WHERE seats.id = ended.seat_id AND seats.status = 1
    RETURNING seats.id, performance_date_id
)
SELECT freed.performance_date_id, ended.place FROM ended LEFT JOIN freed ON freed.id = ended.seat_id
