-- Makes given places durable, for many users at once. p_asked is a JSON array of [place, user, time, key as
-- hexadecimal digits or null, fingerprint]. A place whose number or whose user is taken is left for `register_one`, and
-- so is one whose key another request used. A row for each place that is durable: place, user, time.
CREATE PROCEDURE register_many(p_asked LONGTEXT CHARACTER SET utf8mb4)
    SQL SECURITY INVOKER
BEGIN
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;

    ROLLBACK;
    START TRANSACTION;
    INSERT IGNORE INTO queue_places (place, user_id, issued_at)
    SELECT asked.place, asked.user_id, asked.issued_at
    FROM JSON_TABLE(p_asked, '$[*]' COLUMNS (
             place BIGINT PATH '$[0]', user_id BIGINT PATH '$[1]', issued_at BIGINT PATH '$[2]',
             hex VARCHAR(510) CHARACTER SET ascii PATH '$[3]', fingerprint BIGINT PATH '$[4]')) AS asked
        LEFT JOIN idempotency i ON i.user_id = asked.user_id AND i.`key` = UNHEX(asked.hex)
    WHERE i.`key` IS NULL OR (i.fingerprint = asked.fingerprint AND i.answer = 50);
    INSERT INTO idempotency (user_id, `key`, fingerprint, answer, answer_first, answer_second, at)
    SELECT asked.user_id, UNHEX(asked.hex), asked.fingerprint, 50, asked.place, asked.issued_at, asked.issued_at
    FROM JSON_TABLE(p_asked, '$[*]' COLUMNS (
             place BIGINT PATH '$[0]', user_id BIGINT PATH '$[1]', issued_at BIGINT PATH '$[2]',
             hex VARCHAR(510) CHARACTER SET ascii PATH '$[3]', fingerprint BIGINT PATH '$[4]')) AS asked
        STRAIGHT_JOIN queue_places q ON q.place = asked.place
    WHERE asked.hex IS NOT NULL
      AND q.user_id = asked.user_id AND q.issued_at = asked.issued_at AND q.ended_at IS NULL
    ON DUPLICATE KEY UPDATE
        answer_first = IF(answer = 50, VALUES(answer_first), answer_first),
        answer_second = IF(answer = 50, VALUES(answer_second), answer_second),
        idempotency.at = IF(answer = 50, VALUES(at), idempotency.at);
    COMMIT;
    SELECT q.place, q.user_id, q.issued_at
    FROM JSON_TABLE(p_asked, '$[*]' COLUMNS (
             place BIGINT PATH '$[0]', user_id BIGINT PATH '$[1]', issued_at BIGINT PATH '$[2]')) AS asked
        STRAIGHT_JOIN queue_places q ON q.place = asked.place
    WHERE q.user_id = asked.user_id AND q.issued_at = asked.issued_at AND q.ended_at IS NULL;
END
