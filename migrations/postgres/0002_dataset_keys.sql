-- Keys, indexes and references of a dataset: made after its rows, which takes a fraction of the time
-- of keeping them up to date row by row.

ALTER TABLE concerts ADD CONSTRAINT concerts_pkey PRIMARY KEY (id);
ALTER TABLE performance_dates ADD CONSTRAINT performance_dates_pkey PRIMARY KEY (id);
ALTER TABLE users ADD CONSTRAINT users_pkey PRIMARY KEY (id);
ALTER TABLE seats ADD CONSTRAINT seats_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX seats_of_date ON seats (performance_date_id, number);
-- The audit looks at these alone, whatever the size of the dataset.
CREATE INDEX held_and_sold_seats ON seats (id) WHERE status <> 0;

ALTER TABLE reservations ADD CONSTRAINT reservations_pkey PRIMARY KEY (id);
-- The last of the three protections against overselling: one live reservation a seat.
CREATE UNIQUE INDEX one_live_reservation_per_seat ON reservations (seat_id) WHERE status IN (0, 1);
-- The user's limit, however many requests race: two of them cannot take the same slot.
CREATE UNIQUE INDEX one_live_reservation_per_slot ON reservations (user_id, slot) WHERE status IN (0, 1);
CREATE INDEX holds_by_expiry ON reservations (expires_at) WHERE status = 0;

ALTER TABLE ledger ADD CONSTRAINT ledger_pkey PRIMARY KEY (id);
-- A reservation is paid at most once.
ALTER TABLE ledger ADD CONSTRAINT one_payment_per_reservation UNIQUE (reservation_id);
CREATE INDEX ledger_of_user ON ledger (user_id, kind);

ALTER TABLE queue_places ADD CONSTRAINT queue_places_pkey PRIMARY KEY (place);
-- A user waits in one place at a time.
CREATE UNIQUE INDEX one_live_place_per_user ON queue_places (user_id) WHERE ended_at IS NULL;

ALTER TABLE admissions ADD CONSTRAINT admissions_pkey PRIMARY KEY (mark);

ALTER TABLE idempotency ADD CONSTRAINT idempotency_pkey PRIMARY KEY (user_id, key);
CREATE INDEX idempotency_by_age ON idempotency (at);

ALTER TABLE performance_dates ADD FOREIGN KEY (concert_id) REFERENCES concerts (id);
ALTER TABLE seats ADD FOREIGN KEY (performance_date_id) REFERENCES performance_dates (id);
ALTER TABLE reservations ADD FOREIGN KEY (seat_id) REFERENCES seats (id);
ALTER TABLE reservations ADD FOREIGN KEY (user_id) REFERENCES users (id);
ALTER TABLE ledger ADD FOREIGN KEY (user_id) REFERENCES users (id);
ALTER TABLE ledger ADD FOREIGN KEY (reservation_id) REFERENCES reservations (id);
