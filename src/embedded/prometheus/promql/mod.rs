//! PromQL over the embedded store: one call for a query at a time, one for a query over a range.
//!
//! A query takes four steps: `guard` bounds and normalises the text and parses it, `check` refuses what is
//! outside the evaluated part of the language, `eval` computes whole columns (one value a step) for each
//! series, `value` holds the result. `select` reads series, also
//! those that a subquery makes; `windows` slides ranges over them. Functions are a table
//! (`functions`, evaluated by `calls`), aggregations, matching and set operators have files of their own.
//!
//! Evaluated is the language of 2.42, except what belongs to native histograms, and two uses of `@`
//! that 2.42 reads at times that move with the steps: over a range under a function that depends on the
//! step itself (`predict_linear`, or one with such a parameter), and within the parameter of an
//! aggregation. Both are refused.

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

/// The tree of a query, within the bounds that every query has.
pub(crate) fn parse(text: &str) -> Result<Expr, QueryError> {
    guard::parse(text, QueryLimits::default().max_query_bytes)
}

use super::labels::Labels;
use super::tsdb::Tsdb;
use eval::{Evaluator, Steps};

/// What a query may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLimits {
    /// Steps of a range query; Prometheus has 11,000.
    pub max_points: usize,
    /// Series that one selector may find.
    pub max_series: usize,
    /// Samples read and points computed, together; a point of the answer counts ten times, since its
    /// text is that much larger.
    pub max_samples: usize,
    /// Time for parsing and evaluation.
    pub timeout: Duration,
    /// Bytes of the query text.
    pub max_query_bytes: usize,
    /// Queries evaluated at the same time; others wait, within their time-out.
    pub max_concurrency: usize,
    /// How far an instant selector looks back for a sample.
    pub lookback: Duration,
    /// The resolution of a subquery that names none; Prometheus takes its evaluation interval.
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

/// Why a query has no answer. The texts are those of Prometheus where it has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Not a query, or not one that is evaluated here.
    #[error("{0}")]
    BadData(String),
    /// The samples at hand do not allow an answer, or it would cost too much.
    #[error("{0}")]
    Execution(String),
    /// The time allowed was over.
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// The client closed its connection.
    #[error("query was canceled in expression evaluation")]
    Canceled,
}

/// A query ready to be evaluated: parsed, and known to be of the evaluated part of the language.
#[derive(Debug)]
pub struct Query {
    expr: Expr,
}

/// What surrounds an evaluation.
pub(crate) struct Context<'a> {
    pub(crate) tsdb: &'a Tsdb,
    pub(crate) limits: &'a QueryLimits,
    pub(crate) deadline: Instant,
    pub(crate) canceled: Arc<AtomicBool>,
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// [`QueryError::BadData`] if it is too long, malformed, or outside the evaluated language.
    pub fn parse(text: &str, limits: &QueryLimits) -> Result<Self, QueryError> {
        let expr = guard::parse(text, limits.max_query_bytes)?;
        check::check(&expr)?;
        Ok(Self { expr })
    }

    /// Reads a lone series selector, as `match[]` parameters hold.
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

    /// The value at one time (milliseconds since 1970).
    pub(crate) fn instant(&self, ctx: &Context<'_>, at: i64) -> Result<QueryResult, QueryError> {
        let steps = Steps::new(at, at, 1);
        Evaluator::new(ctx, steps, (at, at)).instant(&self.expr)
    }

    /// The values from `start` to `end` (milliseconds since 1970, both inclusive), `step` apart.
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

/// The value of a query at one time (milliseconds since 1970), as rules need it: the rows of an
/// instant vector, or a scalar as the one row without labels.
///
/// Blocks until the answer is there, at most [`QueryLimits::timeout`].
///
/// # Errors
/// Those of parsing and evaluation; [`QueryError::BadData`] for a query that yields a string or a
/// range vector.
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
