-- Reserves a seat. Of two requests for one seat, the later waits for the earlier at the UPDATE of the seat's row, and
-- then finds the seat not free. Every other read takes no lock, so no two reservations wait for each other crosswise.
--
-- Answers: 10 Reserved (id, end of the hold), 11 Taken, 13 Conflict, 14 LimitReached, 15 PlaceEnded. 0: ask again,
-- after the end of expired holds that are in the way of the seat or of the limit.
CREATE PROCEDURE reserve(
    p_user BIGINT, p_key VARBINARY(255), p_fingerprint BIGINT, p_place BIGINT, p_seat BIGINT, p_version BIGINT,
    p_now BIGINT, p_expires_at BIGINT, p_limit BIGINT
)
    SQL SECURITY INVOKER
decided: BEGIN
    DECLARE v_fingerprint, v_first, v_second, v_date, v_price, v_version BIGINT;
    DECLARE v_answer, v_status SMALLINT;
    DECLARE v_live, v_expired, v_slot BIGINT DEFAULT 0;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    -- A transaction that an earlier statement left open must not be committed with this one.
    ROLLBACK;
    IF p_key IS NOT NULL THEN
        SELECT fingerprint, answer, answer_first, answer_second
        INTO v_fingerprint, v_answer, v_first, v_second
        FROM idempotency WHERE user_id = p_user AND `key` = p_key AND answer NOT IN (12, 13, 15, 36);
        IF v_answer IS NOT NULL THEN
            SELECT v_fingerprint, v_answer, v_first, v_second, NULL, NULL;
            LEAVE decided;
        END IF;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM queue_places WHERE place = p_place AND ended_at IS NULL) THEN
        SELECT NULL, 15, NULL, NULL, NULL, NULL;
        LEAVE decided;
    END IF;
    SELECT COUNT(*), COALESCE(SUM(status = 0 AND expires_at <= p_now), 0) INTO v_live, v_expired
    FROM reservations WHERE user_id = p_user AND live_slot IS NOT NULL;

    START TRANSACTION;
    IF v_live >= p_limit THEN
        SET v_answer = IF(v_expired > 0, 0, 14);
    ELSE
        UPDATE seats SET status = 1, version = version + 1
        WHERE id = p_seat AND status = 0 AND version = COALESCE(p_version, version);
        IF ROW_COUNT() = 1 THEN
            SET v_answer = 10, v_second = p_expires_at, v_slot = 1;
            IF v_live > 0 THEN
                SELECT MIN(free.slot) INTO v_slot
                FROM (SELECT 1 AS slot UNION ALL
                      SELECT live_slot + 1 FROM reservations
                      WHERE user_id = p_user AND live_slot IS NOT NULL) AS free
                WHERE NOT EXISTS (SELECT 1 FROM reservations r WHERE r.user_id = p_user AND r.live_slot = free.slot);
            END IF;
            -- Other reservations of the user were committed after they were counted: the next attempt counts them.
            IF v_slot > p_limit THEN
                ROLLBACK;
                SELECT NULL, 0, NULL, NULL, NULL, NULL;
                LEAVE decided;
            END IF;
            SELECT performance_date_id, price INTO v_date, v_price FROM seats WHERE id = p_seat;
            INSERT INTO reservations (seat_id, user_id, price, status, slot, created_at, expires_at, place)
            VALUES (p_seat, p_user, v_price, 0, v_slot, p_now, p_expires_at, p_place);
            SET v_first = LAST_INSERT_ID();
        ELSE
            SELECT status, version INTO v_status, v_version FROM seats WHERE id = p_seat;
            SET v_answer = CASE
                WHEN v_status = 1 AND v_version = COALESCE(p_version, v_version) AND EXISTS (
                    SELECT 1 FROM reservations WHERE live_seat = p_seat AND status = 0 AND expires_at <= p_now
                ) THEN 0
                WHEN p_version IS NULL AND COALESCE(v_status, 1) <> 0 THEN 11
                ELSE 13 END;
        END IF;
    END IF;
    IF p_key IS NOT NULL AND v_answer NOT IN (0, 13) THEN
        INSERT INTO idempotency (user_id, `key`, fingerprint, answer, answer_first, answer_second, at)
        VALUES (p_user, p_key, p_fingerprint, v_answer, v_first, v_second, p_now);
    END IF;
    COMMIT;
    SELECT NULL, v_answer, v_first, v_second, v_date, NULL;
END
