INSERT INTO seats (id, performance_date_id, price, number)
SELECT id, performance_date_id, /* price */, at + 1
FROM (
    SELECT ? + n AS id, (? + n) DIV ? + 1 AS performance_date_id, (? + n) % ? AS at
    FROM numbers WHERE n < ?
) AS made
