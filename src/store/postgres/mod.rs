//! PostgreSQL: a dataset is a schema. Every booking is one statement of common table expressions.

mod bulk;
mod dialect;
mod driver;
mod errors;
mod presence_lock;
mod statements;
mod target;
mod url;

pub use bulk::PgBulk;
pub use statements::RESERVE;

pub use super::pooled::PoolOptions as PgOptions;
use super::server;
use target::Target;

/// The database that a URL names.
pub type Database = server::Database<Target>;
/// An open dataset.
pub type PgStore = server::ServerStore<Target>;
/// A complete dataset that is not active yet.
pub type Loaded = server::Present<Target>;
type Session = server::Session<Target>;
