//! Seat locks that span all servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::clock::RemoteClock;
use super::link::Link;
use super::scripts::{self, Keys, call};
use crate::domain::SeatId;

/// The seat locks from the view of one server.
pub(super) struct Locks {
    shared: Arc<Shared>,
    clock: Arc<RemoteClock>,
    /// Distinguishes the tokens of this server from those of others.
    server: u64,
    tries: AtomicU64,
    ttl: Duration,
}

/// The connection and key names that [`Locks`] and every [`RedisLock`] share.
struct Shared {
    link: Link,
    keys: Arc<Keys>,
    within: Duration,
}

/// The result of an attempt to lock.
pub(super) enum Tried {
    Held(RedisLock),
    Busy,
    /// A copy of the same keyed request holds it.
    Copy,
    /// Redis did not answer, or ran the script too late.
    Unavailable,
}

/// A held lock. Dropping it starts the release in the background. [`RedisLock::release`] starts it and waits for its
/// end.
pub struct RedisLock {
    shared: Arc<Shared>,
    key: String,
    token: String,
    /// Rises with every lock that is taken, so a later holder has a higher value. The database does not check it.
    pub fence: u64,
}

impl Locks {
    pub(super) fn new(
        link: Link,
        clock: Arc<RemoteClock>,
        keys: Arc<Keys>,
        ttl: Duration,
        within: Duration,
    ) -> Locks {
        Locks {
            shared: Arc::new(Shared { link, keys, within }),
            clock,
            server: rand::random(),
            tries: AtomicU64::new(0),
            ttl,
        }
    }

    /// Reconnects in the background if a probe is due.
    pub(super) fn revive(&self) {
        if !self.shared.link.is_up() {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move { shared.link.revive().await });
        }
    }

    /// Connects now.
    pub(super) async fn connect(&self) -> bool {
        self.shared.link.connect().await.is_ok()
    }

    /// Tries to lock `seat` in one round trip. `request` is the user and idempotency key of the request, or `None` if
    /// it has no key.
    pub(super) async fn try_lock(&self, seat: SeatId, request: Option<&str>) -> Tried {
        if !self.shared.link.is_up() {
            return Tried::Unavailable;
        }
        let Shared { link, keys, within } = &*self.shared;
        let number = self.tries.fetch_add(1, Ordering::Relaxed);
        let mut lock = RedisLock {
            shared: Arc::clone(&self.shared),
            key: keys.lock(seat),
            token: format!("{:016x}.{number}.{}", self.server, request.unwrap_or("")),
            fence: 0,
        };
        let mut trying = call(&scripts::LOCK, &[&lock.key, &keys.fence]);
        trying
            .arg(&lock.token)
            .arg(u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX))
            .arg(self.clock.deadline(Instant::now(), *within))
            .arg(request.unwrap_or(""));
        let answer: Result<(String, Option<u64>), _> = link.run(&trying, *within).await;
        match answer {
            Ok((outcome, Some(fence))) if outcome == "held" => {
                lock.fence = fence;
                Tried::Held(lock)
            }
            Ok((outcome, _)) => {
                lock.forget();
                match outcome.as_str() {
                    "busy" => Tried::Busy,
                    "copy" => Tried::Copy,
                    _ => Tried::Unavailable,
                }
            }
            // Redis may have taken the lock. Dropping it here releases it if the link is still up. Otherwise it
            // expires.
            Err(_) => Tried::Unavailable,
        }
    }
}

impl RedisLock {
    /// Releases the lock. Returns when other requests can take it, or when Redis does not answer.
    pub async fn release(mut self) {
        if let Some(releasing) = self.begin_release() {
            // It runs in its own task, so that a cancelled caller does not keep the seat locked.
            drop(releasing.await);
        }
    }

    /// Drops the lock without a release, because there is nothing to release.
    fn forget(mut self) {
        self.token.clear();
    }

    fn begin_release(&mut self) -> Option<JoinHandle<()>> {
        let token = std::mem::take(&mut self.token);
        // Without a runtime or without Redis, the lock expires by itself.
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        if token.is_empty() || !self.shared.link.is_up() {
            return None;
        }
        let (shared, key) = (Arc::clone(&self.shared), std::mem::take(&mut self.key));
        Some(runtime.spawn(async move {
            let mut release = call(&scripts::UNLOCK, &[&key]);
            release.arg(token);
            // A lock that is not released now expires by itself.
            let _: Result<(String,), _> = shared.link.run(&release, shared.within).await;
        }))
    }
}

impl Drop for RedisLock {
    fn drop(&mut self) {
        drop(self.begin_release());
    }
}
