SELECT f.nth
FROM JSON_TABLE(?, '$[*]' COLUMNS (nth BIGINT PATH '$[0]', id BIGINT PATH '$[1]')) AS f
WHERE NOT EXISTS (SELECT 1 FROM reservations r WHERE r.id = f.id AND r.status = 1)
