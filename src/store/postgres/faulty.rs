//! A database in trouble: whether it answers, and what injected faults do to its connections.

use std::time::{Duration, Instant};

use deadpool_postgres::{PoolError, TimeoutType};

use super::PgStore;
use super::fault::Fault;
use super::pool::{Lease, Pool};
use crate::domain::statement;

/// Whether the database refuses writes, as a standby does.
pub(super) const TAKES_NO_WRITES: &str =
    "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean";

/// As durable as any write of the sale: it fails where they would.
pub(super) const WRITE_A_ROW: &str =
    "INSERT INTO meta (key, value) VALUES ('readiness', now()::text)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// Fails on the server, as a statement does for which the disk has no room.
const DISK_FULL: &str = "DO $$ BEGIN RAISE disk_full USING MESSAGE = 'could not extend file: No space left on device'; END $$";

/// Between two attempts to take a connection that is not to be had.
const PAUSE: Duration = Duration::from_millis(50);

impl Pool {
    /// Whether the database answers within that time and takes writes.
    pub(super) async fn takes_writes(&self, within: Duration) -> bool {
        let asking = async {
            let mut lease = self.lend().await?;
            lease.rows(TAKES_NO_WRITES, &[]).await
        };
        match tokio::time::timeout(within, asking).await {
            Ok(Ok(rows)) => rows.first().is_some_and(|row| !row.get::<_, bool>(0)),
            _ => false,
        }
    }

    /// A connection that was not to be had was waited for all the same.
    pub(super) fn waited_in_vain(&self, error: &PoolError, asked: Instant) {
        if let (Some(metrics), PoolError::Timeout(TimeoutType::Wait)) = (&self.metrics, error) {
            metrics.db_wait(asked.elapsed());
        }
    }

    /// `work` of several statements, after what is injected into it.
    pub(super) async fn faulty<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        if self.faults.hit_statement(name) {
            self.lend().await?.faulty(name).await?;
        }
        work.await
    }
}

impl Lease<'_> {
    /// What is injected into the statement called `name`, before it is begun.
    pub(super) async fn faulty(&mut self, name: &'static str) -> Result<(), Fault> {
        self.slowed(name).await?;
        match self.pool.faults.disk_is_full() && statement::writes(name) {
            true => self.batch(DISK_FULL).await,
            false => Ok(()),
        }
    }

    /// Takes as long as is injected into the statement, on the server, as a slow statement would: what
    /// bounds that one bounds this.
    async fn slowed(&mut self, name: &'static str) -> Result<(), Fault> {
        let Some(delay) = self.pool.faults.statement_delay(name) else {
            return Ok(());
        };
        let seconds = delay.as_secs_f64();
        match self.rows("SELECT pg_sleep($1)", &[&seconds]).await {
            Ok(_) => Ok(()),
            // The statement itself was not begun.
            Err(Fault::Lost(why)) => Err(Fault::Unreached(why)),
            Err(fault) => Err(fault),
        }
    }
}

impl PgStore {
    /// Borrows `number` connections, all of them by default, and keeps them until it is dropped.
    pub(in crate::store) async fn hold_connections(&self, number: Option<usize>) {
        let number = number.unwrap_or(usize::MAX).min(self.pool.most());
        let mut held = Vec::with_capacity(number);
        while held.len() < number {
            match self.pool.lend().await {
                Ok(lease) => held.push(lease),
                // In use, or the database is away.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        std::future::pending().await
    }
}
