//! Presence as rows and named locks.
//!
//! MySQL's named locks are exclusive, so a shared lock is a row in `concertctl_presence` whose session holds a named
//! lock of its own. The row counts while that lock is held, so the row of a lost session does not count. Rows change
//! only behind the [gate](super::gate).
//!
//! ```text
//! concertctl_presence          named locks
//!   7  scope ''     alone 0    concertctl:DB:7   held by a server's session
//!   8  scope EPOCH  alone 0    concertctl:DB:8   held by the same server's other session
//!   5  scope EPOCH  alone 0    (free)            its server was killed: deleted at the next change
//! ```

use super::{Session, gate};
use crate::store::fault::Fault;
use crate::store::server::Use;

const DELETE_LOST: &str =
    "DELETE FROM concertctl_presence WHERE IS_FREE_LOCK(CONCAT(?, ':', id)) = 1";

const CONFLICTS: &str =
    "SELECT COUNT(*) FROM concertctl_presence WHERE scope = ? AND (alone = 1 OR ? = 1)";

const INSERT: &str = "INSERT INTO concertctl_presence (scope, alone) VALUES (?, ?)";

const INSERTED: &str = "SELECT CAST(LAST_INSERT_ID() AS SIGNED)";

const DELETE: &str = "DELETE FROM concertctl_presence WHERE id = ?";

/// Takes the lock. Returns the id of its row, or `None` if another session's lock excludes it.
pub(super) async fn take(
    session: &mut Session,
    using: Use,
    gate: &str,
) -> Result<Option<i64>, Fault> {
    gate::enter(session, gate).await?;
    let id = insert(session, using, gate).await?;
    gate::leave(session, gate).await?;
    Ok(id)
}

async fn insert(session: &mut Session, using: Use, gate: &str) -> Result<Option<i64>, Fault> {
    let (scope, alone) = match using {
        Use::Database { alone } => (String::new(), alone),
        Use::Dataset(epoch) => (format!("{:016x}", epoch.0), false),
        Use::Sweeping(epoch) => (format!("{:016x}", epoch.0), true),
    };
    let row = [scope.as_str().into(), i64::from(alone).into()];
    session.rows(DELETE_LOST, &[gate.into()]).await?;
    if session.number(CONFLICTS, &row).await? > 0 {
        return Ok(None);
    }
    session.rows(INSERT, &row).await?;
    let id = session.number(INSERTED, &[]).await?;
    let lock = format!("{gate}:{id}");
    let params = [lock.as_str().into()];
    match session.number("SELECT GET_LOCK(?, 0)", &params).await? {
        1 => Ok(Some(id)),
        _ => Err(Fault::unavailable("the lock of a new session is not free")),
    }
}

/// Releases the lock.
pub(super) async fn release(session: &mut Session, id: i64, gate: &str) -> Result<(), Fault> {
    gate::leave(session, &format!("{gate}:{id}")).await?;
    session.rows(DELETE, &[id.into()]).await.map(drop)
}
