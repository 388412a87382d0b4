//! The differences between the database servers.

use std::fmt;

use super::presence::{Present, Use};
use super::session::Session;
use super::statements::Statements;
use crate::domain::Epoch;
use crate::store::StoreError;
use crate::store::fault::Fault;
use crate::store::pooled::{Driver, PoolOptions};

/// A kind of database server. A value is the database that a URL names, with the settings of its connections.
///
/// The control tables and each dataset have a namespace of their own: a schema in PostgreSQL, a database in MySQL.
pub trait Dialect: Driver + Clone + fmt::Debug {
    /// The statements of the store.
    const SQL: Statements;
    /// The unique key that only one of two copies of a request can insert.
    const ONE_ANSWER: &'static str;
    /// The word for a namespace, for messages.
    const NAMESPACE: &'static str;
    /// A load that was killed leaves no namespace, because one transaction makes all of it.
    const LOADS_WHOLE: bool;
    /// The migrations of a dataset, in order. `meta` holds the number of those that ran. Each text runs by itself.
    const MIGRATIONS: &'static [&'static [&'static str]];

    /// The data that a session keeps about a presence lock that it holds.
    type Lock: Send;
    /// A dataset that is being loaded.
    type Bulk;

    /// Parses a URL.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with one line that never contains the password.
    fn parse(url: &str, options: &PoolOptions) -> Result<Self, StoreError>;

    /// The namespace of the control tables. The names of datasets begin with it.
    fn control(&self) -> &str;

    /// The same database, for connections that use the tables in `namespace`.
    fn in_namespace(&self, namespace: &str, purpose: Purpose, options: &PoolOptions) -> Self;

    /// Refuses a server that is too old or accepts no writes, and warns of settings under which a crash loses writes.
    fn check_server(
        &self,
        session: &mut Session<Self>,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Makes the missing control tables.
    fn make_control(
        &self,
        session: &mut Session<Self>,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Waits until no other session changes a schema, and excludes other sessions until [`Dialect::unlock_schema`].
    fn lock_schema(
        &self,
        session: &mut Session<Self>,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Commits the changes since the last [`Dialect::lock_schema`], and releases the lock. The end of the session
    /// releases it too.
    fn unlock_schema(
        &self,
        session: &mut Session<Self>,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Takes a presence lock. `None` when another session has it.
    fn take(
        &self,
        session: &mut Session<Self>,
        using: Use,
    ) -> impl Future<Output = Result<Option<Self::Lock>, Fault>> + Send;

    /// Releases a presence lock.
    fn release(
        &self,
        session: &mut Session<Self>,
        lock: Self::Lock,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Begins to load a dataset in the session that holds its presence lock.
    fn begin_bulk(
        present: Present<Self>,
        namespace: String,
    ) -> impl Future<Output = Result<Self::Bulk, StoreError>> + Send;

    /// The statement that drops a namespace.
    fn drop_namespace(namespace: &str) -> String;
}

/// The use of a connection, which determines its settings.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Short statements by keys.
    Statements,
    /// Seeding, sweeping, audits, presence locks: no statement time-out.
    Long,
}

/// The namespace of a dataset, beside the one of the control tables.
pub(super) fn namespace_of(control: &str, epoch: Epoch) -> String {
    format!("{control}_{}", hex(epoch))
}

/// The dataset that has this namespace.
pub(super) fn epoch_of(control: &str, namespace: &str) -> Option<Epoch> {
    epoch(namespace.strip_prefix(control)?.strip_prefix('_')?)
}

/// An epoch as sixteen hexadecimal digits.
pub(super) fn hex(epoch: Epoch) -> String {
    format!("{:016x}", epoch.0)
}

/// The epoch of sixteen hexadecimal digits.
pub(super) fn epoch(text: &str) -> Option<Epoch> {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = text.len() == 16 && text.bytes().all(digit);
    let number = u64::from_str_radix(text, 16).ok()?;
    fits.then_some(Epoch(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_and_its_namespace_are_made_from_each_other() {
        for epoch in [Epoch(0), Epoch(7), Epoch(u64::MAX)] {
            assert_eq!(epoch_of("base", &namespace_of("base", epoch)), Some(epoch));
        }
        for other in [
            "base",
            "base_",
            "base_00000000000000g0",
            "base_+000000000000007",
            "base_00000000000000071",
            "base_000000000000000A",
            "other_0000000000000007",
        ] {
            assert_eq!(epoch_of("base", other), None, "{other}");
        }
    }
}
