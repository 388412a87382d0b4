//! Watches over the parts of a server that must last as long as it does: a listener that ends unasked,
//! or a database writer that breaks, is the end of the server, and whoever runs it is told.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What ended a server, for those who wait for it.
#[derive(Clone, Debug)]
pub(super) struct Parts(Arc<watch::Sender<Option<String>>>);

impl Parts {
    pub(super) fn new() -> Parts {
        Parts(Arc::new(watch::Sender::new(None)))
    }

    /// Notes why the server is at its end. The first reason stays: the others follow from it.
    pub(super) fn over(&self, why: &str) {
        self.0.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert_with(|| why.to_owned());
            first
        });
    }

    /// Resolves with the reason; never while all goes well.
    pub(super) fn ended(&self) -> impl Future<Output = String> + Send + 'static {
        let mut seen = self.0.subscribe();
        async move {
            let why = seen.wait_for(Option::is_some).await.ok();
            let why = why.and_then(|why| why.clone());
            match why {
                Some(why) => why,
                // The server was stopped and dropped: there is no reason any more.
                None => std::future::pending().await,
            }
        }
    }

    /// Runs `work`; its end, a panic among them, is the server's end unless `asked` says that it was
    /// wanted.
    pub(super) fn run<T: Send + 'static>(
        &self,
        name: &'static str,
        asked: impl Fn() -> bool + Send + 'static,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let part = Part {
            name,
            asked,
            parts: self.clone(),
        };
        tokio::spawn(async move {
            let _part = part;
            work.await
        })
    }
}

/// Tells of the end of a part when it is dropped: at its return, its panic, its abort.
struct Part<A: Fn() -> bool> {
    name: &'static str,
    asked: A,
    parts: Parts,
}

impl<A: Fn() -> bool> Drop for Part<A> {
    fn drop(&mut self) {
        if !(self.asked)() {
            let how = if std::thread::panicking() {
                "broke"
            } else {
                "ended"
            };
            tracing::error!(part = self.name, "a part of the server {how}");
            self.parts.over(&format!("its {} {how}", self.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn reason(parts: &Parts) -> Option<String> {
        tokio::time::timeout(Duration::from_secs(5), parts.ended())
            .await
            .ok()
    }

    #[tokio::test]
    async fn a_part_that_returns_breaks_or_is_aborted_is_told_and_the_first_reason_stays() {
        let parts = Parts::new();
        drop(parts.run("listener", || false, async {}).await);
        drop(parts.run("clock", || false, async {}).await);
        assert_eq!(reason(&parts).await.as_deref(), Some("its listener ended"));

        let parts = Parts::new();
        let broken = parts.run("listener", || false, async {
            assert!(std::hint::black_box(false), "breaks on purpose");
        });
        assert!(broken.await.is_err());
        assert_eq!(reason(&parts).await.as_deref(), Some("its listener broke"));

        let parts = Parts::new();
        let task = parts.run("listener", || false, std::future::pending::<()>());
        task.abort();
        assert_eq!(reason(&parts).await.as_deref(), Some("its listener ended"));
    }

    #[tokio::test]
    async fn an_end_that_was_asked_for_is_not_told() {
        let parts = Parts::new();
        drop(parts.run("listener", || true, async {}).await);
        parts.over("something else");
        assert_eq!(reason(&parts).await.as_deref(), Some("something else"));
    }
}
