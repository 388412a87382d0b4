//! MariaDB, with coordination inside the process.

type TestServer = crate::support::Server<crate::support::MySqlEmbedded>;

#[path = "../api.rs"]
mod api;
#[path = "../concurrency.rs"]
mod concurrency;
#[path = "../protections.rs"]
mod protections;
#[path = "../repeats.rs"]
mod repeats;
