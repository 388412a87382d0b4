-- Held and sold seats join live reservations of the matching status: a row without a partner is wrong.
SELECT
    (SELECT count(*) FROM (SELECT 1 FROM reservations WHERE status IN (0, 1)
        GROUP BY seat_id HAVING count(*) > 1) AS oversold),
    (SELECT count(*) FROM seats s WHERE s.status <> 0 AND 1 <>
        (SELECT count(*) FROM reservations r
         WHERE r.seat_id = s.id AND r.status IN (0, 1) AND r.status = s.status - 1)),
    (SELECT count(*) FROM reservations r JOIN seats s ON s.id = r.seat_id
        WHERE r.status IN (0, 1) AND s.status <> r.status + 1),
    (SELECT count(*) FROM reservations r WHERE r.status = 1 AND 1 <>
        (SELECT count(*) FROM ledger l WHERE l.reservation_id = r.id AND l.kind = 1
         AND l.amount = r.price AND l.user_id = r.user_id)),
    (SELECT count(*) FROM ledger l WHERE l.kind = 1 AND NOT EXISTS
        (SELECT 1 FROM reservations r WHERE r.id = l.reservation_id AND r.status = 1)),
    (SELECT count(*) FROM users u LEFT JOIN
        (SELECT user_id, sum(CASE kind WHEN 0 THEN amount ELSE -amount END) AS net
         FROM ledger GROUP BY user_id) l
        ON l.user_id = u.id WHERE u.balance <> coalesce(l.net, 0) + coalesce(
            (SELECT (value::json ->> 'initial_balance')::bigint FROM meta WHERE key = 'dataset'), 0)),
    (SELECT count(*) FROM (SELECT 1 FROM queue_places WHERE ended_at IS NULL
        GROUP BY user_id HAVING count(*) > 1) AS twice),
    (SELECT count(*) FROM reservations),
    (SELECT count(*) FROM reservations WHERE status = 1),
    (SELECT count(*) FROM queue_places)
