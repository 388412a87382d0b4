//! A connection outside the pool, for work that may take long. Its end rolls back a transaction and releases its locks.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::{Connection as _, Either};
use tokio::time::timeout;

use crate::store::LONG_READ;
use crate::store::fault::Fault;
use crate::store::pooled::{self, Driver};
use crate::store::values::Params;

/// A connection that is not in the pool.
pub struct Session<D: Driver> {
    pub(in crate::store) connection: D::Connection,
}

impl<D: Driver> Session<D> {
    /// Connects within `allowed`.
    pub(super) async fn connect(driver: &D, allowed: Duration) -> Result<Session<D>, Fault> {
        let connecting = timeout(allowed, driver.connect()).await;
        let connection = connecting
            .map_err(|_| driver.no_connection_within(allowed))?
            .map_err(|error| driver.of_connecting(&error))?;
        Ok(Session { connection })
    }

    /// Returns the rows of one statement.
    pub(in crate::store) async fn rows(
        &mut self,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<Vec<D::Row>, Fault> {
        let reply = pooled::fetch::<D>(&mut self.connection, sql, params).await;
        Ok(reply.map_err(failed::<D>)?.rows)
    }

    /// Returns the first row of one statement.
    pub(in crate::store) async fn row(
        &mut self,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<Option<D::Row>, Fault> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Returns the row of a statement that always has one.
    pub(in crate::store) async fn only_row(
        &mut self,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<D::Row, Fault> {
        let row = self.row(sql, params).await?;
        row.ok_or_else(|| Fault::unavailable("it gave no answer"))
    }

    /// Returns the integer that a statement selects; 0 for NULL.
    pub(in crate::store) async fn number(
        &mut self,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<i64, Fault> {
        let row = self.only_row(sql, params).await?;
        Ok(D::opt(&row, 0)?.unwrap_or(0))
    }

    /// Returns the result of `read` for each row, without holding all rows in memory.
    pub(super) async fn each<T>(
        &mut self,
        sql: &'static str,
        read: impl Fn(&D::Row) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut results = D::stream(&mut self.connection, sql, &[]);
        let mut all = Vec::new();
        while let Some(result) = results.try_next().await.map_err(failed::<D>)? {
            if let Either::Right(row) = result {
                all.push(read(&row)?);
            }
        }
        Ok(all)
    }

    /// Runs statements without parameters. Their text must not contain input of users.
    pub(in crate::store) async fn run(&mut self, text: &str) -> Result<(), Fault> {
        let done = D::run_text(&mut self.connection, text).await;
        done.map_err(failed::<D>)
    }

    /// Returns whether the connection answers within `allowed`.
    pub(super) async fn lives(&mut self, allowed: Duration) -> bool {
        let check = timeout(allowed, self.connection.ping()).await;
        matches!(check, Ok(Ok(())))
    }
}

/// Classifies the failure of a statement that may take long.
pub(in crate::store) fn failed<D: Driver>(error: sqlx::Error) -> Fault {
    D::of_statement(&error, LONG_READ)
}
