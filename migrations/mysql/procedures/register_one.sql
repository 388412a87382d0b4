-- Makes one place durable, whatever is in its way. p_replaced is the user's earlier place, which ends. A live place of
-- the user that the queue does not know ends too, unless the store handed it out: then the user keeps that one.
--
-- The columns: whether the place was inserted, whether it is there and the user's, whether it is there, the highest
-- place, the place that the user keeps instead.
CREATE PROCEDURE register_one(
    p_place BIGINT, p_user BIGINT, p_now BIGINT, p_replaced BIGINT, p_key VARBINARY(255), p_fingerprint BIGINT
)
    SQL SECURITY INVOKER
BEGIN
    DECLARE v_owner, v_ended_at, v_kept_instead, v_last BIGINT;
    DECLARE v_inserted TINYINT DEFAULT 0;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    ROLLBACK;
    START TRANSACTION;
    SELECT user_id, ended_at INTO v_owner, v_ended_at FROM queue_places WHERE place = p_place;
    SELECT place INTO v_kept_instead FROM queue_places
    WHERE live_user = p_user AND handed_out = 1 AND place <> p_place AND NOT (place <=> p_replaced);
    UPDATE queue_places SET ended_at = p_now WHERE place = p_replaced AND place <> p_place AND ended_at IS NULL;
    IF v_owner IS NULL THEN
        UPDATE queue_places SET ended_at = p_now WHERE live_user = p_user AND handed_out = 0;
        IF v_kept_instead IS NULL THEN
            INSERT INTO queue_places (place, user_id, issued_at) VALUES (p_place, p_user, p_now);
            SET v_inserted = 1;
        END IF;
    END IF;
    IF v_inserted AND p_key IS NOT NULL THEN
        INSERT INTO idempotency (user_id, `key`, fingerprint, answer, answer_first, answer_second, at)
        VALUES (p_user, p_key, p_fingerprint, 50, p_place, p_now, p_now)
        ON DUPLICATE KEY UPDATE
            answer_first = IF(answer = 50, VALUES(answer_first), answer_first),
            answer_second = IF(answer = 50, VALUES(answer_second), answer_second),
            idempotency.at = IF(answer = 50, VALUES(at), idempotency.at);
    END IF;
    COMMIT;
    SELECT COALESCE(MAX(place), 0) INTO v_last FROM queue_places;
    SELECT v_inserted, COALESCE(v_owner = p_user AND v_ended_at IS NULL, 0), v_owner IS NOT NULL, v_last,
           v_kept_instead;
END
