//! What rules ask of a query: that it can be one, its text, its rows.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use promql_parser::parser::value::ValueType;

use super::{Context, Query, QueryError, QueryLimits, QueryResult};
use crate::embedded::prometheus::labels::Labels;
use crate::embedded::prometheus::tsdb::Tsdb;

impl Query {
    /// Refuses what yields no rows: texts and ranges.
    pub(crate) fn check_rule(&self) -> Result<(), QueryError> {
        match self.expr.value_type() {
            ValueType::Vector | ValueType::Scalar => Ok(()),
            other => Err(QueryError::BadData(format!(
                "a rule needs a scalar or an instant vector, this is of type {other}"
            ))),
        }
    }

    /// The rows at one time (milliseconds since 1970); a scalar is the one row without labels.
    /// Blocks until the answer is there, at most [`QueryLimits::timeout`].
    pub(crate) fn rows(
        &self,
        tsdb: &Tsdb,
        limits: &QueryLimits,
        at: i64,
    ) -> Result<Vec<(Labels, f64)>, QueryError> {
        let ctx = Context {
            tsdb,
            limits,
            deadline: Instant::now() + limits.timeout,
            canceled: Arc::default(),
        };
        match self.instant(&ctx, at)? {
            QueryResult::Vector(rows) => Ok(rows.into_iter().map(|(l, (_, v))| (l, v)).collect()),
            QueryResult::Scalar((_, v)) => Ok(vec![(Labels::empty(), v)]),
            QueryResult::String(..) | QueryResult::Matrix(_) => Err(QueryError::BadData(
                "rule result is not a vector or scalar".to_owned(),
            )),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)
    }
}
