//! Copies of one keyed request: one at a time is decided, the others wait for its answer.
//!
//! Within this server only; copies on other servers meet in the database, under the unique key.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use super::Refusal;
use crate::domain::UserId;
use crate::store::Idempotency;

/// Longest wait for a copy that is under way; within it the store decides or gives up.
const COPY_WITHIN: Duration = Duration::from_secs(10);

type Name = (UserId, String);

/// The keyed requests under way. An entry lives while a request holds or awaits it, so there are never
/// more than requests.
#[derive(Default)]
pub(super) struct Copies(Mutex<HashMap<Name, Arc<tokio::sync::Mutex<()>>>>);

/// The only copy of its request that is being decided here.
pub(super) struct OnlyCopy<'c> {
    copies: &'c Copies,
    name: Name,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Copies {
    /// Waits until no other copy is under way. A request without a key has no copies.
    ///
    /// # Errors
    /// [`Refusal::OutcomeUnknown`] when another copy is under way for too long.
    pub(super) async fn wait(
        &self,
        user: UserId,
        key: Option<&Idempotency>,
    ) -> Result<Option<OnlyCopy<'_>>, Refusal> {
        let Some(key) = key else { return Ok(None) };
        let name = (user, key.key.clone());
        let lock = Arc::clone(self.0.lock().entry(name.clone()).or_default());
        // Made before the wait, so that a wait that is given up cleans up as well.
        let mut only = OnlyCopy {
            copies: self,
            name,
            turn: None,
        };
        let turn = tokio::time::timeout(COPY_WITHIN, lock.lock_owned()).await;
        only.turn = Some(turn.map_err(|_| Refusal::OutcomeUnknown)?);
        Ok(Some(only))
    }
}

impl Drop for OnlyCopy<'_> {
    fn drop(&mut self) {
        let mut under_way = self.copies.0.lock();
        self.turn.take();
        let lock = under_way.get(&self.name);
        if lock.is_some_and(|lock| Arc::strong_count(lock) == 1) {
            under_way.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Idempotency {
        Idempotency {
            key: name.to_owned(),
            fingerprint: 1,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_copy_goes_on_at_a_time_and_nothing_is_left_behind() {
        let copies = Copies::default();
        let first = copies.wait(UserId(1), Some(&key("a"))).await.unwrap();
        let other_user = copies.wait(UserId(2), Some(&key("a"))).await.unwrap();
        let second = copies.wait(UserId(1), Some(&key("a"))).await;
        assert!(matches!(second, Err(Refusal::OutcomeUnknown)));
        drop(first);
        drop(copies.wait(UserId(1), Some(&key("a"))).await.unwrap());
        drop(other_user);
        assert!(copies.0.lock().is_empty());
    }
}
