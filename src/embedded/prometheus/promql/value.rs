//! The values that queries compute and return.

use std::collections::HashMap;

use super::QueryError;
use crate::embedded::prometheus::labels::Labels;
use crate::embedded::prometheus::tsdb::STALE_NAN_BITS;

const SAME_LABELSET: &str = "vector cannot contain metrics with the same labelset";

/// The cell of a column without a value. No sample and no operation produces these bits: samples with these bits are
/// staleness markers and never enter a column, and operations make quiet NaNs.
pub(super) const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

/// Returns whether a cell has no value.
#[inline]
pub(super) fn is_absent(v: f64) -> bool {
    v.to_bits() == STALE_NAN_BITS
}

/// A series of results, with one cell per step of the query.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) labels: Labels,
    pub(super) values: Vec<f64>,
}

impl Column {
    pub(super) fn is_empty(&self) -> bool {
        self.values.iter().all(|v| is_absent(*v))
    }
}

/// The value of an expression at all steps.
#[derive(Debug)]
pub(super) enum Value {
    Scalar(Vec<f64>),
    Vector(Vec<Column>),
}

/// A time (milliseconds since 1970) and a value.
pub(crate) type Point = (i64, f64);

/// The result of a query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum QueryResult {
    Scalar(Point),
    String(i64, String),
    Vector(Vec<(Labels, Point)>),
    Matrix(Vec<(Labels, Vec<Point>)>),
}

/// Joins columns that have the same labels after an operation. Two columns with a value at the same step are an
/// error.
pub(super) fn merge_same_labels(columns: Vec<Column>) -> Result<Vec<Column>, QueryError> {
    merge_or(columns, SAME_LABELSET)
}

/// [`merge_same_labels`] with another text for the error.
pub(super) fn merge_or(columns: Vec<Column>, refusal: &str) -> Result<Vec<Column>, QueryError> {
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(columns.len());
    let mut merged: Vec<Column> = Vec::with_capacity(columns.len());
    for column in columns {
        let Some(&place) = places.get(&column.labels) else {
            places.insert(column.labels.clone(), merged.len());
            merged.push(column);
            continue;
        };
        for (cell, v) in merged[place].values.iter_mut().zip(column.values) {
            match (is_absent(*cell), is_absent(v)) {
                (_, true) => {}
                (true, false) => *cell = v,
                (false, false) => return Err(QueryError::Execution(refusal.to_owned())),
            }
        }
    }
    Ok(merged)
}

/// Refuses two columns with the same labels even if no step has both values. Prometheus does this for functions over
/// ranges.
pub(super) fn refuse_same_labels(columns: Vec<Column>) -> Result<Vec<Column>, QueryError> {
    let mut seen = std::collections::HashSet::with_capacity(columns.len());
    if columns.iter().all(|c| seen.insert(&c.labels)) {
        return Ok(columns);
    }
    Err(QueryError::Execution(SAME_LABELSET.to_owned()))
}
