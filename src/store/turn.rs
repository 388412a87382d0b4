//! Queued work that either its worker begins or its caller withdraws, never both.
//!
//! When the time-out of the caller ends, withdrawn work is certainly not done. Begun work will have an outcome, so
//! the caller waits for it.
//!
//! ```text
//! waiting ──► begun      (worker)
//!        └──► withdrawn  (caller)
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

use super::StoreError;

/// The time for which a caller, after its own time-out, still waits for the outcome of work that has begun.
pub(super) const OUTCOME_WITHIN: Duration = Duration::from_secs(5);

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const WITHDRAWN: u8 = 2;

/// The state of one piece of work. Worker and caller share it.
#[derive(Clone, Default)]
pub(super) struct Turn(Arc<AtomicU8>);

impl Turn {
    /// The worker calls this. `false` means that the caller withdrew the work, so it must not be done.
    pub(super) fn begin(&self) -> bool {
        self.leave_waiting(BEGUN)
    }

    /// The caller calls this. `false` means that the worker has begun.
    fn withdraw(&self) -> bool {
        self.leave_waiting(WITHDRAWN)
    }

    fn leave_waiting(&self, to: u8) -> bool {
        let (order, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
        self.0.compare_exchange(WAITING, to, order, relaxed).is_ok()
    }

    /// Waits `within` for the answer, and [`OUTCOME_WITHIN`] longer if the work has begun by then.
    ///
    /// # Errors
    /// [`StoreError::Timeout`] when the work was withdrawn in time, [`StoreError::Unknown`] when it was begun and has
    /// no outcome yet.
    pub(super) async fn outcome<T>(
        &self,
        mut answer: oneshot::Receiver<Result<T, StoreError>>,
        within: Duration,
    ) -> Result<T, StoreError> {
        let stopped = || StoreError::Unavailable("the database takes no more work".to_owned());
        if let Ok(answer) = tokio::time::timeout(within, &mut answer).await {
            return answer.unwrap_or_else(|_| Err(stopped()));
        }
        if self.withdraw() {
            return Err(StoreError::Timeout(within));
        }
        match tokio::time::timeout(OUTCOME_WITHIN, answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(stopped())),
            Err(_) => Err(unknown_after(within + OUTCOME_WITHIN)),
        }
    }
}

/// The error of a write that was begun and has no outcome after `waited`.
pub(super) fn unknown_after(waited: Duration) -> StoreError {
    StoreError::Unknown(format!("it has no outcome after {waited:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(10);

    #[tokio::test(start_paused = true)]
    async fn work_that_was_not_begun_in_time_is_never_done() {
        let (_worker, answer) = oneshot::channel::<Result<(), StoreError>>();
        let turn = Turn::default();
        let outcome = turn.outcome(answer, SHORT).await;
        assert!(
            matches!(outcome, Err(StoreError::Timeout(_))),
            "{outcome:?}"
        );
        assert!(!turn.begin());
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_was_begun_is_awaited_and_then_its_outcome_is_unknown() {
        let (worker, answer) = oneshot::channel();
        let turn = Turn::default();
        assert!(turn.begin());
        let late = async {
            tokio::time::sleep(SHORT * 2).await;
            worker.send(Ok(7)).ok()
        };
        let (outcome, _) = tokio::join!(turn.outcome(answer, SHORT), late);
        assert_eq!(outcome.ok(), Some(7));

        let (_worker, answer) = oneshot::channel::<Result<(), StoreError>>();
        let outcome = turn.outcome(answer, SHORT).await;
        assert!(
            matches!(outcome, Err(StoreError::Unknown(_))),
            "{outcome:?}"
        );
    }
}
