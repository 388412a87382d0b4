//! Injected faults that act on the connections of the embedded database.

use std::sync::mpsc;
use std::time::Duration;

use futures_util::future::join_all;

use super::SqliteStore;
use crate::faults::LONGEST;
use crate::store::StoreError;

/// The name of work that only holds a connection. It is not a statement, so it is not measured.
pub(super) const HELD: &str = "(held)";

/// The pause after an attempt that did not get the connection, for example because the queue is full.
const PAUSE: Duration = Duration::from_millis(50);

impl SqliteStore {
    /// Holds `number` connections until the future is dropped: first the readers, then the writer. Without a number
    /// it holds all.
    pub(in crate::store) async fn hold_connections(&self, number: Option<usize>) {
        let all = self.reader_count + 1;
        let number = number.unwrap_or(all).min(all);
        join_all((0..number).map(|at| self.hold(at))).await;
        std::future::pending().await
    }

    async fn hold(&self, at: usize) {
        loop {
            // The thread continues when the caller drops this side.
            let (_holding, held) = mpsc::channel::<()>();
            let hold = move || {
                // No message is ever sent. This waits until the other side is dropped.
                let _ = held.recv_timeout(LONGEST);
                Ok(())
            };
            let given = match at < self.reader_count {
                true => self.readers.run(HELD, move |_| hold()).await,
                false => self.writer.run(HELD, move |_| hold()).await,
            };
            // A read that timed out stays queued, and holds a connection once a reader takes it. The writer skips work
            // that timed out before it began; `Unknown` means that it began and holds its connection.
            let holds = match at < self.reader_count {
                true => matches!(given, Err(StoreError::Timeout(_))),
                false => matches!(given, Err(StoreError::Unknown(_))),
            };
            if holds {
                return std::future::pending().await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
