//! The effects of injected faults on connections and statements, and the check whether a database accepts writes.

use std::time::Duration;

use super::StoreError;
use super::fault::Fault;
use super::pooled::{Driver, Lease, Pool};
use super::values::Value;
use crate::domain::statement;

/// The pause between two attempts to take a connection.
const PAUSE: Duration = Duration::from_millis(50);

impl<D: Driver> Pool<D> {
    /// Returns whether the database answers within `within` and accepts writes.
    pub(super) async fn accepts_writes(&self, within: Duration) -> bool {
        let asking = async {
            let mut lease = self.lend().await?;
            let reply = lease.run(D::IS_READ_ONLY, &[]).await?;
            reply.rows.first().map_or(Ok(None), |row| D::opt(row, 0))
        };
        matches!(tokio::time::timeout(within, asking).await, Ok(Ok(Some(0))))
    }

    /// Applies the faults that are injected into `work`, which is several statements, and then runs it.
    pub(super) async fn injected<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        if self.faults.may_affect_statement(name) {
            self.lend().await?.inject(name).await?;
        }
        work.await
    }

    /// Takes `number` connections, by default all, and keeps them until the future is dropped.
    pub(super) async fn hold_connections(&self, number: Option<usize>) {
        let number = number.unwrap_or(usize::MAX).min(self.most());
        let mut held = Vec::with_capacity(number);
        while held.len() < number {
            match self.lend().await {
                Ok(lease) => held.push(lease),
                // All connections are in use, or the database does not answer.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        std::future::pending().await
    }
}

impl<D: Driver> Lease<'_, D> {
    /// Applies the faults that are injected into the statement called `name`, before it begins.
    pub(super) async fn inject(&mut self, name: &'static str) -> Result<(), Fault> {
        self.slow_down(name).await?;
        match self.pool.faults.disk_is_full() && statement::writes(name) {
            true => self.run_text(D::DISK_FULL).await,
            false => Ok(()),
        }
    }

    /// Sleeps on the server for the injected delay. The statement time-out bounds it like a slow statement.
    async fn slow_down(&mut self, name: &'static str) -> Result<(), Fault> {
        let Some(delay) = self.pool.faults.statement_delay(name) else {
            return Ok(());
        };
        let seconds = Value::Real(delay.as_secs_f64());
        match self.run(D::SLEEP, &[seconds]).await {
            Ok(_) => Ok(()),
            // The statement itself did not begin.
            Err(Fault::Lost(why)) => Err(Fault::Unreached(why)),
            Err(Fault::TimedOut(time)) => Err(Fault::Final(StoreError::Timeout(time))),
            Err(fault) => Err(fault),
        }
    }
}
