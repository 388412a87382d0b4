-- Makes places durable, with tickets under their keys. Parameters: arrays of places, users, times, keys and
-- fingerprints; the last two have NULL where there is no key. The caller sorts by user, so that two servers do not wait
-- for each other crosswise.
--
-- A key of another request is left for a closer look. An older ticket under the key is of a place that has ended;
-- otherwise this place is not inserted. Columns: the inserted places, with user and time.
WITH asked AS MATERIALIZED (
    SELECT a.place, a.user_id, a.issued_at, a.key, a.fingerprint
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[])
         AS a (place, user_id, issued_at, key, fingerprint)
    LEFT JOIN idempotency i ON i.user_id = a.user_id AND i.key = a.key
    WHERE i.key IS NULL OR (i.fingerprint = a.fingerprint AND i.answer = 50)
), inserted AS (
    INSERT INTO queue_places (place, user_id, issued_at) SELECT place, user_id, issued_at FROM asked
    ON CONFLICT DO NOTHING RETURNING place, user_id, issued_at
), remembered AS (
    INSERT INTO idempotency (user_id, key, fingerprint, answer, answer_first, answer_second, at)
    SELECT DISTINCT ON (user_id, key) user_id, key, fingerprint, 50, place, issued_at, issued_at
    FROM inserted JOIN asked USING (place, user_id, issued_at) WHERE key IS NOT NULL
    ON CONFLICT (user_id, key) DO UPDATE
        SET answer_first = excluded.answer_first, answer_second = excluded.answer_second, at = excluded.at
        WHERE idempotency.answer = 50
)
SELECT place, user_id, issued_at FROM inserted
