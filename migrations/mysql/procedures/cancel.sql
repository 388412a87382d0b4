-- Cancels a hold. Answers: 40 Cancelled, 41 Unknown, 42 Foreign, 43 AlreadyPaid. The last three columns are the date of
-- the seat, the place that made the hold, and whether this user had cancelled the reservation before: an attempt whose
-- answer was lost may have done it.
CREATE PROCEDURE cancel(
    p_user BIGINT, p_key VARBINARY(255), p_fingerprint BIGINT, p_reservation BIGINT, p_now BIGINT
)
    SQL SECURITY INVOKER
decided: BEGIN
    DECLARE v_fingerprint, v_first, v_second, v_user, v_expires_at, v_seat, v_place, v_date BIGINT;
    DECLARE v_answer, v_status SMALLINT;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    ROLLBACK;
    START TRANSACTION;
    -- Rows are locked in one order everywhere: reservation, account, seat, place.
    SELECT user_id, status, expires_at, seat_id, place INTO v_user, v_status, v_expires_at, v_seat, v_place
    FROM reservations WHERE id = p_reservation FOR UPDATE;
    IF p_key IS NOT NULL THEN
        SELECT fingerprint, answer, answer_first, answer_second
        INTO v_fingerprint, v_answer, v_first, v_second
        FROM idempotency WHERE user_id = p_user AND `key` = p_key AND answer NOT IN (12, 13, 15, 36);
        IF v_answer IS NOT NULL THEN
            ROLLBACK;
            SELECT v_fingerprint, v_answer, v_first, v_second, NULL, NULL, 0;
            LEAVE decided;
        END IF;
    END IF;
    SET v_answer = CASE
        WHEN v_user IS NULL THEN 41
        WHEN v_user <> p_user THEN 42
        WHEN v_status = 1 THEN 43
        WHEN v_status <> 0 OR v_expires_at <= p_now THEN 41
        ELSE 40 END;
    IF v_answer = 40 THEN
        UPDATE reservations SET status = 3 WHERE id = p_reservation;
        UPDATE seats SET status = 0, version = version + 1 WHERE id = v_seat AND status = 1;
        SELECT performance_date_id INTO v_date FROM seats WHERE id = v_seat;
    END IF;
    IF p_key IS NOT NULL THEN
        INSERT INTO idempotency (user_id, `key`, fingerprint, answer, at)
        VALUES (p_user, p_key, p_fingerprint, v_answer, p_now);
    END IF;
    COMMIT;
    SELECT NULL, v_answer, NULL, NULL, v_date, IF(v_answer = 40, v_place, NULL),
           COALESCE(v_answer = 41 AND v_user = p_user AND v_status = 3, 0);
END
