//! The program on MariaDB: its start, several servers on one database, TLS, rights, the tables of
//! a MySQL seed.

mod grants;
mod servers;
mod source_tables;
mod start_up;
mod tls;
