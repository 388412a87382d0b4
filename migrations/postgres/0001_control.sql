-- What stands beside the datasets, once in a database: which of them is in force, and what all servers
-- share.

CREATE SCHEMA IF NOT EXISTS concertctl;

CREATE TABLE concertctl.schema_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  integer NOT NULL
);

-- The dataset in force; its tables are in the schema concertctl_<epoch>.
CREATE TABLE concertctl.current (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch    text NOT NULL CHECK (epoch ~ '^[0-9a-f]{16}$')
);

-- What whoever comes first makes up, and all servers use.
CREATE TABLE concertctl.secrets (
    name  text PRIMARY KEY,
    value text NOT NULL
);
