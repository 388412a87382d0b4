-- One file holds one dataset and everything that happened in it.

-- "conc": marks the file as ours, so that somebody else's database is never taken for one.
PRAGMA application_id = 0x636f6e63;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE concerts (
    id        INTEGER PRIMARY KEY,
    performer TEXT NOT NULL
);

CREATE TABLE performance_dates (
    id         INTEGER PRIMARY KEY,
    concert_id INTEGER NOT NULL REFERENCES concerts (id),
    date       TEXT    NOT NULL
);

CREATE TABLE users (
    id          INTEGER PRIMARY KEY,
    balance     INTEGER NOT NULL DEFAULT 0 CHECK (balance >= 0),
    version     INTEGER NOT NULL DEFAULT 0,
    modified_at INTEGER NOT NULL
);

-- status: 0 AVAILABLE, 1 PENDING, 2 UNAVAILABLE
CREATE TABLE seats (
    id                  INTEGER PRIMARY KEY,
    performance_date_id INTEGER NOT NULL REFERENCES performance_dates (id),
    number              INTEGER NOT NULL,
    price               INTEGER NOT NULL CHECK (price >= 0),
    status              INTEGER NOT NULL DEFAULT 0 CHECK (status IN (0, 1, 2)),
    version             INTEGER NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX seats_of_date ON seats (performance_date_id, number);
-- The audit looks at these alone, whatever the size of the dataset.
CREATE INDEX held_and_sold_seats ON seats (id) WHERE status <> 0;

-- status: 0 PENDING, 1 PAID, 2 EXPIRED, 3 CANCELLED
CREATE TABLE reservations (
    id         INTEGER PRIMARY KEY,
    seat_id    INTEGER NOT NULL REFERENCES seats (id),
    user_id    INTEGER NOT NULL REFERENCES users (id),
    price      INTEGER NOT NULL,
    status     INTEGER NOT NULL CHECK (status IN (0, 1, 2, 3)),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);

-- The last of the three protections against overselling: one live reservation a seat.
CREATE UNIQUE INDEX one_live_reservation_per_seat ON reservations (seat_id) WHERE status IN (0, 1);
CREATE INDEX live_reservations_of_user ON reservations (user_id) WHERE status IN (0, 1);
CREATE INDEX holds_by_expiry ON reservations (expires_at) WHERE status = 0;

-- kind: 0 charge, 1 payment. A reservation is paid at most once.
CREATE TABLE ledger (
    id             INTEGER PRIMARY KEY,
    user_id        INTEGER NOT NULL REFERENCES users (id),
    kind           INTEGER NOT NULL CHECK (kind IN (0, 1)),
    amount         INTEGER NOT NULL CHECK (amount >= 0),
    reservation_id INTEGER UNIQUE REFERENCES reservations (id),
    at             INTEGER NOT NULL
);

CREATE INDEX ledger_of_user ON ledger (user_id, kind);

CREATE TABLE queue_places (
    place     INTEGER PRIMARY KEY,
    user_id   INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    ended_at  INTEGER
);

-- A user waits in one place at a time.
CREATE UNIQUE INDEX one_live_place_per_user ON queue_places (user_id) WHERE ended_at IS NULL;

-- Every batch that was let in: up to which place, and when. The highest mark counts.
CREATE TABLE admissions (
    mark INTEGER PRIMARY KEY,
    at   INTEGER NOT NULL
);

-- The first answer to a keyed request, given again to its repeats.
CREATE TABLE idempotency (
    user_id     INTEGER NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint INTEGER NOT NULL,
    answer      TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (user_id, key)
) WITHOUT ROWID;

CREATE INDEX idempotency_by_age ON idempotency (at);
