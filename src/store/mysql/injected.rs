//! The effects of injected faults on connections and statements, and the checks whether the database accepts writes.

use std::time::Duration;

use super::MySqlStore;
use super::fault::Fault;
use super::pool::{Lease, Pool};
use super::values::{Value, int};
use crate::domain::statement;
use crate::store::StoreError;

/// Whether the database refuses writes, as a replica does.
pub(super) const IS_READ_ONLY: &str = "SELECT @@global.read_only <> 0";

/// As durable as any write of the sale, so it fails where they would.
pub(super) const WRITE_A_ROW: &str =
    "INSERT INTO meta (`key`, value) VALUES ('readiness', UTC_TIMESTAMP())
    ON DUPLICATE KEY UPDATE value = VALUES(value)";

/// Fails on the server, as a statement does for which the disk has no room.
const DISK_FULL: &str =
    "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1021, MESSAGE_TEXT = 'Disk full (injected)'";

/// The pause between two attempts to take a connection.
const PAUSE: Duration = Duration::from_millis(50);

impl Pool {
    /// Whether the database answers within `within` and accepts writes.
    pub(super) async fn accepts_writes(&self, within: Duration) -> bool {
        let asking = async {
            let mut lease = self.lend().await?;
            let reply = lease.run(IS_READ_ONLY, &[]).await?;
            reply.rows.first().map_or(Ok(1), |row| int(row, 0))
        };
        matches!(tokio::time::timeout(within, asking).await, Ok(Ok(0)))
    }

    /// `work`, which is several statements, after the faults that are injected into it.
    pub(super) async fn injected<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        if self.faults.hit_statement(name) {
            self.lend().await?.inject(name).await?;
        }
        work.await
    }
}

impl Lease<'_> {
    /// Applies the faults that are injected into the statement called `name`, before it begins.
    pub(super) async fn inject(&mut self, name: &'static str) -> Result<(), Fault> {
        self.slow_down(name).await?;
        match self.pool.faults.disk_is_full() && statement::writes(name) {
            true => self.run_text(DISK_FULL).await,
            false => Ok(()),
        }
    }

    /// Sleeps on the server for the injected delay. The statement time-out bounds it like a slow statement.
    async fn slow_down(&mut self, name: &'static str) -> Result<(), Fault> {
        let Some(delay) = self.pool.faults.statement_delay(name) else {
            return Ok(());
        };
        let seconds = Value::Real(delay.as_secs_f64());
        match self.run("SELECT SLEEP(?)", &[seconds]).await {
            Ok(_) => Ok(()),
            // The statement itself did not begin.
            Err(Fault::Lost(why)) => Err(Fault::Unreached(why)),
            Err(Fault::TimedOut(time)) => Err(Fault::Final(StoreError::Timeout(time))),
            Err(fault) => Err(fault),
        }
    }
}

impl MySqlStore {
    /// Takes `number` connections, by default all, and keeps them until the future is dropped.
    pub(in crate::store) async fn hold_connections(&self, number: Option<usize>) {
        let number = number.unwrap_or(usize::MAX).min(self.pool.most());
        let mut held = Vec::with_capacity(number);
        while held.len() < number {
            match self.pool.lend().await {
                Ok(lease) => held.push(lease),
                // All are in use, or the database does not answer.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        std::future::pending().await
    }
}
