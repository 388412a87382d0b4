-- The number of the last commit. `open` is 1 while a server writes to the file, so that a file that was
-- left without its write-ahead log can be told from one that was closed.
CREATE TABLE commits (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    number   INTEGER NOT NULL,
    open     INTEGER NOT NULL CHECK (open IN (0, 1))
);

INSERT INTO commits (only_row, number, open) VALUES (1, 0, 0);
