-- Gives the next places, with tickets under their keys, in a transaction that has locked the row "places" of meta.
-- Parameters: arrays of users, times, places up to which each user's own has expired, keys and fingerprints; the last
-- two have NULL where there is no key. Then the place above which to begin.
--
-- Columns: user, place, and for a place that the user had before its time.
WITH asked AS MATERIALIZED (
    SELECT user_id, at, expired, key, fingerprint, nth
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[])
         WITH ORDINALITY AS a (user_id, at, expired, key, fingerprint, nth)
), standing AS MATERIALIZED (
    SELECT q.user_id, q.place, q.issued_at FROM asked a
    JOIN queue_places q ON q.user_id = a.user_id AND q.ended_at IS NULL
    WHERE q.place > a.expired
), ended AS (
    UPDATE queue_places q SET ended_at = a.at FROM asked a
    WHERE q.user_id = a.user_id AND q.ended_at IS NULL AND q.place <= a.expired
    RETURNING 1
), fresh AS MATERIALIZED (
    SELECT user_id, at, key, fingerprint, row_number() OVER (ORDER BY nth) AS nth FROM asked
    WHERE user_id NOT IN (SELECT user_id FROM standing)
), inserted AS (
    INSERT INTO queue_places (place, user_id, issued_at, handed_out)
    SELECT greatest($6::bigint, (SELECT coalesce(max(place), 0) FROM queue_places)) + nth, user_id, at, true
    FROM fresh WHERE (SELECT count(*) FROM ended) >= 0
    RETURNING user_id, place
), remembered AS (
    INSERT INTO idempotency (user_id, key, fingerprint, answer, answer_first, answer_second, at)
    SELECT user_id, key, fingerprint, 50, place, at, at
    FROM fresh JOIN inserted USING (user_id) WHERE key IS NOT NULL
    ON CONFLICT (user_id, key) DO UPDATE
        SET answer_first = excluded.answer_first, answer_second = excluded.answer_second, at = excluded.at
        WHERE idempotency.answer = 50
)
SELECT user_id, place, NULL::bigint FROM inserted
UNION ALL SELECT user_id, place, issued_at FROM standing
