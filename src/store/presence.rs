//! The presence lock: it shows other servers who uses a database or a dataset, as long as a session lives.
//!
//! A task checks the session once a second. When the session is lost, the task makes a new one and takes the lock again.
//! The lock is not held meanwhile; if another server took it, an error is logged.

use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::StoreError;
use super::fault::Fault;

/// The pause between two checks of the session, and between two attempts to take the lock again.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest wait for the release of a lock. It also ends with its connection.
const RELEASE_WITHIN: Duration = Duration::from_secs(1);

/// What a lock shows, and how a session takes it.
pub(super) trait Presence: Send + Sync + 'static {
    type Session: Send;

    /// Takes the lock in a new session. `None` when another server has it.
    fn take(&self) -> impl Future<Output = Result<Option<Self::Session>, Fault>> + Send;

    /// Whether the session still lives.
    fn lives(&self, session: &mut Self::Session) -> impl Future<Output = bool> + Send;

    /// Gives up the lock, and waits until others can have it.
    fn release(&self, session: Self::Session) -> impl Future<Output = ()> + Send;

    /// The error when another server has the lock.
    fn refused(&self) -> StoreError;
}

/// A presence lock with the task that holds it. Released or dropped, it is given up.
#[derive(Debug)]
pub struct PresenceLock {
    keeper: Mutex<Option<AbortOnDropHandle<()>>>,
    release: CancellationToken,
}

impl PresenceLock {
    pub(super) async fn hold(presence: impl Presence) -> Result<PresenceLock, StoreError> {
        let Some(session) = presence.take().await? else {
            return Err(presence.refused());
        };
        let release = CancellationToken::new();
        let keeping = keep(presence, session, release.clone());
        let keeper = AbortOnDropHandle::new(tokio::spawn(keeping));
        Ok(PresenceLock {
            keeper: Mutex::new(Some(keeper)),
            release,
        })
    }

    /// Gives up the lock. After this, others can have it, unless the database does not answer.
    pub async fn release(&self) {
        self.release.cancel();
        let keeper = self.keeper.lock().take();
        if let Some(keeper) = keeper {
            drop(tokio::time::timeout(RELEASE_WITHIN, keeper).await);
        }
    }
}

/// Holds the lock until it is released, through losses of the session.
async fn keep<P: Presence>(presence: P, mut session: P::Session, release: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = release.cancelled() => {
                // After a failure the end of the connection releases the lock, a moment later.
                drop(tokio::time::timeout(RELEASE_WITHIN, presence.release(session)).await);
                return;
            }
        }
        if presence.lives(&mut session).await {
            continue;
        }
        session = loop {
            match presence.take().await {
                Ok(Some(session)) => break session,
                Ok(None) => {
                    let error = presence.refused();
                    tracing::error!(%error, "the connection that shows this server to others was lost");
                }
                // The database does not answer yet. Other parts of the server report that.
                Err(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = release.cancelled() => return,
            }
        };
    }
}
