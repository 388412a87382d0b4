-- Pays a reservation. The payer's place ends unless its user holds something else that can still be paid, by whichever
-- place. Answers: 30 Paid, 31 Unknown, 32 Foreign, 33 Expired, 34 AlreadyPaid, 35 BalanceTooLow,
-- 36 PlaceEnded. The last two columns are the date of the seat, and whether the payer's place ended with it.
CREATE PROCEDURE /*M! IF NOT EXISTS */ /*!80029 IF NOT EXISTS */ pay_reservation(
    p_user BIGINT, p_key VARBINARY(255), p_fingerprint BIGINT, p_reservation BIGINT, p_place BIGINT, p_now BIGINT
)
    SQL SECURITY INVOKER
decided: BEGIN
    DECLARE v_fingerprint, v_first, v_second, v_user, v_expires_at, v_seat, v_price, v_date BIGINT;
    DECLARE v_answer, v_status SMALLINT;
    DECLARE v_place_lives, v_place_ended TINYINT DEFAULT 0;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    ROLLBACK;
    START TRANSACTION;
    -- Rows are locked in one order everywhere: reservation, account, seat, place.
    SELECT user_id, status, expires_at, seat_id, price INTO v_user, v_status, v_expires_at, v_seat, v_price
    FROM reservations WHERE id = p_reservation FOR UPDATE;
    IF p_key IS NOT NULL THEN
        SELECT fingerprint, answer, answer_first, answer_second
        INTO v_fingerprint, v_answer, v_first, v_second
        FROM idempotency WHERE user_id = p_user AND `key` = p_key AND answer NOT IN (12, 13, 15, 36);
        IF v_answer IS NOT NULL THEN
            ROLLBACK;
            SELECT v_fingerprint, v_answer, v_first, v_second, NULL, 0;
            LEAVE decided;
        END IF;
    END IF;
    SET v_place_lives = EXISTS (SELECT 1 FROM queue_places WHERE place = p_place AND ended_at IS NULL);
    SET v_answer = CASE
        WHEN v_status = 1 AND v_user = p_user THEN 34
        WHEN NOT v_place_lives THEN 36
        WHEN v_user IS NULL THEN 31
        WHEN v_user <> p_user THEN 32
        WHEN v_status <> 0 OR v_expires_at <= p_now THEN 33
        ELSE 30 END;
    IF v_answer = 30 THEN
        UPDATE users SET balance = balance - v_price, version = version + 1, modified_at = p_now
        WHERE id = p_user AND balance >= v_price;
        IF ROW_COUNT() = 0 THEN
            SET v_answer = 35;
        END IF;
    END IF;
    IF v_answer = 30 THEN
        UPDATE reservations SET status = 1, place = p_place WHERE id = p_reservation;
        INSERT INTO ledger (user_id, kind, amount, reservation_id, at)
        VALUES (p_user, 1, v_price, p_reservation, p_now);
        UPDATE seats SET status = 2, version = version + 1 WHERE id = v_seat AND status = 1;
        SELECT performance_date_id INTO v_date FROM seats WHERE id = v_seat;
        IF NOT EXISTS (
            SELECT 1 FROM reservations
            WHERE user_id = p_user AND live_slot IS NOT NULL AND status = 0 AND expires_at > p_now
              AND id <> p_reservation
        ) THEN
            UPDATE queue_places SET ended_at = p_now WHERE place = p_place AND ended_at IS NULL;
            SET v_place_ended = ROW_COUNT();
        END IF;
    END IF;
    IF p_key IS NOT NULL AND v_answer <> 36 THEN
        INSERT INTO idempotency (user_id, `key`, fingerprint, answer, at)
        VALUES (p_user, p_key, p_fingerprint, v_answer, p_now);
    END IF;
    COMMIT;
    SELECT NULL, v_answer, NULL, NULL, v_date, v_place_ended;
END
