//! MySQL and MariaDB: a dataset is a database. Every booking is one prepared `CALL` of a stored procedure.

mod bulk;
mod dialect;
mod driver;
mod errors;
mod gate;
mod presence;
mod statements;
mod target;
mod version;

pub use bulk::MySqlBulk;

pub use super::pooled::PoolOptions as MySqlOptions;
use super::server;
use target::Target;

/// The database that a URL names.
pub type Database = server::Database<Target>;
/// An open dataset.
pub type MySqlStore = server::ServerStore<Target>;
/// A complete dataset that is not active yet.
pub type Loaded = server::Present<Target>;
type Session = server::Session<Target>;
