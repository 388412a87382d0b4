-- Ends the expired holds that are in the way of one request: those on its seat, and those of its user. A row for each
-- hold, as from `expire`.
CREATE PROCEDURE end_expired(p_now BIGINT, p_seat BIGINT, p_user BIGINT)
    SQL SECURITY INVOKER
BEGIN
    DECLARE v_due LONGTEXT CHARACTER SET utf8mb4;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    ROLLBACK;
    START TRANSACTION;
    SELECT JSON_ARRAYAGG(due.id) INTO v_due
    FROM (SELECT id FROM reservations WHERE live_seat = p_seat AND held_until <= p_now
          UNION
          SELECT id FROM reservations WHERE user_id = p_user AND live_slot IS NOT NULL AND held_until <= p_now
         ) AS due;
    IF v_due IS NOT NULL THEN
        SELECT JSON_ARRAYAGG(held.id) INTO v_due
        FROM (SELECT r.id FROM JSON_TABLE(v_due, '$[*]' COLUMNS (id BIGINT PATH '$')) AS due
                  STRAIGHT_JOIN reservations r ON r.id = due.id
              WHERE r.held_until <= p_now ORDER BY r.id FOR UPDATE) AS held;
    END IF;
    IF v_due IS NOT NULL THEN
        UPDATE JSON_TABLE(v_due, '$[*]' COLUMNS (id BIGINT PATH '$')) AS due
            STRAIGHT_JOIN reservations r ON r.id = due.id
        SET r.status = 2;
        UPDATE JSON_TABLE(v_due, '$[*]' COLUMNS (id BIGINT PATH '$')) AS due
            STRAIGHT_JOIN reservations r ON r.id = due.id
            STRAIGHT_JOIN seats s ON s.id = r.seat_id
        SET s.status = 0, s.version = s.version + 1
        WHERE s.status = 1;
    END IF;
    COMMIT;
    SELECT s.performance_date_id, r.place
    FROM JSON_TABLE(COALESCE(v_due, '[]'), '$[*]' COLUMNS (id BIGINT PATH '$')) AS due
        STRAIGHT_JOIN reservations r ON r.id = due.id
        STRAIGHT_JOIN seats s ON s.id = r.seat_id;
END
