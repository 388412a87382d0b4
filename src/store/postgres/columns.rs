//! The values of statements in sqlx's types: parameters, and the columns of rows.

use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{Decode, Row as _, Type};

use crate::store::fault::Fault;
use crate::store::values::{Params, Value};

/// A statement with its parameters.
pub(super) fn bound(
    sql: &'static str,
    params: Params<'_>,
) -> Query<'static, Postgres, PgArguments> {
    params
        .iter()
        .fold(sqlx::query(sql), |query, value| match *value {
            Value::Int(value) => query.bind(value),
            Value::Real(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Key(value) => query.bind(value),
            Value::Ints(values) => query.bind(values),
            Value::IntsOrNull(values) => query.bind(values),
            Value::KeysOrNull(values) => query.bind(values),
        })
}

/// The value of a column.
pub(super) fn get<'r, T>(row: &'r PgRow, column: usize) -> Result<T, Fault>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(column)
        .map_err(|error| Fault::damaged(format!("a row cannot be read: {error}")))
}

/// An integer, which is a `bigint` on the server.
pub(super) fn int(row: &PgRow, column: usize) -> Result<i64, Fault> {
    get(row, column)
}

/// An integer, or NULL.
pub(super) fn opt(row: &PgRow, column: usize) -> Result<Option<i64>, Fault> {
    get(row, column)
}
