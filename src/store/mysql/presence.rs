//! Presence as rows and named locks.
//!
//! MySQL's named locks are exclusive, so a shared lock is a row in `concertctl_presence` whose session holds a named lock
//! of its own. The row counts while that lock is held, so the row of a lost session does not count. Rows change only
//! behind the [gate](super::gate).
//!
//! ```text
//! concertctl_presence          named locks
//!   7  scope ''     alone 0    concertctl:DB:7   held by a server's session
//!   8  scope EPOCH  alone 0    concertctl:DB:8   held by the same server's other session
//!   5  scope EPOCH  alone 0    (free)            its server was killed: deleted at the next change
//! ```

use std::time::Duration;

use sqlx::mysql::MySqlConnection;
use sqlx::{Connection as _, Row as _};

use super::schema::failed;
use super::target::{Purpose, Target};
use super::{MySqlOptions, gate};
use crate::domain::Epoch;
use crate::store::StoreError;
use crate::store::fault::Fault;
use crate::store::presence::Presence;

/// The longest wait for the release of a lock. It also ends with its connection.
const RELEASE_WITHIN: Duration = Duration::from_secs(1);

const DELETE_LOST: &str =
    "DELETE FROM concertctl_presence WHERE IS_FREE_LOCK(CONCAT(?, ':', id)) = 1";

const CONFLICTS: &str =
    "SELECT COUNT(*) FROM concertctl_presence WHERE scope = ? AND (alone = 1 OR ? = 1)";

const INSERT: &str = "INSERT INTO concertctl_presence (scope, alone) VALUES (?, ?)";

/// Whether at least as many sessions use the dataset as the database.
pub(super) const FOLLOWED: &str =
    "SELECT COALESCE(SUM(scope = ?), 0) >= COALESCE(SUM(scope = ''), 0)
    FROM concertctl_presence WHERE IS_FREE_LOCK(CONCAT(?, ':', id)) = 0";

/// What a session uses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Use {
    Database {
        alone: bool,
    },
    Dataset(Epoch),
    /// Nobody else may use the dataset any more.
    Sweeping(Epoch),
}

impl Use {
    fn scope(self) -> String {
        match self {
            Use::Database { .. } => String::new(),
            Use::Dataset(epoch) | Use::Sweeping(epoch) => scope_of(epoch),
        }
    }

    fn alone(self) -> bool {
        matches!(self, Use::Database { alone: true } | Use::Sweeping(_))
    }

    fn refused(self, database: &str) -> StoreError {
        StoreError::Unavailable(match self {
            Use::Database { .. } => format!(
                "{database} is in use by another server, and the two do not share a queue: stop it, or give --redis-url to both"
            ),
            Use::Dataset(epoch) | Use::Sweeping(epoch) => format!(
                "{database}: another server uses or removes the dataset {:016x}",
                epoch.0
            ),
        })
    }
}

/// The scope of the sessions that use a dataset.
pub(super) fn scope_of(epoch: Epoch) -> String {
    format!("{:016x}", epoch.0)
}

/// A session that holds a presence lock. The lock ends with the session's connection.
pub(super) struct Present {
    pub(super) connection: MySqlConnection,
    base: String,
    id: i64,
}

/// Takes a presence lock in a new session. `None` when another session has the scope.
pub(super) async fn take(
    using: Use,
    target: &Target,
    options: &MySqlOptions,
) -> Result<Option<Present>, Fault> {
    let connecting = target.session(target.database(), Purpose::Long, options);
    let mut connection = connecting.await?;
    let base = gate::name(target.database());
    let taking = tokio::time::timeout(options.timeout, async {
        gate::enter(&mut connection, &base).await?;
        let id = insert(&mut connection, using, &base).await?;
        gate::leave(&mut connection, &base).await?;
        Ok::<_, Fault>(id)
    });
    let id = taking
        .await
        .map_err(|_| Fault::Final(StoreError::Timeout(options.timeout)))??;
    Ok(id.map(|id| Present {
        connection,
        base,
        id,
    }))
}

/// The same, with an error when another session has the scope.
pub(super) async fn expect(
    using: Use,
    target: &Target,
    options: &MySqlOptions,
) -> Result<Present, StoreError> {
    let present = take(using, target, options).await?;
    present.ok_or_else(|| using.refused(target.name()))
}

async fn insert(
    connection: &mut MySqlConnection,
    using: Use,
    base: &str,
) -> Result<Option<i64>, Fault> {
    let (scope, alone) = (using.scope(), i64::from(using.alone()));
    let lost = sqlx::query(DELETE_LOST).bind(base.to_owned());
    lost.execute(&mut *connection).await.map_err(failed)?;
    let conflicts = sqlx::query(CONFLICTS).bind(scope.clone()).bind(alone);
    let conflicts = conflicts.fetch_one(&mut *connection).await;
    let conflicts: i64 = conflicts.map_err(failed)?.try_get(0).map_err(failed)?;
    if conflicts > 0 {
        return Ok(None);
    }
    let inserted = sqlx::query(INSERT).bind(scope).bind(alone);
    let inserted = inserted.execute(&mut *connection).await.map_err(failed)?;
    let id = i64::try_from(inserted.last_insert_id()).unwrap_or(0);
    let locked = sqlx::query("SELECT GET_LOCK(?, 0)").bind(format!("{base}:{id}"));
    let locked = locked.fetch_one(connection).await.map_err(failed)?;
    match locked.try_get::<Option<i64>, _>(0).map_err(failed)? {
        Some(1) => Ok(Some(id)),
        _ => Err(Fault::unavailable("the lock of a new session is not free")),
    }
}

impl Present {
    /// Gives up the lock, and waits until others can have it.
    pub(super) async fn release(mut self) {
        let releasing = async {
            let name = format!("{}:{}", self.base, self.id);
            let release = sqlx::query("SELECT RELEASE_LOCK(?)").bind(name);
            release.execute(&mut self.connection).await?;
            let delete = sqlx::query("DELETE FROM concertctl_presence WHERE id = ?").bind(self.id);
            delete.execute(&mut self.connection).await?;
            self.connection.close().await
        };
        // After a failure the end of the connection releases the lock, a moment later.
        drop(tokio::time::timeout(RELEASE_WITHIN, releasing).await);
    }
}

/// A use of a database, which other servers see.
pub(super) struct InUse {
    pub(super) using: Use,
    pub(super) target: Target,
    pub(super) options: MySqlOptions,
}

impl Presence for InUse {
    type Session = Present;

    async fn take(&self) -> Result<Option<Present>, Fault> {
        take(self.using, &self.target, &self.options).await
    }

    async fn lives(&self, present: &mut Present) -> bool {
        let check = tokio::time::timeout(self.options.timeout, present.connection.ping()).await;
        matches!(check, Ok(Ok(())))
    }

    async fn release(&self, present: Present) {
        present.release().await;
    }

    fn refused(&self) -> StoreError {
        self.using.refused(self.target.name())
    }
}
