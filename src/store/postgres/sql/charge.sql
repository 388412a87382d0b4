-- Charges an account. Parameters: user, key or NULL, fingerprint, amount, the highest balance to which it may be
-- added, now.
--
-- Answers: 20 Charged (balance, now), 21 Overflow, 22 UnknownUser.
WITH stored AS MATERIALIZED (
    SELECT fingerprint, answer, answer_first, answer_second FROM idempotency WHERE user_id = $1 AND key = $2
), account AS (
    UPDATE users SET balance = balance + $4::bigint, version = version + 1, modified_at = $6
    WHERE id = $1 AND balance <= $5::bigint AND NOT EXISTS (SELECT 1 FROM stored)
    RETURNING balance, modified_at
), entered AS (
    INSERT INTO ledger (user_id, kind, amount, at) SELECT $1, 0, $4, $6 FROM account
), decided AS MATERIALIZED (
    SELECT CASE
        WHEN EXISTS (SELECT 1 FROM account) THEN 20
        WHEN EXISTS (SELECT 1 FROM users WHERE id = $1) THEN 21
        ELSE 22 END AS answer,
        (SELECT balance FROM account) AS answer_first, (SELECT modified_at FROM account) AS answer_second
    WHERE NOT EXISTS (SELECT 1 FROM stored)
), remembered AS (
    INSERT INTO idempotency (user_id, key, fingerprint, answer, answer_first, answer_second, at)
    SELECT $1, $2, $3::bigint, answer, answer_first, answer_second, $6 FROM decided WHERE $2 IS NOT NULL
)
SELECT fingerprint, answer, answer_first, answer_second FROM stored
UNION ALL SELECT NULL, answer, answer_first, answer_second FROM decided
