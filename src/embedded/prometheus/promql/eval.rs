//! The evaluator. It computes each expression as one column per series, with one value per step.
//!
//! Prometheus evaluates the expression at each step in turn. Columns read every sample once and group labels once for
//! all steps. Matching and equal label sets depend on the values at one step, so they are decided cell by cell.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use promql_parser::parser::token::{T_BOTTOMK, T_TOPK};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{Expr, UnaryExpr};

use super::functions::{Kind, lookup};
use super::value::{Column, QueryResult, Value, is_absent, refuse_same_labels};
use super::{Context, QueryError, aggregate, binary, calls, invariant};
use crate::embedded::prometheus::labels::Labels;

/// The cost of a point of the answer, in samples. Its text needs that much more memory.
const ANSWER_COST: usize = 10;

/// The times of evaluation in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) interval: i64,
    pub(super) count: usize,
}

impl Steps {
    /// The steps from `start` to at most `end`, every `interval` (at least 1). There are none if `end` is before
    /// `start`.
    pub(super) fn new(start: i64, end: i64, interval: i64) -> Self {
        let interval = interval.max(1);
        let span = end.saturating_sub(start);
        if span < 0 {
            let count = 0;
            return Self {
                start,
                end,
                interval,
                count,
            };
        }
        Self {
            start,
            end: start.saturating_add(span / interval * interval),
            interval,
            count: usize::try_from(span / interval + 1).unwrap_or(usize::MAX),
        }
    }

    pub(super) fn iter(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |i| self.start + i as i64 * self.interval)
    }
}

/// The remaining cost that a query may cause.
pub(super) struct Budget {
    deadline: Instant,
    canceled: Arc<AtomicBool>,
    samples: Cell<usize>,
    max_series: usize,
}

impl Budget {
    pub(super) fn new(ctx: &Context<'_>) -> Self {
        Self {
            deadline: ctx.deadline,
            canceled: ctx.canceled.clone(),
            samples: Cell::new(ctx.limits.max_samples),
            max_series: ctx.limits.max_series,
        }
    }

    /// Refuses a selector that finds too many series.
    pub(super) fn allow_series(&self, found: usize) -> Result<(), QueryError> {
        if found > self.max_series {
            return Err(QueryError::Execution(format!(
                "the selector finds {found} series, at most {} are evaluated: narrow it down",
                self.max_series
            )));
        }
        Ok(())
    }

    /// Takes samples or cells from the budget, and checks the time-out.
    pub(super) fn spend(&self, samples: usize) -> Result<(), QueryError> {
        let left = self.samples.get().checked_sub(samples).ok_or_else(|| {
            QueryError::Execution(
                "query processing would load too many samples into memory in query execution"
                    .to_owned(),
            )
        })?;
        self.samples.set(left);
        if self.canceled.load(Ordering::Relaxed) {
            return Err(QueryError::Canceled);
        }
        if Instant::now() >= self.deadline {
            return Err(QueryError::Timeout);
        }
        Ok(())
    }
}

/// Evaluates at given steps: those of the query, or those of a subquery.
pub(super) struct Evaluator<'a> {
    pub(super) ctx: &'a Context<'a>,
    pub(super) steps: Steps,
    /// The remaining cost of the whole query, including subqueries.
    pub(super) budget: Rc<Budget>,
    /// Start and end of the query, for `@ start()` and `@ end()`.
    pub(super) bounds: (i64, i64),
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(ctx: &'a Context<'a>, steps: Steps, bounds: (i64, i64)) -> Self {
        Self {
            ctx,
            steps,
            budget: Rc::new(Budget::new(ctx)),
            bounds,
        }
    }

    /// The same query at other steps.
    pub(super) fn at_steps(&self, steps: Steps) -> Self {
        Self {
            ctx: self.ctx,
            steps,
            budget: self.budget.clone(),
            bounds: self.bounds,
        }
    }

    /// The result of an instant query, which has one step.
    pub(super) fn instant(&self, expr: &Expr) -> Result<QueryResult, QueryError> {
        let at = self.steps.start;
        match unwrap_parens(expr) {
            Expr::StringLiteral(s) => return Ok(QueryResult::String(at, s.val.clone())),
            ranged @ (Expr::MatrixSelector(_) | Expr::Subquery(_)) => {
                return self.raw_samples(ranged);
            }
            _ => {}
        }
        Ok(match self.eval(expr)? {
            Value::Scalar(v) => QueryResult::Scalar((at, v.first().copied().unwrap_or(f64::NAN))),
            Value::Vector(columns) => {
                let mut rows: Vec<_> = columns
                    .into_iter()
                    .filter_map(|c| Some((c.labels, *c.values.first()?)))
                    .filter(|(_, v)| !is_absent(*v))
                    .map(|(labels, v)| (labels, (at, v)))
                    .collect();
                if !is_ordered(expr) {
                    rows.sort_by(|a, b| a.0.cmp(&b.0));
                }
                QueryResult::Vector(rows)
            }
        })
    }

    /// The result of a range query.
    pub(super) fn range(&self, expr: &Expr) -> Result<QueryResult, QueryError> {
        let columns = match self.eval(expr)? {
            Value::Scalar(values) => vec![Column {
                labels: Labels::empty(),
                values,
            }],
            Value::Vector(columns) => columns,
        };
        let mut rows: Vec<_> = columns
            .into_iter()
            .filter_map(|c| {
                let cells = self.steps.iter().zip(c.values);
                let points: Vec<_> = cells.filter(|(_, v)| !is_absent(*v)).collect();
                (!points.is_empty()).then_some((c.labels, points))
            })
            .map(|row| self.spend_on_answer(row.1.len()).map(|()| row))
            .collect::<Result<_, _>>()?;
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(QueryResult::Matrix(rows))
    }

    fn spend_on_answer(&self, points: usize) -> Result<(), QueryError> {
        self.budget.spend(points.saturating_mul(ANSWER_COST))
    }

    /// Evaluates an expression of type scalar or instant vector.
    pub(super) fn eval(&self, expr: &Expr) -> Result<Value, QueryError> {
        match self.steps.count {
            0 if expr.value_type() == ValueType::Scalar => Ok(Value::Scalar(vec![])),
            0 => Ok(Value::Vector(vec![])),
            1 => self.at_each_step(expr),
            _ if invariant::is_step_invariant(expr) => self.at_first_step(expr),
            _ => self.at_each_step(expr),
        }
    }

    /// Evaluates at the first step and repeats the value for all steps.
    fn at_first_step(&self, expr: &Expr) -> Result<Value, QueryError> {
        let Steps {
            start,
            interval,
            count,
            ..
        } = self.steps;
        let first = self.at_steps(Steps::new(start, start, interval));
        let repeat = |values: &[f64]| {
            self.budget.spend(count)?;
            Ok(vec![values[0]; count])
        };
        Ok(match first.eval(expr)? {
            Value::Scalar(values) => Value::Scalar(repeat(&values)?),
            Value::Vector(columns) => Value::Vector(
                columns
                    .into_iter()
                    .filter(|c| !c.is_empty())
                    .map(|Column { labels, values }| {
                        let values = repeat(&values)?;
                        Ok(Column { labels, values })
                    })
                    .collect::<Result<_, QueryError>>()?,
            ),
        })
    }

    fn at_each_step(&self, expr: &Expr) -> Result<Value, QueryError> {
        match expr {
            Expr::Paren(p) => self.eval(&p.expr),
            Expr::NumberLiteral(n) => {
                self.budget.spend(self.steps.count)?;
                Ok(Value::Scalar(vec![n.val; self.steps.count]))
            }
            Expr::VectorSelector(vs) => self.instant_selector(vs).map(Value::Vector),
            Expr::Unary(u) => self.negate(u),
            Expr::Aggregate(a) => aggregate::eval(self, a).map(Value::Vector),
            Expr::Binary(b) => binary::eval(self, b),
            Expr::Call(c) => calls::eval(self, c),
            Expr::StringLiteral(_)
            | Expr::MatrixSelector(_)
            | Expr::Subquery(_)
            | Expr::Extension(_) => Err(QueryError::BadData(
                "parse error: expected an instant vector or a scalar".to_owned(),
            )),
        }
    }

    /// Evaluates an expression that is an instant vector.
    pub(super) fn vector(&self, expr: &Expr) -> Result<Vec<Column>, QueryError> {
        match self.eval(expr)? {
            Value::Vector(columns) => Ok(columns),
            Value::Scalar(_) => Err(QueryError::BadData(
                "parse error: expected type instant vector, got scalar".to_owned(),
            )),
        }
    }

    /// Evaluates an expression that is a scalar: its value at each step.
    pub(super) fn scalar(&self, expr: &Expr) -> Result<Vec<f64>, QueryError> {
        match self.eval(expr)? {
            Value::Scalar(values) => Ok(values),
            Value::Vector(_) => Err(QueryError::BadData(
                "parse error: expected type scalar, got instant vector".to_owned(),
            )),
        }
    }

    fn negate(&self, u: &UnaryExpr) -> Result<Value, QueryError> {
        Ok(match self.eval(&u.expr)? {
            Value::Scalar(values) => Value::Scalar(values.into_iter().map(|v| -v).collect()),
            Value::Vector(mut columns) => {
                columns.retain(|c| !c.is_empty());
                for column in &mut columns {
                    column.labels = column.labels.without_name();
                    for v in column.values.iter_mut().filter(|v| !is_absent(**v)) {
                        *v = -*v;
                    }
                }
                Value::Vector(refuse_same_labels(columns)?)
            }
        })
    }

    /// The raw samples. Only an instant query returns them.
    fn raw_samples(&self, ranged: &Expr) -> Result<QueryResult, QueryError> {
        let mut rows = self
            .ranged(ranged)?
            .series
            .filter(|s| !s.ts.is_empty())
            .map(|s| {
                self.spend_on_answer(s.ts.len())?;
                Ok((s.labels, s.ts.into_iter().zip(s.vs).collect()))
            })
            .collect::<Result<Vec<(Labels, Vec<_>)>, QueryError>>()?;
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(QueryResult::Matrix(rows))
    }
}

/// Returns whether the order of the rows belongs to the result.
fn is_ordered(expr: &Expr) -> bool {
    match unwrap_parens(expr) {
        Expr::Call(c) => matches!(lookup(c.func.name), Some(Kind::Sort { .. })),
        Expr::Aggregate(a) => matches!(a.op.id(), T_TOPK | T_BOTTOMK),
        _ => false,
    }
}

/// The expression inside any parentheses.
pub(super) fn unwrap_parens(mut expr: &Expr) -> &Expr {
    while let Expr::Paren(p) = expr {
        expr = &p.expr;
    }
    expr
}

pub(super) fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}
