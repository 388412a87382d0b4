//! The presence lock shows other servers that this server uses a database or a dataset. It lasts as long as a session.
//!
//! A task checks the session once a second. If the session is lost, the task opens a new one and takes the lock again.
//! The lock is not held in between; if another server took it, the task logs an error.

use std::time::Duration;

use parking_lot::Mutex;
use sqlx::Connection as _;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::dialect::Dialect;
use super::session::Session;
use crate::domain::Epoch;
use crate::store::StoreError;
use crate::store::fault::Fault;
use crate::store::pooled::PoolOptions;

/// The pause between two checks of the session, and between two attempts to take the lock again.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest wait for the release of a lock. The end of the connection also releases it.
const RELEASE_WITHIN: Duration = Duration::from_secs(1);

/// The use that a lock protects.
#[derive(Clone, Copy, Debug)]
pub enum Use {
    Database {
        alone: bool,
    },
    Dataset(Epoch),
    /// The dataset is being swept, and no other session may use it.
    Sweeping(Epoch),
}

/// A use of a database, for which a lock can be taken.
pub(super) struct InUse<D> {
    pub(super) using: Use,
    /// Connects to the namespace of the control tables.
    pub(super) target: D,
    pub(super) options: PoolOptions,
}

impl<D: Dialect> InUse<D> {
    /// Takes the lock in a new session. `None` when another session has it.
    pub(super) async fn take(&self) -> Result<Option<Present<D>>, Fault> {
        let options = &self.options;
        let mut session = Session::connect(&self.target, options.connect_timeout).await?;
        let taking = self.target.take(&mut session, self.using);
        let lock = timeout(options.timeout, taking).await;
        let lock = lock.map_err(|_| Fault::Final(StoreError::Timeout(options.timeout)))??;
        Ok(lock.map(|lock| Present {
            session,
            target: self.target.clone(),
            lock,
        }))
    }

    /// Like [`InUse::take`], but returns an error if another session has the lock.
    pub(super) async fn expect(&self) -> Result<Present<D>, StoreError> {
        self.take().await?.ok_or_else(|| self.refused())
    }

    fn refused(&self) -> StoreError {
        let database = self.target.name();
        StoreError::Unavailable(match self.using {
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

/// A session that holds a presence lock. While it exists, no server sweeps the dataset that it uses.
#[must_use = "once it is dropped, a dataset that is not active may be swept away"]
pub struct Present<D: Dialect> {
    pub(in crate::store) session: Session<D>,
    pub(in crate::store) target: D,
    lock: D::Lock,
}

impl<D: Dialect> Present<D> {
    /// Releases the lock, and waits until others can take it.
    pub(super) async fn release(mut self) {
        let releasing = async {
            self.target.release(&mut self.session, self.lock).await.ok();
            self.session.connection.close().await
        };
        // If the release fails, the end of the connection releases the lock a moment later.
        drop(timeout(RELEASE_WITHIN, releasing).await);
    }
}

/// A presence lock with the task that holds it. Dropping it releases the lock.
#[derive(Debug)]
pub struct PresenceLock {
    keeper: Mutex<Option<AbortOnDropHandle<()>>>,
    release: CancellationToken,
}

impl PresenceLock {
    pub(super) async fn hold<D: Dialect>(in_use: InUse<D>) -> Result<PresenceLock, StoreError> {
        let present = in_use.expect().await?;
        let release = CancellationToken::new();
        let keeping = keep(in_use, present, release.clone());
        let keeper = AbortOnDropHandle::new(tokio::spawn(keeping));
        Ok(PresenceLock {
            keeper: Mutex::new(Some(keeper)),
            release,
        })
    }

    /// Releases the lock. Other servers can take it after this, unless the database does not answer.
    pub async fn release(&self) {
        self.release.cancel();
        let keeper = self.keeper.lock().take();
        if let Some(keeper) = keeper {
            drop(timeout(RELEASE_WITHIN, keeper).await);
        }
    }
}

/// Holds the lock until it is released. If the session is lost, takes the lock again in a new one.
async fn keep<D: Dialect>(in_use: InUse<D>, mut present: Present<D>, release: CancellationToken) {
    loop {
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = release.cancelled() => return present.release().await,
        }
        if present.session.lives(in_use.options.timeout).await {
            continue;
        }
        present = loop {
            match in_use.take().await {
                Ok(Some(present)) => break present,
                Ok(None) => {
                    let error = in_use.refused();
                    tracing::error!(%error, "the connection that shows this server to others was lost");
                }
                // The database does not answer yet. Other parts of the server report that.
                Err(_) => {}
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = release.cancelled() => return,
            }
        };
    }
}
