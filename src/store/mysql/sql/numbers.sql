CREATE TABLE numbers (n INT NOT NULL PRIMARY KEY) ENGINE = InnoDB;

CREATE TEMPORARY TABLE digits (d INT NOT NULL PRIMARY KEY);

INSERT INTO digits VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);

-- 0 to 99,999. A temporary table can be read once in a statement.
INSERT INTO numbers SELECT d FROM digits;
INSERT INTO numbers SELECT n.n + 10 * d.d FROM numbers n CROSS JOIN digits d WHERE d.d > 0;
INSERT INTO numbers SELECT n.n + 100 * d.d FROM numbers n CROSS JOIN digits d WHERE d.d > 0;
INSERT INTO numbers SELECT n.n + 1000 * d.d FROM numbers n CROSS JOIN digits d WHERE d.d > 0;
INSERT INTO numbers SELECT n.n + 10000 * d.d FROM numbers n CROSS JOIN digits d WHERE d.d > 0;

DROP TEMPORARY TABLE digits;
