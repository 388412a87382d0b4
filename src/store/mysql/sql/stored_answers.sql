SELECT f.nth, i.answer
FROM JSON_TABLE(?, '$[*]' COLUMNS (
    nth BIGINT PATH '$[0]', user_id BIGINT PATH '$[1]',
    hex VARCHAR(510) CHARACTER SET ascii PATH '$[2]')) AS f
    STRAIGHT_JOIN idempotency i ON i.user_id = f.user_id AND i.`key` = UNHEX(f.hex)
