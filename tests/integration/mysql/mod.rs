//! The program on MariaDB: its start, several servers on one database, TLS.

mod servers;
mod start_up;
mod tls;
