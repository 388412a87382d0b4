//! The critical tasks of a server: a listener, the admission clock, the database writer. If one of them ends before the
//! server stops, the server has failed, and [`CriticalTasks::failed`] gives the reason.
//!
//! `TaskTracker` and `JoinSet` do not fit. A tracker does not know which task ended or how. A set needs an owner that
//! polls it, but tasks join later (each dataset brings its writer). A guard that drops with its task notices return,
//! panic and abort in the same way, in ten lines.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Supervises the critical tasks and keeps the reason of the first failure. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct CriticalTasks(Arc<watch::Sender<Option<String>>>);

impl CriticalTasks {
    pub(super) fn new() -> CriticalTasks {
        CriticalTasks(Arc::new(watch::Sender::new(None)))
    }

    /// Records why the server has failed. The first reason stays, because later failures follow from it.
    pub(super) fn fail(&self, reason: &str) {
        self.0.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert_with(|| reason.to_owned());
            first
        });
    }

    /// Resolves with the reason of the first failure. It never resolves while all critical tasks run.
    pub(super) fn failed(&self) -> impl Future<Output = String> + Send + 'static {
        let mut reason = self.0.subscribe();
        async move {
            let reason = reason.wait_for(Option::is_some).await.ok();
            match reason.and_then(|reason| reason.clone()) {
                Some(reason) => reason,
                // The server was stopped and dropped, so no failure can follow.
                None => std::future::pending().await,
            }
        }
    }

    /// Spawns `work` as a critical task. Its end fails the server, unless `stop` was cancelled before.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        name: &'static str,
        stop: &CancellationToken,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let guard = EndGuard {
            name,
            stop: stop.clone(),
            tasks: self.clone(),
        };
        tokio::spawn(async move {
            let _guard = guard;
            work.await
        })
    }
}

/// Reports the end of a critical task when it is dropped: after a return, a panic or an abort.
struct EndGuard {
    name: &'static str,
    stop: CancellationToken,
    tasks: CriticalTasks,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        if self.stop.is_cancelled() {
            return;
        }
        let how = match std::thread::panicking() {
            true => "broke",
            false => "ended",
        };
        tracing::error!(part = self.name, "a part of the server {how}");
        self.tasks.fail(&format!("its {} {how}", self.name));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn reason(tasks: &CriticalTasks) -> Option<String> {
        tokio::time::timeout(Duration::from_secs(5), tasks.failed())
            .await
            .ok()
    }

    #[tokio::test]
    async fn a_task_that_returns_panics_or_is_aborted_is_reported_and_the_first_reason_stays() {
        let running = CancellationToken::new();
        let tasks = CriticalTasks::new();
        drop(tasks.spawn("listener", &running, async {}).await);
        drop(tasks.spawn("clock", &running, async {}).await);
        assert_eq!(reason(&tasks).await.as_deref(), Some("its listener ended"));

        let tasks = CriticalTasks::new();
        let broken = tasks.spawn("listener", &running, async {
            assert!(std::hint::black_box(false), "breaks on purpose");
        });
        assert!(broken.await.is_err());
        assert_eq!(reason(&tasks).await.as_deref(), Some("its listener broke"));

        let tasks = CriticalTasks::new();
        let task = tasks.spawn("listener", &running, std::future::pending::<()>());
        task.abort();
        assert_eq!(reason(&tasks).await.as_deref(), Some("its listener ended"));
    }

    #[tokio::test]
    async fn an_end_that_was_asked_for_is_not_reported() {
        let stopped = CancellationToken::new();
        stopped.cancel();
        let tasks = CriticalTasks::new();
        drop(tasks.spawn("listener", &stopped, async {}).await);
        tasks.fail("something else");
        assert_eq!(reason(&tasks).await.as_deref(), Some("something else"));
    }
}
