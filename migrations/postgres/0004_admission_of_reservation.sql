-- The place by which a reservation was made, and once paid, by which it was paid: an admission ends with
-- the last of its holds. NULL in rows of older versions.
ALTER TABLE reservations ADD COLUMN place bigint;

-- Serves the list of a user's reservations.
CREATE INDEX reservations_of_user ON reservations (user_id, id);
