//! PostgreSQL as the pool, the retries and the stored answers use it.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Either, Executor as _};

use super::columns::{bound, opt};
use super::errors;
use super::target::Target;
use crate::store::fault::Fault;
use crate::store::keyed::StoredAnswers;
use crate::store::pooled::{Driver, Reply};
use crate::store::values::Params;

/// The database, with the schema in which its connections find their tables.
pub(super) struct PgDriver(pub(super) Target);

impl Driver for PgDriver {
    const SYSTEM: &'static str = "postgresql";
    const IS_READ_ONLY: &'static str = "SELECT CASE
        WHEN pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean
        THEN 1::bigint ELSE 0 END";
    const SLEEP: &'static str = "SELECT pg_sleep($1)";
    const DISK_FULL: &'static str = "DO $$ BEGIN
        RAISE disk_full USING MESSAGE = 'could not extend file: No space left on device';
        END $$";

    type Connection = PgConnection;
    type Row = PgRow;

    fn connect(&self) -> BoxFuture<'_, Result<PgConnection, sqlx::Error>> {
        Box::pin(self.0.connect())
    }

    fn fetch<'a>(
        connection: &'a mut PgConnection,
        sql: &'static str,
        params: Params<'a>,
    ) -> BoxFuture<'a, Result<Reply<PgRow>, sqlx::Error>> {
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
        connection: &'a mut PgConnection,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        let text = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        Box::pin(async move { text.execute(connection).await.map(drop) })
    }

    fn integer(row: &PgRow, column: usize) -> Result<Option<i64>, Fault> {
        opt(row, column)
    }

    fn of_connecting(&self, error: &sqlx::Error) -> Fault {
        errors::of_connecting(error, &self.0)
    }

    fn no_connection_within(&self, timeout: Duration) -> Fault {
        errors::no_connection_within(&self.0, timeout)
    }

    fn of_statement(error: &sqlx::Error, timeout: Duration) -> Fault {
        errors::of_statement(error, timeout)
    }

    /// A statement is a transaction of its own, which ends with any error. A connection to a server that became a
    /// standby is of no more use.
    fn leaves_connection_usable(fault: &Fault) -> bool {
        !matches!(fault, Fault::Lost(_) | Fault::Unreached(_))
    }
}

impl StoredAnswers for PgDriver {
    const ONE_ANSWER: &'static str = "idempotency_pkey";
    const FIND: &'static str =
        "SELECT fingerprint, answer, answer_first, answer_second FROM idempotency
        WHERE user_id = $1 AND key = $2 AND answer NOT IN (12, 13, 15, 36)";
    const DISCARD_TRANSIENT: &'static str =
        "DELETE FROM idempotency WHERE user_id = $1 AND key = $2 AND answer IN (12, 13, 15, 36)";
    const REMEMBER: &'static str = include_str!("sql/remember.sql");
    const FORGET: &'static str = "DELETE FROM idempotency USING (
            SELECT user_id, key FROM idempotency WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
        ) AS old
        WHERE idempotency.user_id = old.user_id AND idempotency.key = old.key";
}
