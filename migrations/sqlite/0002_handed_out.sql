-- Whether a place was given from here while the shared queue was away, which may not know of it yet.
ALTER TABLE queue_places ADD COLUMN handed_out INTEGER NOT NULL DEFAULT 0 CHECK (handed_out IN (0, 1));
