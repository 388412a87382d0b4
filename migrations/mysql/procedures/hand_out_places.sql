-- Hands out places, one server at a time, when the shared queue does not answer. p_asked is a JSON array of [user,
-- time, up to which place the user's own has expired, key as hexadecimal digits or null, fingerprint]; every user is
-- in it once. A row for each user: user, place, and NULL, or the time of issue of a place that the user had before.
--
-- Another server may insert a place by `register_many` at the same time, above v_last too. This call handed out a place
-- only if handed_out and the time say so.
CREATE PROCEDURE /*M! IF NOT EXISTS */ /*!80029 IF NOT EXISTS */ hand_out_places(
    p_asked LONGTEXT CHARACTER SET utf8mb4, p_above BIGINT
)
    SQL SECURITY INVOKER
BEGIN
    DECLARE v_last BIGINT;
    DECLARE v_turn TINYINT;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    ROLLBACK;
    START TRANSACTION;
    SELECT 1 INTO v_turn FROM meta WHERE `key` = 'places' FOR UPDATE;
    SELECT GREATEST(p_above, COALESCE(MAX(place), 0)) INTO v_last FROM queue_places;
    UPDATE JSON_TABLE(p_asked, '$[*]' COLUMNS (
               user_id BIGINT PATH '$[0]', at BIGINT PATH '$[1]', expired BIGINT PATH '$[2]')) AS asked
        STRAIGHT_JOIN queue_places q ON q.live_user = asked.user_id
    SET q.ended_at = asked.at
    WHERE q.place <= asked.expired;
    INSERT INTO queue_places (place, user_id, issued_at, handed_out)
    SELECT v_last + ROW_NUMBER() OVER (ORDER BY asked.nth), asked.user_id, asked.at, 1
    FROM JSON_TABLE(p_asked, '$[*]' COLUMNS (
             nth FOR ORDINALITY, user_id BIGINT PATH '$[0]', at BIGINT PATH '$[1]')) AS asked
    WHERE NOT EXISTS (SELECT 1 FROM queue_places q WHERE q.live_user = asked.user_id);
    INSERT INTO idempotency (user_id, `key`, fingerprint, answer, answer_first, answer_second, at)
    SELECT asked.user_id, UNHEX(asked.hex), asked.fingerprint, 50, q.place, asked.at, asked.at
    FROM JSON_TABLE(p_asked, '$[*]' COLUMNS (
             user_id BIGINT PATH '$[0]', at BIGINT PATH '$[1]',
             hex VARCHAR(510) CHARACTER SET ascii PATH '$[3]', fingerprint BIGINT PATH '$[4]')) AS asked
        STRAIGHT_JOIN queue_places q ON q.live_user = asked.user_id
    WHERE asked.hex IS NOT NULL AND q.place > v_last AND q.handed_out = 1 AND q.issued_at = asked.at
    ON DUPLICATE KEY UPDATE
        answer_first = IF(answer = 50, VALUES(answer_first), answer_first),
        answer_second = IF(answer = 50, VALUES(answer_second), answer_second),
        idempotency.at = IF(answer = 50, VALUES(at), idempotency.at);
    COMMIT;
    SELECT q.user_id, q.place,
           IF(q.place > v_last AND q.handed_out = 1 AND q.issued_at = asked.at, NULL, q.issued_at)
    FROM JSON_TABLE(p_asked, '$[*]' COLUMNS (user_id BIGINT PATH '$[0]', at BIGINT PATH '$[1]')) AS asked
        STRAIGHT_JOIN queue_places q ON q.live_user = asked.user_id;
END
