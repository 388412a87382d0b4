//! PromQL over the embedded store: instant queries and range queries.
//!
//! A query takes three steps. `guard` bounds, normalises and parses the text. `check` refuses unsupported parts of the
//! language. `eval` computes a column for each series, with one value per step; `value` defines the results. `select`
//! reads series, also those of subqueries, and `windows` slides ranges over them. The table `functions` lists the
//! functions, and `calls` evaluates them. Aggregations, matching and set operators have their own files.
//!
//! The supported language is that of Prometheus 2.42 without native histograms. Two uses of `@` are also refused,
//! because 2.42 reads them at times that move with the steps:
//! - on the range argument of `predict_linear`, or of a function with a parameter that changes from step to step;
//! - within the parameter of an aggregation.

mod aggregate;
mod binary;
mod calls;
mod check;
mod dates;
mod duration;
mod eval;
mod functions;
mod guard;
mod invariant;
mod matching;
mod math;
mod over_time;
mod quantile;
mod rate;
mod relabel;
mod rule_query;
mod select;
mod selector;
mod set_operators;
mod topk_quantile;
mod trend;
mod value;
mod windows;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use promql_parser::parser::Expr;

pub(crate) use duration::parse_duration;
pub(crate) use quantile::of_values as quantile_of_values;
pub(crate) use selector::Selector;
pub(crate) use value::{Point, QueryResult};

/// Parses a query within the default length and nesting. Unlike [`Query::parse`], it does not refuse unsupported parts
/// of the language.
pub(crate) fn parse_expr(text: &str) -> Result<Expr, QueryError> {
    guard::parse(text, QueryLimits::default().max_query_bytes)
}

use super::labels::Labels;
use super::tsdb::Tsdb;
use eval::{Evaluator, Steps};

/// The limits on the cost of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLimits {
    /// The largest number of steps of a range query. Prometheus allows 11,000.
    pub max_points: usize,
    /// The largest number of series that one selector may find.
    pub max_series: usize,
    /// The largest number of samples read plus points computed. A point of the answer counts ten times, because its
    /// text is that much larger.
    pub max_samples: usize,
    /// The time-out of parsing and evaluation.
    pub timeout: Duration,
    /// The largest length of the query text, in bytes.
    pub max_query_bytes: usize,
    /// The largest number of concurrent queries. Further ones wait within their time-out.
    pub max_concurrency: usize,
    /// The look-back period of an instant selector.
    pub lookback: Duration,
    /// The resolution of a subquery that names none. Prometheus uses its evaluation interval.
    pub subquery_step: Duration,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            max_points: 11_000,
            max_series: 20_000,
            max_samples: 20_000_000,
            timeout: Duration::from_secs(30),
            max_query_bytes: 16 << 10,
            max_concurrency: 4,
            lookback: Duration::from_secs(300),
            subquery_step: Duration::from_secs(60),
        }
    }
}

/// The reason why a query fails. The texts are those of Prometheus where it has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The query is invalid or not supported.
    #[error("{0}")]
    BadData(String),
    /// The samples do not allow an answer, or the query would cost too much.
    #[error("{0}")]
    Execution(String),
    /// The query exceeded its time-out.
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// The client closed its connection.
    #[error("query was canceled in expression evaluation")]
    Canceled,
}

/// A parsed query that uses only the supported language.
#[derive(Debug)]
pub struct Query {
    expr: Expr,
}

/// The environment of an evaluation.
pub(crate) struct Context<'a> {
    pub(crate) tsdb: &'a Tsdb,
    pub(crate) limits: &'a QueryLimits,
    pub(crate) deadline: Instant,
    pub(crate) canceled: Arc<AtomicBool>,
}

impl Query {
    /// Parses a query.
    ///
    /// # Errors
    /// [`QueryError::BadData`] if the query is too long, malformed, or not supported.
    pub fn parse(text: &str, limits: &QueryLimits) -> Result<Self, QueryError> {
        let expr = guard::parse(text, limits.max_query_bytes)?;
        check::check(&expr)?;
        Ok(Self { expr })
    }

    /// Parses a single series selector, as used in `match[]` parameters.
    pub(crate) fn parse_selector(text: &str, limits: &QueryLimits) -> Result<Selector, QueryError> {
        match Self::parse(text, limits)?.expr {
            Expr::VectorSelector(vs) if vs.offset.is_none() && vs.at.is_none() => {
                Selector::new(&vs)
            }
            _ => Err(QueryError::BadData(
                "parse error: expected a series selector".to_owned(),
            )),
        }
    }

    /// Evaluates at one time, in milliseconds since 1970.
    pub(crate) fn instant(&self, ctx: &Context<'_>, at: i64) -> Result<QueryResult, QueryError> {
        let steps = Steps::new(at, at, 1);
        Evaluator::new(ctx, steps, (at, at)).instant(&self.expr)
    }

    /// Evaluates from `start` to `end` (milliseconds since 1970, both inclusive), every `step`.
    pub(crate) fn range(
        &self,
        ctx: &Context<'_>,
        start: i64,
        end: i64,
        step: i64,
    ) -> Result<QueryResult, QueryError> {
        check::check_range_type(&self.expr)?;
        let steps = Steps::new(start, end, step);
        Evaluator::new(ctx, steps, (start, end)).range(&self.expr)
    }
}

/// Evaluates a query at one time (milliseconds since 1970) for a rule. Returns the rows of an instant vector, or a
/// scalar as one row without labels.
///
/// Blocks until the result is there, at most [`QueryLimits::timeout`].
///
/// # Errors
/// The errors of parsing and evaluation, and [`QueryError::BadData`] for a query that returns a string or a range
/// vector.
pub fn evaluate(
    tsdb: &Tsdb,
    limits: &QueryLimits,
    query: &str,
    at_ms: i64,
) -> Result<Vec<(Labels, f64)>, QueryError> {
    Query::parse(query, limits)?.rows(tsdb, limits, at_ms)
}

#[cfg(test)]
mod tests;
