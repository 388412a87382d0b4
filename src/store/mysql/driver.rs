//! MySQL and MariaDB as the pool and the sessions use them.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;
use sqlx::mysql::{MySql, MySqlArguments, MySqlConnection, MySqlRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::errors;
use super::target::Target;
use crate::store::fault::Fault;
use crate::store::pooled::{Driver, Results};
use crate::store::values::{Column, Params, Value};

impl Driver for Target {
    const SYSTEM: &'static str = "mysql";
    const IS_READ_ONLY: &'static str = "SELECT @@global.read_only <> 0";
    const READ_ONLY: &'static str = errors::READ_ONLY;
    const SLEEP: &'static str = "SELECT SLEEP(?)";
    const DISK_FULL: &'static str =
        "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1021, MESSAGE_TEXT = 'Disk full (injected)'";

    type Connection = MySqlConnection;
    type Row = MySqlRow;

    fn name(&self) -> &str {
        &self.name
    }

    fn connect(&self) -> BoxFuture<'_, Result<MySqlConnection, sqlx::Error>> {
        Box::pin(self.set_up())
    }

    fn stream<'a>(
        connection: &'a mut MySqlConnection,
        sql: &'static str,
        params: Params<'_>,
    ) -> Results<'a, MySqlRow> {
        let results = connection.fetch_many(bound(sql, params));
        Box::pin(results.map_ok(|result| result.map_left(|done| done.rows_affected())))
    }

    fn run_text<'a>(
        connection: &'a mut MySqlConnection,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        let text = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        Box::pin(async move { text.execute(connection).await.map(drop) })
    }

    fn opt(row: &MySqlRow, column: usize) -> Result<Option<i64>, Fault> {
        row.try_get(column).map_err(Fault::unreadable)
    }

    fn text(row: &MySqlRow, column: usize) -> Result<&str, Fault> {
        row.try_get(column).map_err(Fault::unreadable)
    }

    fn of_connecting(&self, error: &sqlx::Error) -> Fault {
        errors::of_connecting(error, self)
    }

    fn of_statement(error: &sqlx::Error, timeout: Duration) -> Fault {
        errors::of_statement(error, timeout)
    }

    /// After these failures the procedure has rolled back. After any other failure, such as a time-out, a transaction
    /// may still be open.
    fn leaves_connection_usable(fault: &Fault) -> bool {
        matches!(fault, Fault::InTheWay(_) | Fault::Violates(_))
    }
}

/// A statement with its parameters. MySQL has no arrays.
fn bound(sql: &'static str, params: Params<'_>) -> Query<'static, MySql, MySqlArguments> {
    params
        .iter()
        .fold(sqlx::query(sql), |query, value| match *value {
            Value::Int(value) => query.bind(value),
            Value::Real(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Key(value) => query.bind(value.map(str::as_bytes)),
            Value::Ints(values) => query.bind(json!(values).to_string()),
            Value::Table(columns) => query.bind(rows(columns)),
        })
}

/// The rows of a table as a JSON array, in which each row is an array.
fn rows(columns: &[Column<'_>]) -> String {
    let number = columns.iter().map(Column::len).max().unwrap_or(0);
    let row = |at| columns.iter().map(|column| cell(column, at)).collect();
    let rows: Vec<Vec<serde_json::Value>> = (0..number).map(row).collect();
    json!(rows).to_string()
}

/// Keys are written in hexadecimal digits, because the database compares them byte by byte.
fn cell(column: &Column<'_>, at: usize) -> serde_json::Value {
    match column {
        Column::Ints(values) => values.get(at).copied().into(),
        Column::IntsOrNull(values) => values.get(at).copied().flatten().into(),
        Column::KeysOrNull(values) => values.get(at).copied().flatten().map(hex::encode).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_an_array_of_rows() {
        let columns = [
            Column::Ints(vec![1, 2]),
            Column::KeysOrNull(vec![Some("k\""), None]),
            Column::IntsOrNull(vec![Some(i64::MIN), None]),
        ];
        let text = r#"[[1,"6b22",-9223372036854775808],[2,null,null]]"#;
        assert_eq!(rows(&columns), text);
        assert_eq!(rows(&[]), "[]");
    }
}
