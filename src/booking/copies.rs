//! Copies of one keyed request: the server decides them one at a time.
//!
//! This covers one server. Copies on other servers meet in the database, under the unique key.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use super::Refusal;
use crate::domain::UserId;
use crate::store::{Answer, Idempotency, Keyed};

/// The longest wait for a copy in progress. The store decides or gives up within this time.
const COPY_WITHIN: Duration = Duration::from_secs(10);

type Name = (UserId, String);

/// The keyed requests in progress, each with a flag that says whether a copy of it got a final answer. An entry exists
/// while a request holds or awaits it, so there are at most as many entries as requests.
#[derive(Default)]
pub(super) struct Copies(Mutex<HashMap<Name, Arc<tokio::sync::Mutex<bool>>>>);

impl Copies {
    /// Runs `work` while no other copy runs. After a final answer, which every copy finds in the store, the remaining
    /// copies run at the same time. A request without a key has no copies.
    ///
    /// # Errors
    /// [`Refusal::OutcomeUnknown`] when the wait for another copy takes too long, and the errors of `work`.
    pub(super) async fn run<T: Answer>(
        &self,
        user: UserId,
        key: Option<&Idempotency>,
        work: impl Future<Output = Result<Keyed<T>, Refusal>>,
    ) -> Result<Keyed<T>, Refusal> {
        let Some(key) = key else { return work.await };
        let name = (user, key.key.clone());
        let lock = Arc::clone(self.0.lock().entry(name.clone()).or_default());
        // Created before the wait, so that a cancelled wait cleans up as well.
        let mut copy = Waiting {
            copies: self,
            name,
            turn: None,
        };
        let turn = tokio::time::timeout(COPY_WITHIN, lock.lock_owned()).await;
        let turn = turn.map_err(|_| Refusal::OutcomeUnknown)?;
        copy.turn = Some(turn).filter(|answered| !**answered);
        let answer = work.await;
        if let Some(turn) = &mut copy.turn {
            **turn = match &answer {
                Ok(Keyed::Fresh(answer)) => answer.is_final(),
                Ok(Keyed::Replayed(_)) => true,
                Ok(Keyed::Mismatch) | Err(_) => false,
            };
        }
        answer
    }
}

/// A copy that waits, and then runs.
struct Waiting<'c> {
    copies: &'c Copies,
    name: Name,
    turn: Option<OwnedMutexGuard<bool>>,
}

impl Drop for Waiting<'_> {
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
    use std::cell::Cell;

    use futures_util::future::join_all;

    use super::*;
    use crate::store::{CancelOutcome, ReserveOutcome};

    fn key(name: &str) -> Idempotency {
        Idempotency {
            key: name.to_owned(),
            fingerprint: 1,
        }
    }

    /// Runs copies that take a second each. Returns the largest number that ran at the same time.
    async fn most_at_a_time<T: Answer + Clone>(answer: T) -> u32 {
        let (copies, key) = (Copies::default(), key("a"));
        let (now, most) = (Cell::new(0), Cell::new(0));
        let work = || async {
            now.set(now.get() + 1);
            most.set(most.get().max(now.get()));
            tokio::time::sleep(Duration::from_secs(1)).await;
            now.set(now.get() - 1);
            Ok(Keyed::Fresh(answer.clone()))
        };
        let running = (0..5).map(|_| copies.run(UserId(1), Some(&key), work()));
        assert!(join_all(running).await.iter().all(Result::is_ok));
        assert!(copies.0.lock().is_empty(), "nothing is left behind");
        most.get()
    }

    #[tokio::test(start_paused = true)]
    async fn copies_go_one_at_a_time_until_there_is_an_answer_and_then_together() {
        assert_eq!(most_at_a_time(ReserveOutcome::Locked).await, 1);
        assert_eq!(most_at_a_time(CancelOutcome::Cancelled).await, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_waits_for_a_while_and_other_requests_not_at_all() {
        let copies = Copies::default();
        let hangs = std::future::pending::<Result<Keyed<CancelOutcome>, Refusal>>;
        let done = || async { Ok(Keyed::Fresh(CancelOutcome::Cancelled)) };
        let (first, same) = (key("a"), key("a"));
        let under_way = copies.run(UserId(1), Some(&first), hangs());
        let others = async {
            let copy = copies.run(UserId(1), Some(&same), done()).await;
            assert!(matches!(copy, Err(Refusal::OutcomeUnknown)));
            let other_user = copies.run(UserId(2), Some(&same), done()).await;
            assert!(other_user.is_ok());
            assert!(copies.run(UserId(1), None, done()).await.is_ok());
        };
        tokio::select! {
            biased;
            _ = under_way => {}
            () = others => {}
        }
        assert!(copies.0.lock().is_empty(), "nothing is left behind");
    }
}
