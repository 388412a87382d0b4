//! The values of statements: parameters, and the columns of rows.

use sqlx::mysql::{MySql, MySqlArguments, MySqlRow};
use sqlx::query::Query;
use sqlx::{Decode, Row as _, Type};

use super::fault::Fault;
use crate::store::StoreError;

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Int(Option<i64>),
    Bytes(Option<&'a [u8]>),
    Text(&'a str),
    Real(f64),
}

/// The parameters of a statement.
pub(super) type Params<'a> = &'a [Value<'a>];

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Int(Some(value))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        Value::Int(value)
    }
}

/// A key, which is compared byte by byte.
impl<'a> From<Option<&'a [u8]>> for Value<'a> {
    fn from(value: Option<&'a [u8]>) -> Self {
        Value::Bytes(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Value::Text(value)
    }
}

/// A statement with its parameters.
pub(super) fn bound(
    sql: &'static str,
    params: Params<'_>,
) -> Query<'static, MySql, MySqlArguments> {
    params
        .iter()
        .fold(sqlx::query(sql), |query, value| match *value {
            Value::Int(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value.map(<[u8]>::to_vec)),
            Value::Text(value) => query.bind(value.to_owned()),
            Value::Real(value) => query.bind(value),
        })
}

/// The value of a column.
pub(super) fn get<'r, T>(row: &'r MySqlRow, column: usize) -> Result<T, Fault>
where
    T: Decode<'r, MySql> + Type<MySql>,
{
    row.try_get(column).map_err(|error| {
        Fault::Final(StoreError::Damaged(format!(
            "a row cannot be read: {error}"
        )))
    })
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
