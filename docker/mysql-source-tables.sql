-- The tables that the seed procedures fill: loopInsertUser, loopInsertConcert, loopInsertConcertPd and
-- loopInsertConcertSeats. They are in a database of their own name, beside the datasets of concertctl.
--
--   mariadb < docker/mysql-source-tables.sql
--
-- The procedures count users and concerts from 2, so the first of each is made here. Its dates are the ids 1 to 20,
-- where the procedure for seats begins.

CREATE DATABASE IF NOT EXISTS concert;
USE concert;

CREATE TABLE IF NOT EXISTS users (
    users_id                  BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    version                   BIGINT      NOT NULL DEFAULT 0,
    users_account_balance     BIGINT      NOT NULL DEFAULT 0,
    users_account_modified_at DATETIME(6) NOT NULL
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS concerts (
    concerts_id BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    performer   VARCHAR(255) NOT NULL
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS performance_dates (
    performance_dates_id    BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    performance_dates_dates DATETIME(6) NOT NULL,
    concerts_id             BIGINT      NOT NULL
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS seats (
    seats_id             BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    version              BIGINT      NOT NULL DEFAULT 0,
    last_reserved_at     DATETIME(6),
    performance_dates_id BIGINT      NOT NULL,
    seats_price          BIGINT      NOT NULL,
    seats_status         VARCHAR(16) NOT NULL,
    KEY seats_of_date (performance_dates_id)
) ENGINE = InnoDB;

INSERT IGNORE INTO users (users_id, users_account_modified_at) VALUES (1, NOW());
INSERT IGNORE INTO concerts (concerts_id, performer) VALUES (1, 'performer1');
INSERT IGNORE INTO performance_dates (performance_dates_id, performance_dates_dates, concerts_id)
WITH RECURSIVE days (day) AS (SELECT 1 UNION ALL SELECT day + 1 FROM days WHERE day < 20)
SELECT day, SUBDATE(NOW(), day), 1 FROM days;
