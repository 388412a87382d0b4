//! Reads of the whole dataset as of one moment, while the sale continues.
//!
//! A snapshot has a connection of its own. So its transaction never reaches the pool, however the snapshot ends.

use futures_util::TryStreamExt as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};

use super::Pool;
use super::columns::bound;
use super::schema::{self, failed};
use super::target::Purpose;
use crate::store::fault::Fault;
use crate::store::values::Params;

const BEGIN: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
    START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

/// A transaction in which every statement sees the same moment. It ends with its connection.
pub(super) struct Snapshot(MySqlConnection);

impl Snapshot {
    pub(super) async fn begin(pool: &Pool) -> Result<Snapshot, Fault> {
        let driver = pool.driver();
        let (target, database) = (&driver.target, &driver.database);
        let connecting = target.session(database, Purpose::Long, &pool.options);
        let mut connection = connecting.await?;
        schema::text_of(&mut connection, BEGIN).await?;
        Ok(Snapshot(connection))
    }

    /// The rows of a statement.
    pub(super) async fn rows(
        &mut self,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<Vec<MySqlRow>, Fault> {
        let rows = bound(sql, params).fetch_all(&mut self.0).await;
        rows.map_err(failed)
    }

    /// What `read` makes of each row, so that many rows are not in memory twice.
    pub(super) async fn each<T>(
        &mut self,
        sql: &'static str,
        read: impl Fn(&MySqlRow) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut rows = sqlx::query(sql).fetch(&mut self.0);
        let mut all = Vec::new();
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            all.push(read(&row)?);
        }
        Ok(all)
    }
}
