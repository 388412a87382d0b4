-- Ends the live places of the users of some places, if something was paid by the live place, and its user holds nothing
-- that can still be paid, by whichever place. It is a statement of its own, after the commit of the payment or of the
-- end of the hold that may have been the last. Parameters: places, now.
UPDATE queue_places q SET ended_at = $2
WHERE q.user_id IN (SELECT user_id FROM queue_places WHERE place = ANY($1)) AND q.ended_at IS NULL
  AND EXISTS (SELECT 1 FROM reservations r
              WHERE r.user_id = q.user_id AND r.place = q.place AND r.status = 1)
  AND NOT EXISTS (SELECT 1 FROM reservations r
                  WHERE r.user_id = q.user_id AND r.status = 0 AND r.expires_at > $2)
RETURNING place
