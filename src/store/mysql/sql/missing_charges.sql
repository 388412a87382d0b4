SELECT f.nth
FROM JSON_TABLE(?, '$[*]' COLUMNS (
    nth BIGINT PATH '$[0]', user_id BIGINT PATH '$[1]', amount BIGINT PATH '$[2]')) AS f
WHERE COALESCE((SELECT SUM(l.amount) FROM ledger l WHERE l.user_id = f.user_id AND l.kind = 0), 0)
      < f.amount
