SELECT f.nth
FROM JSON_TABLE(?, '$[*]' COLUMNS (
    nth BIGINT PATH '$[0]', place BIGINT PATH '$[1]', user_id BIGINT PATH '$[2]')) AS f
WHERE NOT EXISTS (SELECT 1 FROM queue_places q WHERE q.place = f.place AND q.user_id = f.user_id)
