-- Stores an answer that was decided without the database, unless the key has one.
CREATE PROCEDURE remember(
    p_user BIGINT, p_key VARBINARY(255), p_fingerprint BIGINT, p_answer SMALLINT, p_first BIGINT, p_second BIGINT,
    p_now BIGINT
)
    SQL SECURITY INVOKER
decided: BEGIN
    DECLARE v_fingerprint, v_first, v_second BIGINT;
    DECLARE v_answer SMALLINT;

    SELECT fingerprint, answer, answer_first, answer_second INTO v_fingerprint, v_answer, v_first, v_second
    FROM idempotency WHERE user_id = p_user AND `key` = p_key AND answer NOT IN (12, 13, 15, 36);
    IF v_answer IS NOT NULL THEN
        SELECT v_fingerprint, v_answer, v_first, v_second, NULL, NULL;
        LEAVE decided;
    END IF;
    INSERT INTO idempotency (user_id, `key`, fingerprint, answer, answer_first, answer_second, at)
    VALUES (p_user, p_key, p_fingerprint, p_answer, p_first, p_second, p_now);
    SELECT NULL, p_answer, p_first, p_second, NULL, NULL;
END
