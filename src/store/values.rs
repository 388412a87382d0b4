//! The parameters of statements.

/// A parameter of a statement. Each driver binds it in the form of its database.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Int(Option<i64>),
    Real(f64),
    Text(&'a str),
    /// The key of a request, which is compared byte by byte.
    Key(Option<&'a str>),
    Ints(&'a [i64]),
    /// Rows, given as columns of equal length. PostgreSQL gets an array for each column, MySQL a JSON array of all
    /// rows.
    Table(&'a [Column<'a>]),
}

/// A column of [`Value::Table`].
#[derive(Clone, Debug)]
pub enum Column<'a> {
    Ints(Vec<i64>),
    IntsOrNull(Vec<Option<i64>>),
    KeysOrNull(Vec<Option<&'a str>>),
}

impl Column<'_> {
    /// The number of rows.
    pub(super) fn len(&self) -> usize {
        match self {
            Column::Ints(values) => values.len(),
            Column::IntsOrNull(values) => values.len(),
            Column::KeysOrNull(values) => values.len(),
        }
    }
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

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Value::Text(value)
    }
}

impl<'a> From<&'a [i64]> for Value<'a> {
    fn from(value: &'a [i64]) -> Self {
        Value::Ints(value)
    }
}
