//! Presence as advisory locks, which a session holds as long as its connection lives.

use super::Session;
use crate::domain::Epoch;
use crate::store::fault::Fault;
use crate::store::server::Use;

/// The first half of the key of every advisory lock that is not about one dataset: "conc".
const LOCKS: i64 = 0x636f_6e63;
/// The lock for schema changes: only one server at a time changes a schema.
const MIGRATING: i64 = 1;
/// The lock on the use of the database. A server with its own coordination holds it exclusively; servers that share the
/// coordination also share this lock.
const IN_USE: i64 = 2;

/// Tries to take the lock. The session holds it as long as it lives.
pub(super) async fn take(session: &mut Session, using: Use) -> Result<Option<()>, Fault> {
    let database = [LOCKS.into(), IN_USE.into()];
    let taken = match using {
        Use::Database { alone: true } => {
            let sql = "SELECT pg_try_advisory_lock($1::integer, $2::integer)::integer::bigint";
            session.number(sql, &database).await?
        }
        Use::Database { alone: false } => {
            let sql =
                "SELECT pg_try_advisory_lock_shared($1::integer, $2::integer)::integer::bigint";
            session.number(sql, &database).await?
        }
        Use::Dataset(epoch) => {
            let sql = "SELECT pg_try_advisory_lock_shared($1)::integer::bigint";
            session.number(sql, &[key(epoch).into()]).await?
        }
        Use::Sweeping(epoch) => {
            let sql = "SELECT pg_try_advisory_lock($1)::integer::bigint";
            session.number(sql, &[key(epoch).into()]).await?
        }
    };
    Ok((taken == 1).then_some(()))
}

/// Waits until no other server changes a schema. The lock is released at the end of the transaction.
pub(super) async fn lock_migrating(session: &mut Session) -> Result<(), Fault> {
    let sql = "SELECT pg_advisory_xact_lock($1::integer, $2::integer)";
    let params = [LOCKS.into(), MIGRATING.into()];
    session.rows(sql, &params).await.map(drop)
}

/// The key of the advisory lock of a dataset.
fn key(epoch: Epoch) -> i64 {
    i64::from_ne_bytes(epoch.0.to_ne_bytes())
}
