//! PostgreSQL's part of the pool and of the sessions.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use sqlx::postgres::{PgArguments, PgConnection, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::errors;
use super::target::Target;
use crate::store::fault::Fault;
use crate::store::pooled::{Driver, Results};
use crate::store::values::{Column, Params, Value};

impl Driver for Target {
    const SYSTEM: &'static str = "postgresql";
    const IS_READ_ONLY: &'static str = "SELECT CASE
        WHEN pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean
        THEN 1::bigint ELSE 0 END";
    const READ_ONLY: &'static str = errors::READ_ONLY;
    const SLEEP: &'static str = "SELECT pg_sleep($1)";
    const DISK_FULL: &'static str = "DO $$ BEGIN
        RAISE disk_full USING MESSAGE = 'could not extend file: No space left on device';
        END $$";

    type Connection = PgConnection;
    type Row = PgRow;

    fn name(&self) -> &str {
        &self.name
    }

    fn connect(&self) -> BoxFuture<'_, Result<PgConnection, sqlx::Error>> {
        Box::pin(self.connect_to_first())
    }

    fn stream<'a>(
        connection: &'a mut PgConnection,
        sql: &'static str,
        params: Params<'_>,
    ) -> Results<'a, PgRow> {
        let results = connection.fetch_many(bound(sql, params));
        Box::pin(results.map_ok(|result| result.map_left(|done| done.rows_affected())))
    }

    fn run_text<'a>(
        connection: &'a mut PgConnection,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        let text = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        Box::pin(async move { text.execute(connection).await.map(drop) })
    }

    /// The column must be a `bigint` on the server.
    fn opt(row: &PgRow, column: usize) -> Result<Option<i64>, Fault> {
        row.try_get(column).map_err(Fault::unreadable)
    }

    fn text(row: &PgRow, column: usize) -> Result<&str, Fault> {
        row.try_get(column).map_err(Fault::unreadable)
    }

    fn of_connecting(&self, error: &sqlx::Error) -> Fault {
        errors::of_connecting(error, self)
    }

    fn of_statement(error: &sqlx::Error, timeout: Duration) -> Fault {
        errors::of_statement(error, timeout)
    }

    /// Each statement is a transaction of its own, which any error ends. A connection is useless if it is lost, or if
    /// its server became a standby.
    fn leaves_connection_usable(fault: &Fault) -> bool {
        !matches!(fault, Fault::Lost(_) | Fault::Unreached(_))
    }
}

type Statement = Query<'static, Postgres, PgArguments>;

/// A statement with its parameters.
fn bound(sql: &'static str, params: Params<'_>) -> Statement {
    params
        .iter()
        .fold(sqlx::query(sql), |query, value| match *value {
            Value::Int(value) => query.bind(value),
            Value::Real(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Key(value) => query.bind(value),
            Value::Ints(values) => query.bind(values),
            Value::Table(columns) => columns.iter().fold(query, with_column),
        })
}

fn with_column(query: Statement, column: &Column<'_>) -> Statement {
    match column {
        Column::Ints(values) => query.bind(values.as_slice()),
        Column::IntsOrNull(values) => query.bind(values.as_slice()),
        Column::KeysOrNull(values) => query.bind(values.as_slice()),
    }
}
