-- Makes one place durable, whatever is in its way. Parameters: place, user, now, the place that it replaces or NULL,
-- key or NULL, fingerprint.
--
-- A live place of the user that the queue does not know ends, with two exceptions: this place is there already, or the
-- store itself gave that place. Columns: whether the place was inserted, whether it was there and is the user's live
-- place, whether it was there at all, the last place, the place that the store gave the user.
WITH there AS MATERIALIZED (
    SELECT user_id, ended_at FROM queue_places WHERE place = $1
), given AS MATERIALIZED (
    SELECT place FROM queue_places
    WHERE user_id = $2 AND ended_at IS NULL AND handed_out AND place <> $1 AND place IS DISTINCT FROM $4
), ended AS (
    UPDATE queue_places SET ended_at = $3
    WHERE ended_at IS NULL AND place <> $1
      AND (place = $4 OR (user_id = $2 AND NOT handed_out AND NOT EXISTS (SELECT 1 FROM there)))
    RETURNING 1
), inserted AS (
    INSERT INTO queue_places (place, user_id, issued_at)
    SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT 1 FROM there) AND NOT EXISTS (SELECT 1 FROM given)
                        AND (SELECT count(*) FROM ended) >= 0
    ON CONFLICT (place) DO NOTHING RETURNING 1
), remembered AS (
    INSERT INTO idempotency (user_id, key, fingerprint, answer, answer_first, answer_second, at)
    SELECT $2, $5::text, $6::bigint, 50, $1::bigint, $3::bigint, $3 FROM inserted WHERE $5 IS NOT NULL
    ON CONFLICT (user_id, key) DO UPDATE
        SET answer_first = excluded.answer_first, answer_second = excluded.answer_second, at = excluded.at
        WHERE idempotency.answer = 50
)
SELECT (SELECT count(*) FROM inserted),
       (SELECT count(*) FROM there WHERE user_id = $2 AND ended_at IS NULL),
       (SELECT count(*) FROM there),
       (SELECT coalesce(max(place), 0) FROM queue_places),
       (SELECT place FROM given)
