//! The tests of the service, compiled again for every other backend.

mod postgres_embedded;
mod postgres_redis;
mod sqlite_redis;
