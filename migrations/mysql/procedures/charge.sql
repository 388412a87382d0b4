-- Charges an account. p_room is the highest balance to which the amount may be added. Answers: 20 Charged (balance,
-- time), 21 Overflow, 22 UnknownUser.
CREATE PROCEDURE charge(
    p_user BIGINT, p_key VARBINARY(255), p_fingerprint BIGINT, p_amount BIGINT, p_room BIGINT, p_now BIGINT
)
    SQL SECURITY INVOKER
decided: BEGIN
    DECLARE v_fingerprint, v_first, v_second, v_balance BIGINT;
    DECLARE v_answer SMALLINT;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    ROLLBACK;
    START TRANSACTION;
    SELECT balance INTO v_balance FROM users WHERE id = p_user FOR UPDATE;
    IF p_key IS NOT NULL THEN
        SELECT fingerprint, answer, answer_first, answer_second
        INTO v_fingerprint, v_answer, v_first, v_second
        FROM idempotency WHERE user_id = p_user AND `key` = p_key AND answer NOT IN (12, 13, 15, 36);
        IF v_answer IS NOT NULL THEN
            ROLLBACK;
            SELECT v_fingerprint, v_answer, v_first, v_second, NULL, NULL;
            LEAVE decided;
        END IF;
    END IF;
    IF v_balance IS NULL THEN
        SET v_answer = 22;
    ELSEIF v_balance > p_room THEN
        SET v_answer = 21;
    ELSE
        SET v_answer = 20, v_first = v_balance + p_amount, v_second = p_now;
        UPDATE users SET balance = v_first, version = version + 1, modified_at = p_now WHERE id = p_user;
        INSERT INTO ledger (user_id, kind, amount, at) VALUES (p_user, 0, p_amount, p_now);
    END IF;
    IF p_key IS NOT NULL THEN
        INSERT INTO idempotency (user_id, `key`, fingerprint, answer, answer_first, answer_second, at)
        VALUES (p_user, p_key, p_fingerprint, v_answer, v_first, v_second, p_now);
    END IF;
    COMMIT;
    SELECT NULL, v_answer, v_first, v_second, NULL, NULL;
END
