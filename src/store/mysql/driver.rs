//! MySQL and MariaDB as the pool, the retries and the stored answers use them.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Either, Executor as _};

use super::columns::{bound, opt};
use super::errors;
use super::target::{Connector, Target};
use crate::store::fault::Fault;
use crate::store::keyed::StoredAnswers;
use crate::store::pooled::{Driver, Reply};
use crate::store::values::Params;

/// A database with its server.
pub(super) struct MySqlDriver {
    pub(super) target: Target,
    pub(super) database: String,
    pub(super) connector: Connector,
}

impl Driver for MySqlDriver {
    const SYSTEM: &'static str = "mysql";
    const IS_READ_ONLY: &'static str = "SELECT @@global.read_only <> 0";
    const SLEEP: &'static str = "SELECT SLEEP(?)";
    const DISK_FULL: &'static str =
        "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1021, MESSAGE_TEXT = 'Disk full (injected)'";

    type Connection = MySqlConnection;
    type Row = MySqlRow;

    fn connect(&self) -> BoxFuture<'_, Result<MySqlConnection, sqlx::Error>> {
        self.connector.connect()
    }

    /// A `CALL` may return several result sets.
    fn fetch<'a>(
        connection: &'a mut MySqlConnection,
        sql: &'static str,
        params: Params<'a>,
    ) -> BoxFuture<'a, Result<Reply<MySqlRow>, sqlx::Error>> {
        Box::pin(async move {
            let mut reply = Reply {
                rows: Vec::new(),
                changed: 0,
            };
            let mut results = connection.fetch_many(bound(sql, params));
            while let Some(result) = results.try_next().await? {
                match result {
                    Either::Left(done) => reply.changed += done.rows_affected(),
                    Either::Right(row) => reply.rows.push(row),
                }
            }
            Ok(reply)
        })
    }

    fn run_text<'a>(
        connection: &'a mut MySqlConnection,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        let text = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        Box::pin(async move { text.execute(connection).await.map(drop) })
    }

    fn integer(row: &MySqlRow, column: usize) -> Result<Option<i64>, Fault> {
        opt(row, column)
    }

    fn of_connecting(&self, error: &sqlx::Error) -> Fault {
        errors::of_connecting(error, &self.target)
    }

    fn no_connection_within(&self, timeout: Duration) -> Fault {
        errors::no_connection_within(&self.target, timeout)
    }

    fn of_statement(error: &sqlx::Error, timeout: Duration) -> Fault {
        errors::of_statement(error, timeout)
    }

    /// After these failures the procedure has rolled back. After any other, such as a time-out, a transaction may still be
    /// open.
    fn leaves_connection_usable(fault: &Fault) -> bool {
        matches!(fault, Fault::InTheWay(_) | Fault::Violates(_))
    }
}

impl StoredAnswers for MySqlDriver {
    const ONE_ANSWER: &'static str = "PRIMARY";
    const FIND: &'static str =
        "SELECT fingerprint, answer, answer_first, answer_second FROM idempotency
        WHERE user_id = ? AND `key` = ? AND answer NOT IN (12, 13, 15, 36)";
    const DISCARD_TRANSIENT: &'static str =
        "DELETE FROM idempotency WHERE user_id = ? AND `key` = ? AND answer IN (12, 13, 15, 36)";
    const REMEMBER: &'static str = "CALL remember(?, ?, ?, ?, ?, ?, ?)";
    const FORGET: &'static str = "DELETE FROM idempotency WHERE at < ? ORDER BY at LIMIT ?";
}
