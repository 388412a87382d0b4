-- The tables beside the datasets, in the database that the URL names. They hold what all servers share. Each dataset
-- has a database of its own, called after this one and the dataset's epoch.

CREATE TABLE IF NOT EXISTS concertctl_schema_version (
    only_row TINYINT NOT NULL DEFAULT 1 PRIMARY KEY CHECK (only_row = 1),
    version  INT     NOT NULL
) ENGINE = InnoDB;

-- The active dataset.
CREATE TABLE IF NOT EXISTS concertctl_current (
    only_row TINYINT  NOT NULL DEFAULT 1 PRIMARY KEY CHECK (only_row = 1),
    epoch    CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
) ENGINE = InnoDB;

-- The first server makes each secret, and all servers use it.
CREATE TABLE IF NOT EXISTS concertctl_secrets (
    name  VARCHAR(64)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    value VARCHAR(1024) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
) ENGINE = InnoDB;

-- A row for each session that uses the database (scope '') or a dataset (its epoch). The row counts while its session
-- holds the named lock of the row, so the row of a killed server does not count. alone: no other session may use the
-- scope.
CREATE TABLE IF NOT EXISTS concertctl_presence (
    id    BIGINT   NOT NULL AUTO_INCREMENT PRIMARY KEY,
    scope CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    alone TINYINT  NOT NULL
) ENGINE = InnoDB;
