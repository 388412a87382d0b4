//! The values of statements in sqlx's types: parameters, and the columns of rows.

use serde::Serialize;
use sqlx::mysql::{MySql, MySqlArguments, MySqlRow};
use sqlx::query::Query;
use sqlx::{Decode, Row as _, Type};

use crate::store::fault::Fault;
use crate::store::values::{Params, Value};

/// A statement with its parameters.
pub(super) fn bound(
    sql: &'static str,
    params: Params<'_>,
) -> Query<'static, MySql, MySqlArguments> {
    params
        .iter()
        .fold(sqlx::query(sql), |query, value| match *value {
            Value::Int(value) => query.bind(value),
            Value::Real(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Key(value) => query.bind(value.map(str::as_bytes)),
            // MySQL has no arrays.
            Value::Ints(values) => query.bind(json(values)),
            Value::IntsOrNull(values) => query.bind(json(values)),
            Value::KeysOrNull(values) => query.bind(json(values)),
        })
}

fn json(values: impl Serialize) -> String {
    serde_json::to_string(&values).unwrap_or_default()
}

/// The value of a column.
pub(super) fn get<'r, T>(row: &'r MySqlRow, column: usize) -> Result<T, Fault>
where
    T: Decode<'r, MySql> + Type<MySql>,
{
    row.try_get(column)
        .map_err(|error| Fault::damaged(format!("a row cannot be read: {error}")))
}

/// An integer.
pub(super) fn int(row: &MySqlRow, column: usize) -> Result<i64, Fault> {
    get(row, column)
}

/// An integer, or NULL.
pub(super) fn opt(row: &MySqlRow, column: usize) -> Result<Option<i64>, Fault> {
    get(row, column)
}

/// A text column.
pub(super) fn text(row: &MySqlRow, column: usize) -> Result<&str, Fault> {
    get(row, column)
}
