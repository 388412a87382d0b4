-- Ends those of the places (a JSON array) by which something was paid, and by which nothing is held that could still
-- be paid. Runs after the commit of what may have been the last payment or hold. A row for each place that ended.
CREATE PROCEDURE end_spent(p_places LONGTEXT CHARACTER SET utf8mb4, p_now BIGINT)
    SQL SECURITY INVOKER
BEGIN
    DECLARE v_spent LONGTEXT CHARACTER SET utf8mb4;

    SELECT JSON_ARRAYAGG(q.place) INTO v_spent
    FROM JSON_TABLE(p_places, '$[*]' COLUMNS (place BIGINT PATH '$')) AS asked
        STRAIGHT_JOIN queue_places q ON q.place = asked.place
    WHERE q.ended_at IS NULL
      AND EXISTS (SELECT 1 FROM reservations r WHERE r.user_id = q.user_id AND r.place = q.place AND r.status = 1)
      AND NOT EXISTS (SELECT 1 FROM reservations r
                      WHERE r.user_id = q.user_id AND COALESCE(r.place, q.place) = q.place
                        AND r.status = 0 AND r.expires_at > p_now);
    IF v_spent IS NOT NULL THEN
        UPDATE JSON_TABLE(v_spent, '$[*]' COLUMNS (place BIGINT PATH '$')) AS spent
            STRAIGHT_JOIN queue_places q ON q.place = spent.place
        SET q.ended_at = p_now
        WHERE q.ended_at IS NULL;
    END IF;
    SELECT spent.place FROM JSON_TABLE(COALESCE(v_spent, '[]'), '$[*]' COLUMNS (place BIGINT PATH '$')) AS spent;
END
