SELECT f.nth
FROM JSON_TABLE(?, '$[*]' COLUMNS (
    nth BIGINT PATH '$[0]', id BIGINT PATH '$[1]', user_id BIGINT PATH '$[2]',
    seat_id BIGINT PATH '$[3]')) AS f
WHERE NOT EXISTS (SELECT 1 FROM reservations r
    WHERE r.id = f.id AND r.user_id = f.user_id AND r.seat_id = f.seat_id)
