//! Who uses the database, told to other servers by advisory locks that are held as long as a
//! connection lives.
//!
//! A connection that breaks is made anew and the lock taken again: for a moment the lock is not held,
//! which is noticed and logged when somebody else took it meanwhile.

use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::PgOptions;
use super::fault::Fault;
use super::schema::{IN_USE, LOCKS, failed, lock_key};
use super::target::{Purpose, Session, Target};
use crate::domain::Epoch;
use crate::store::StoreError;

/// Between two attempts to hold the lock again.
const PAUSE: Duration = Duration::from_secs(1);
/// A database that does not hear that a lock is given up is not waited for longer.
const RELEASE_WITHIN: Duration = Duration::from_secs(1);

/// A lock that other servers see; given up when released or dropped.
#[derive(Debug)]
pub struct PresenceLock {
    keeper: Mutex<Option<AbortOnDropHandle<()>>>,
    release: CancellationToken,
}

/// What is held.
#[derive(Clone, Copy, Debug)]
enum Hold {
    Database { alone: bool },
    Dataset(Epoch),
}

impl Hold {
    /// Tries to take it for as long as the session lives.
    async fn take(self, session: &Session) -> Result<bool, Fault> {
        let client = &session.client;
        let row = match self {
            Hold::Database { alone } => {
                let sql = if alone {
                    "SELECT pg_try_advisory_lock($1, $2)"
                } else {
                    "SELECT pg_try_advisory_lock_shared($1, $2)"
                };
                client.query_one(sql, &[&LOCKS, &IN_USE]).await
            }
            Hold::Dataset(epoch) => {
                let sql = "SELECT pg_try_advisory_lock_shared($1)";
                client.query_one(sql, &[&lock_key(epoch)]).await
            }
        };
        Ok(row.map_err(failed)?.get(0))
    }

    fn refused(self, database: &str) -> StoreError {
        StoreError::Unavailable(match self {
            Hold::Database { .. } => format!(
                "{database} is in use by another server, and the two do not share a queue: stop it, or give --redis-url to both"
            ),
            Hold::Dataset(epoch) => format!(
                "{database}: the dataset {:016x} is being swept away",
                epoch.0
            ),
        })
    }
}

/// Keeps a dataset from being swept for as long as the session lives; whether it is not too late.
pub(super) async fn share_dataset(session: &Session, epoch: Epoch) -> Result<bool, Fault> {
    Hold::Dataset(epoch).take(session).await
}

impl PresenceLock {
    pub(super) async fn alone(
        target: &Target,
        options: &PgOptions,
    ) -> Result<PresenceLock, StoreError> {
        PresenceLock::hold(Hold::Database { alone: true }, target, options).await
    }

    pub(super) async fn shared(
        target: &Target,
        options: &PgOptions,
    ) -> Result<PresenceLock, StoreError> {
        PresenceLock::hold(Hold::Database { alone: false }, target, options).await
    }

    pub(super) async fn of_dataset(
        target: &Target,
        options: &PgOptions,
        epoch: Epoch,
    ) -> Result<PresenceLock, StoreError> {
        PresenceLock::hold(Hold::Dataset(epoch), target, options).await
    }

    async fn hold(
        hold: Hold,
        target: &Target,
        options: &PgOptions,
    ) -> Result<PresenceLock, StoreError> {
        let Some(session) = take(hold, target, options).await? else {
            return Err(hold.refused(target.name()));
        };
        let release = CancellationToken::new();
        let keeping = keep(hold, session, target.clone(), *options, release.clone());
        let keeper = AbortOnDropHandle::new(tokio::spawn(keeping));
        Ok(PresenceLock {
            keeper: Mutex::new(Some(keeper)),
            release,
        })
    }

    /// Gives the lock up; when this returns, others can have it, unless the database is away.
    pub async fn release(&self) {
        self.release.cancel();
        let keeper = self.keeper.lock().take();
        if let Some(keeper) = keeper {
            // What is not released in time is when the connection is closed.
            drop(tokio::time::timeout(RELEASE_WITHIN, keeper).await);
        }
    }
}

async fn take(hold: Hold, target: &Target, options: &PgOptions) -> Result<Option<Session>, Fault> {
    let session = target.session("concertctl", Purpose::Long, options).await?;
    let taking = tokio::time::timeout(options.timeout, hold.take(&session)).await;
    let taken = taking.map_err(|_| Fault::Final(StoreError::Timeout(options.timeout)))??;
    Ok(taken.then_some(session))
}

/// Gives up what the session holds, and waits until others can have it.
pub(super) async fn let_go(session: &Session) {
    let sql = "SELECT pg_advisory_unlock_all()";
    // Where it is not heard, the end of the connection does the same a moment later.
    drop(tokio::time::timeout(RELEASE_WITHIN, session.client.batch_execute(sql)).await);
}

/// Holds the lock until released, through losses of the connection.
async fn keep(
    hold: Hold,
    mut session: Session,
    target: Target,
    options: PgOptions,
    release: CancellationToken,
) {
    loop {
        tokio::select! {
            () = session.ended() => {}
            () = release.cancelled() => return let_go(&session).await,
        }
        session = loop {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = release.cancelled() => return,
            }
            match take(hold, &target, &options).await {
                Ok(Some(session)) => break session,
                Ok(None) => {
                    let error = hold.refused(target.name());
                    tracing::error!(%error, "the connection that told others of this server was lost");
                }
                // Away still: whoever uses the database says so.
                Err(_) => {}
            }
        };
    }
}
