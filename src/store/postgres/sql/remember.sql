-- Stores an answer under a key unless there is one. Parameters: user, key, fingerprint, code of the answer, its first
-- value, its second value, now.
WITH stored AS MATERIALIZED (
    SELECT fingerprint, answer, answer_first, answer_second FROM idempotency
    WHERE user_id = $1 AND key = $2 AND answer NOT IN (12, 13, 15, 36)
), fresh AS (
    INSERT INTO idempotency (user_id, key, fingerprint, answer, answer_first, answer_second, at)
    SELECT $1, $2, $3, $4, $5, $6, $7 WHERE NOT EXISTS (SELECT 1 FROM stored)
    RETURNING answer, answer_first, answer_second
)
SELECT fingerprint, answer, answer_first, answer_second FROM stored
UNION ALL SELECT NULL, answer, answer_first, answer_second FROM fresh
