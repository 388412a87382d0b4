//! Presence as advisory locks, which a session holds as long as its connection lives.

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

use super::PgOptions;
use super::schema::{self, IN_USE, LOCKS, failed, lock_key};
use super::target::{Purpose, Target};
use crate::domain::Epoch;
use crate::store::StoreError;
use crate::store::fault::Fault;
use crate::store::presence::Presence;

/// What a session uses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Use {
    Database { alone: bool },
    Dataset(Epoch),
}

impl Use {
    /// Tries to take the lock for as long as the session lives.
    async fn take(self, connection: &mut PgConnection) -> Result<bool, Fault> {
        let taking = match self {
            Use::Database { alone: true } => {
                let sql = "SELECT pg_try_advisory_lock($1, $2)";
                sqlx::query(sql).bind(LOCKS).bind(IN_USE)
            }
            Use::Database { alone: false } => {
                let sql = "SELECT pg_try_advisory_lock_shared($1, $2)";
                sqlx::query(sql).bind(LOCKS).bind(IN_USE)
            }
            Use::Dataset(epoch) => {
                let sql = "SELECT pg_try_advisory_lock_shared($1)";
                sqlx::query(sql).bind(lock_key(epoch))
            }
        };
        let row = taking.fetch_one(connection).await.map_err(failed)?;
        row.try_get(0).map_err(failed)
    }
}

/// Keeps a dataset from being swept for as long as the session lives. Returns false when it is too late.
pub(super) async fn share_dataset(
    connection: &mut PgConnection,
    epoch: Epoch,
) -> Result<bool, Fault> {
    Use::Dataset(epoch).take(connection).await
}

/// A use of a database, which other servers see.
pub(super) struct InUse {
    pub(super) using: Use,
    pub(super) target: Target,
    pub(super) options: PgOptions,
}

impl Presence for InUse {
    type Session = PgConnection;

    async fn take(&self) -> Result<Option<PgConnection>, Fault> {
        let options = &self.options;
        let connecting = self.target.session("concertctl", Purpose::Long, options);
        let mut connection = connecting.await?;
        let taking = tokio::time::timeout(options.timeout, self.using.take(&mut connection)).await;
        let taken = taking.map_err(|_| Fault::Final(StoreError::Timeout(options.timeout)))??;
        Ok(taken.then_some(connection))
    }

    async fn lives(&self, connection: &mut PgConnection) -> bool {
        let check = tokio::time::timeout(self.options.timeout, connection.ping()).await;
        matches!(check, Ok(Ok(())))
    }

    async fn release(&self, mut connection: PgConnection) {
        drop(schema::run(&mut connection, "SELECT pg_advisory_unlock_all()").await);
    }

    fn refused(&self) -> StoreError {
        let database = self.target.name();
        StoreError::Unavailable(match self.using {
            Use::Database { .. } => format!(
                "{database} is in use by another server, and the two do not share a queue: stop it, or give --redis-url to both"
            ),
            Use::Dataset(epoch) => format!(
                "{database}: the dataset {:016x} is being swept away",
                epoch.0
            ),
        })
    }
}
