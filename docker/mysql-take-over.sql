-- Copies the tables of docker/mysql-source-tables.sql into a dataset of concertctl, in place of its rows. The current
-- database is the dataset's:
--
--   epoch=$(mariadb concert -Ne 'SELECT epoch FROM concertctl_current')
--   mariadb "concert_$epoch" < docker/mysql-take-over.sql
--
-- No server may use the dataset, and nothing may have been sold in it. The source is only read. Ids are counted anew
-- without gaps, in the order of the source: the concert with the lowest id that has seats is the one on sale. Dates
-- without seats are left out. While it runs the dataset has no description, so no server opens a part of it; after an
-- interruption, run it again.
--
-- Scenarios name a dataset. The name is onsale, unless @profile is set: --init-command "SET @profile = 'hall'".

DROP PROCEDURE IF EXISTS take_over_refuses;
DROP PROCEDURE IF EXISTS take_over;

DELIMITER $$

CREATE PROCEDURE take_over_refuses(p_wrong BOOLEAN, p_why VARCHAR(128))
    SQL SECURITY INVOKER
BEGIN
    IF p_wrong THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = p_why;
    END IF;
END $$

CREATE PROCEDURE take_over(p_profile VARCHAR(64))
    SQL SECURITY INVOKER
BEGIN
    DECLARE v_date, v_source, v_last, v_per_date, v_on_sale BIGINT DEFAULT 0;
    DECLARE v_now BIGINT DEFAULT FLOOR(UNIX_TIMESTAMP(NOW(3)) * 1000);
    DECLARE v_base VARCHAR(64) DEFAULT LEFT(DATABASE(), CHAR_LENGTH(DATABASE()) - 17);

    CALL take_over_refuses(
        NOT EXISTS (SELECT 1 FROM meta WHERE `key` IN ('dataset', 'taken_over')),
        'the current database holds no dataset of concertctl');
    -- A server that uses a dataset has a row here, and holds the named lock of the row.
    SET @take_over = CONCAT(
        'SELECT COUNT(*) INTO @take_over_used FROM ', v_base, '.concertctl_presence
         WHERE scope = RIGHT(DATABASE(), 16) AND IS_FREE_LOCK(CONCAT(''concertctl:', v_base, ':'', id)) = 0');
    PREPARE used FROM @take_over;
    EXECUTE used;
    DEALLOCATE PREPARE used;
    CALL take_over_refuses(@take_over_used > 0, 'a server uses the dataset: stop it first');
    CALL take_over_refuses(
        EXISTS (SELECT 1 FROM queue_places) OR EXISTS (SELECT 1 FROM reservations),
        'the dataset was used: seed another one first');
    CALL take_over_refuses(
        EXISTS (SELECT 1 FROM concert.seats WHERE seats_status <> 'AVAILABLE'),
        'concert.seats: only seats with the status AVAILABLE can be taken over');

    -- source: an id there; id: the id here.
    DROP TEMPORARY TABLE IF EXISTS source_dates, source_concerts;
    CREATE TEMPORARY TABLE source_dates (
        id BIGINT NOT NULL PRIMARY KEY, source BIGINT NOT NULL, concert BIGINT NOT NULL, seats BIGINT NOT NULL)
    SELECT ROW_NUMBER() OVER (ORDER BY d.concerts_id, d.performance_dates_id) AS id, d.performance_dates_id AS source,
           d.concerts_id AS concert, COUNT(*) AS seats
    FROM concert.performance_dates d JOIN concert.seats s ON s.performance_dates_id = d.performance_dates_id
    GROUP BY d.concerts_id, d.performance_dates_id;
    CREATE TEMPORARY TABLE source_concerts (id BIGINT NOT NULL, source BIGINT NOT NULL PRIMARY KEY)
    SELECT ROW_NUMBER() OVER (ORDER BY c.concerts_id NOT IN (SELECT concert FROM source_dates), c.concerts_id) AS id,
           c.concerts_id AS source
    FROM concert.concerts c;
    SELECT COALESCE(MAX(id), 0), COALESCE(MAX(seats), 0) INTO v_last, v_per_date FROM source_dates;
    CALL take_over_refuses(v_last = 0, 'concert.seats: there are no seats');
    CALL take_over_refuses(
        EXISTS (SELECT 1 FROM source_dates WHERE seats <> v_per_date),
        'concert.seats: every date must have the same number of seats');
    CALL take_over_refuses(
        (SELECT COUNT(*) FROM concert.seats) <> v_last * v_per_date,
        'concert.seats: a seat is on a date that does not exist');
    CALL take_over_refuses(
        EXISTS (SELECT 1 FROM source_dates WHERE concert NOT IN (SELECT source FROM source_concerts)),
        'concert.performance_dates: a date is of a concert that does not exist');

    UPDATE meta SET `key` = 'taken_over' WHERE `key` = 'dataset';
    TRUNCATE TABLE concerts;
    TRUNCATE TABLE performance_dates;
    TRUNCATE TABLE seats;
    TRUNCATE TABLE users;
    TRUNCATE TABLE ledger;

    INSERT INTO concerts (id, performer)
    SELECT t.id, c.performer FROM concert.concerts c JOIN source_concerts t ON t.source = c.concerts_id ORDER BY t.id;
    INSERT INTO performance_dates (id, concert_id, date)
    SELECT t.id, c.id, DATE_FORMAT(d.performance_dates_dates, '%Y-%m-%d')
    FROM source_dates t JOIN source_concerts c ON c.source = t.concert
        JOIN concert.performance_dates d ON d.performance_dates_id = t.source
    ORDER BY t.id;
    INSERT INTO users (id, balance, version, modified_at)
    SELECT ROW_NUMBER() OVER (ORDER BY users_id), users_account_balance, version,
           UNIX_TIMESTAMP(users_account_modified_at) * 1000
    FROM concert.users ORDER BY users_id;
    -- A balance is the sum of the entries of the ledger.
    INSERT INTO ledger (user_id, kind, amount, at)
    SELECT id, 0, balance, v_now FROM users WHERE balance > 0;

    START TRANSACTION;
    WHILE v_date < v_last DO
        SET v_date = v_date + 1;
        SELECT source INTO v_source FROM source_dates WHERE id = v_date;
        INSERT INTO seats (id, performance_date_id, price, version, number)
        SELECT (v_date - 1) * v_per_date + s.number, v_date, s.seats_price, s.version, s.number
        FROM (SELECT seats_price, version, ROW_NUMBER() OVER (ORDER BY seats_id) AS number
              FROM concert.seats WHERE performance_dates_id = v_source) AS s;
        IF v_date % 100 = 0 THEN
            COMMIT;
            START TRANSACTION;
        END IF;
    END WHILE;
    COMMIT;

    SELECT v_per_date * COUNT(*) INTO v_on_sale FROM performance_dates WHERE concert_id = 1;
    UPDATE meta SET `key` = 'dataset', value = JSON_SET(
        value, '$.profile', p_profile, '$.concerts', (SELECT COUNT(*) FROM concerts), '$.dates', v_last,
        '$.seats_per_date', v_per_date, '$.users', (SELECT COUNT(*) FROM users), '$.on_sale', 1,
        '$.on_sale_seats', v_on_sale, '$.popular_seats', v_on_sale DIV 5, '$.initial_balance', 0, '$.seeded_at', v_now)
    WHERE `key` = 'taken_over';
END $$

DELIMITER ;

CALL take_over(COALESCE(@profile, 'onsale'));
DROP PROCEDURE take_over;
DROP PROCEDURE take_over_refuses;
SELECT value AS `dataset` FROM meta WHERE `key` = 'dataset';
