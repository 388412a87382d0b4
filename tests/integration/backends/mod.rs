//! The tests of the service, compiled again for every other backend.

mod mysql_embedded;
mod mysql_redis;
mod postgres_embedded;
mod postgres_redis;
mod sqlite_redis;
