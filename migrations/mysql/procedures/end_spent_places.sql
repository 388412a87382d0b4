-- Ends the live places of the users of some places (a JSON array), if something was paid by the live place, and its user
-- holds nothing that could still be paid, by whichever place. Runs after the commit of what may have been the last
-- payment or hold. A row for each place that ended.
CREATE PROCEDURE /*M! IF NOT EXISTS */ /*!80029 IF NOT EXISTS */ end_spent_places(p_places LONGTEXT CHARACTER SET utf8mb4, p_now BIGINT)
    SQL SECURITY INVOKER
BEGIN
    DECLARE v_spent LONGTEXT CHARACTER SET utf8mb4;

    SELECT JSON_ARRAYAGG(q.place) INTO v_spent
    FROM (SELECT DISTINCT given.user_id
          FROM JSON_TABLE(p_places, '$[*]' COLUMNS (place BIGINT PATH '$')) AS asked
              STRAIGHT_JOIN queue_places given ON given.place = asked.place) AS holder
        STRAIGHT_JOIN queue_places q ON q.live_user = holder.user_id
    WHERE EXISTS (SELECT 1 FROM reservations r WHERE r.user_id = q.user_id AND r.place = q.place AND r.status = 1)
      AND NOT EXISTS (SELECT 1 FROM reservations r
                      WHERE r.user_id = q.user_id AND r.status = 0 AND r.expires_at > p_now);
    IF v_spent IS NOT NULL THEN
        UPDATE JSON_TABLE(v_spent, '$[*]' COLUMNS (place BIGINT PATH '$')) AS spent
            STRAIGHT_JOIN queue_places q ON q.place = spent.place
        SET q.ended_at = p_now
        WHERE q.ended_at IS NULL;
    END IF;
    SELECT spent.place FROM JSON_TABLE(COALESCE(v_spent, '[]'), '$[*]' COLUMNS (place BIGINT PATH '$')) AS spent;
END
