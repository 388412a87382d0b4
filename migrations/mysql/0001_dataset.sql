-- One database holds one dataset and everything that happened in it. There are no foreign keys: InnoDB would lock the
-- parent rows, seats and accounts, of every reservation. Only seeding makes rows in the parent tables, and nothing
-- deletes them.
--
-- MySQL has no partial indexes. A generated column that is NULL for the rows that do not count takes their place: a
-- unique index accepts any number of NULLs. These columns are invisible, so SELECT * does not show them.

CREATE TABLE meta (
    `key` VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    value LONGTEXT    NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- The store locks this row while it hands out places by itself, so one server at a time does.
INSERT INTO meta (`key`, value) VALUES ('places', '');

CREATE TABLE concerts (
    id        BIGINT       NOT NULL PRIMARY KEY,
    performer VARCHAR(255) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE performance_dates (
    id         BIGINT   NOT NULL PRIMARY KEY,
    concert_id BIGINT   NOT NULL,
    date       CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
) ENGINE = InnoDB;

CREATE TABLE users (
    id          BIGINT NOT NULL PRIMARY KEY,
    balance     BIGINT NOT NULL DEFAULT 0,
    version     BIGINT NOT NULL DEFAULT 0,
    modified_at BIGINT NOT NULL,
    CONSTRAINT balance_is_not_overdrawn CHECK (balance >= 0)
) ENGINE = InnoDB;

-- status: 0 AVAILABLE, 1 PENDING, 2 UNAVAILABLE
CREATE TABLE seats (
    id                  BIGINT  NOT NULL PRIMARY KEY,
    performance_date_id BIGINT  NOT NULL,
    price               BIGINT  NOT NULL CHECK (price >= 0),
    version             BIGINT  NOT NULL DEFAULT 0,
    number              INT     NOT NULL,
    status              TINYINT NOT NULL DEFAULT 0 CHECK (status IN (0, 1, 2)),
    UNIQUE KEY seats_of_date (performance_date_id, number)
) ENGINE = InnoDB;

-- status: 0 PENDING, 1 PAID, 2 EXPIRED, 3 CANCELLED. slot: from 1, the lowest that no other live reservation of the
-- user has: the limit holds while no slot is above it. place: the place that made the reservation, and once paid, the
-- place that paid it.
CREATE TABLE reservations (
    id         BIGINT  NOT NULL AUTO_INCREMENT PRIMARY KEY,
    seat_id    BIGINT  NOT NULL,
    user_id    BIGINT  NOT NULL,
    price      BIGINT  NOT NULL,
    created_at BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL,
    slot       INT     NOT NULL DEFAULT 1 CHECK (slot >= 1),
    status     TINYINT NOT NULL CHECK (status IN (0, 1, 2, 3)),
    place      BIGINT,
    live_seat  BIGINT GENERATED ALWAYS AS (CASE WHEN status IN (0, 1) THEN seat_id END) VIRTUAL INVISIBLE,
    live_slot  INT    GENERATED ALWAYS AS (CASE WHEN status IN (0, 1) THEN slot END) VIRTUAL INVISIBLE,
    held_until BIGINT GENERATED ALWAYS AS (CASE WHEN status = 0 THEN expires_at END) VIRTUAL INVISIBLE,
    -- The last of the three protections against overselling: one live reservation a seat.
    UNIQUE KEY one_live_reservation_per_seat (live_seat),
    -- The user's limit, however many requests race: two of them cannot take the same slot.
    UNIQUE KEY one_live_reservation_per_slot (user_id, live_slot),
    KEY holds_by_expiry (held_until),
    -- Serves the list of a user's reservations.
    KEY reservations_of_user (user_id, id)
) ENGINE = InnoDB;

-- kind: 0 charge, 1 payment. A reservation is paid at most once.
CREATE TABLE ledger (
    id             BIGINT  NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id        BIGINT  NOT NULL,
    kind           TINYINT NOT NULL CHECK (kind IN (0, 1)),
    amount         BIGINT  NOT NULL CHECK (amount >= 0),
    reservation_id BIGINT,
    at             BIGINT  NOT NULL,
    UNIQUE KEY one_payment_per_reservation (reservation_id),
    KEY ledger_of_user (user_id, kind)
) ENGINE = InnoDB;

-- handed_out: the store gave the place while the shared queue did not answer, so the queue may not know it.
CREATE TABLE queue_places (
    place      BIGINT  NOT NULL PRIMARY KEY,
    user_id    BIGINT  NOT NULL,
    issued_at  BIGINT  NOT NULL,
    ended_at   BIGINT,
    handed_out TINYINT NOT NULL DEFAULT 0,
    live_user  BIGINT GENERATED ALWAYS AS (CASE WHEN ended_at IS NULL THEN user_id END) VIRTUAL INVISIBLE,
    -- A user waits in one place at a time.
    UNIQUE KEY one_live_place_per_user (live_user)
) ENGINE = InnoDB;

-- Every batch that was admitted: up to which place, and when. The highest mark counts.
CREATE TABLE admissions (
    mark BIGINT NOT NULL PRIMARY KEY,
    at   BIGINT NOT NULL
) ENGINE = InnoDB;

-- The first answer to a keyed request: its code, and up to two values. A key is compared byte by byte.
CREATE TABLE idempotency (
    user_id       BIGINT         NOT NULL,
    `key`         VARBINARY(255) NOT NULL,
    fingerprint   BIGINT         NOT NULL,
    answer        SMALLINT       NOT NULL,
    answer_first  BIGINT,
    answer_second BIGINT,
    at            BIGINT         NOT NULL,
    PRIMARY KEY (user_id, `key`),
    KEY idempotency_by_age (at)
) ENGINE = InnoDB;
