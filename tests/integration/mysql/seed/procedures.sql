-- The procedures of a MySQL seed, as they were published; only the remarks differ.

DELIMITER $$
CREATE PROCEDURE IF NOT EXISTS loopInsertUser()
BEGIN
    DECLARE i INT DEFAULT 2;
    DECLARE performance_dates_id INT DEFAULT 1;

    WHILE i <= 20000
        DO
            INSERT INTO concert.users (version, users_account_balance, users_account_modified_at)
            VALUES (0, 0, now());

            SET i = i + 1;
        END WHILE;
END $$

DELIMITER ;

DELIMITER $$
CREATE PROCEDURE IF NOT EXISTS loopInsertConcert()
BEGIN
    DECLARE i INT DEFAULT 2;

    WHILE i <= 500
        DO
            INSERT INTO concert.concerts (performer)
            VALUES (concat('performer', i));

            SET i = i + 1;
        END WHILE;
END $$


DELIMITER $$
CREATE PROCEDURE IF NOT EXISTS loopInsertConcertPd()
BEGIN
    DECLARE i INT DEFAULT 2;
    DECLARE j INT DEFAULT 1;

    WHILE i <= 500
        DO
            WHILE j <= 20
                DO
                    insert into concert.performance_dates(performance_dates_dates, concerts_id)
                        VALUE (subdate(now(), j), i);
                    SET j = j + 1;
                end while;
            SET i = i + 1;
            SET j = 1;
        END WHILE;
END $$

DELIMITER ;


DELIMITER $$
CREATE PROCEDURE IF NOT EXISTS loopInsertConcertSeats()
BEGIN
    DECLARE i INT DEFAULT 2;
    DECLARE j INT DEFAULT 1;
    DECLARE k INT DEFAULT 1;
    DECLARE performance_dates_id INT DEFAULT 1;

    WHILE i <= 500
        DO
            WHILE j <= 20
                DO
                    while k <= 1000
                        DO
                            INSERT INTO concert.seats (version, last_reserved_at, performance_dates_id, seats_price,
                                                       seats_status)
                            VALUES (0, NULL, performance_dates_id, 0, 'AVAILABLE');
                            set k = k + 1;
                        end while;
                    set performance_dates_id = performance_dates_id + 1;
                    SET k = 1;
                    SET j = j + 1;
                end while;
            SET i = i + 1;
            SET j = 1;
        END WHILE;
END $$

DELIMITER ;
