//! The tests of the service, compiled again for every other backend: what holds for the embedded one
//! holds for all.

mod postgres_embedded;
mod postgres_redis;
mod sqlite_redis;
