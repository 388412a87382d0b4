//! The embedded database, with coordination by Redis.

type TestServer = crate::support::Server<crate::support::SqliteRedis>;

#[path = "../api.rs"]
mod api;
#[path = "../concurrency.rs"]
mod concurrency;
#[path = "../protections.rs"]
mod protections;
#[path = "../repeats.rs"]
mod repeats;
