-- Ends up to p_most expired holds. Several servers sweep at a time: each takes the holds that no other has locked.
-- A row for each hold: the date of its seat, and the place that made it.
CREATE PROCEDURE expire(p_now BIGINT, p_most BIGINT)
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
    FROM (SELECT id FROM reservations WHERE held_until <= p_now ORDER BY held_until LIMIT p_most
          FOR UPDATE SKIP LOCKED) AS due;
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
