//! MariaDB and Redis, as on several servers.

type TestServer = crate::support::Server<crate::support::MySqlRedis>;

#[path = "../api.rs"]
mod api;
#[path = "../concurrency.rs"]
mod concurrency;
#[path = "../protections.rs"]
mod protections;
#[path = "../repeats.rs"]
mod repeats;
