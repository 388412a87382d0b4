-- Held and sold seats join live reservations of the matching status: a row without a partner is wrong.
SELECT
    (SELECT COUNT(*) FROM (SELECT 1 FROM reservations WHERE status IN (0, 1)
        GROUP BY seat_id HAVING COUNT(*) > 1) AS oversold),
    (SELECT COUNT(*) FROM seats s WHERE s.status <> 0 AND 1 <>
        (SELECT COUNT(*) FROM reservations r WHERE r.live_seat = s.id AND r.status = s.status - 1)),
    (SELECT COUNT(*) FROM reservations r JOIN seats s ON s.id = r.seat_id
        WHERE r.status IN (0, 1) AND s.status <> r.status + 1),
    (SELECT COUNT(*) FROM reservations r WHERE r.status = 1 AND 1 <>
        (SELECT COUNT(*) FROM ledger l WHERE l.reservation_id = r.id AND l.kind = 1
         AND l.amount = r.price AND l.user_id = r.user_id)),
    (SELECT COUNT(*) FROM ledger l WHERE l.kind = 1 AND NOT EXISTS
        (SELECT 1 FROM reservations r WHERE r.id = l.reservation_id AND r.status = 1)),
    (SELECT COUNT(*) FROM users u LEFT JOIN
        (SELECT user_id, SUM(CASE kind WHEN 0 THEN amount ELSE -amount END) AS net
         FROM ledger GROUP BY user_id) AS l ON l.user_id = u.id
        WHERE u.balance <> COALESCE(l.net, 0) + COALESCE(
            (SELECT CAST(JSON_VALUE(value, '$.initial_balance') AS SIGNED) FROM meta WHERE `key` = 'dataset'), 0)),
    (SELECT COUNT(*) FROM (SELECT 1 FROM queue_places WHERE ended_at IS NULL
        GROUP BY user_id HAVING COUNT(*) > 1) AS twice),
    (SELECT COUNT(*) FROM reservations),
    (SELECT COUNT(*) FROM reservations WHERE status = 1),
    (SELECT COUNT(*) FROM queue_places)
