//! The evaluator: each expression becomes, for each series, one column with a value a step.
//!
//! Prometheus walks the steps and evaluates the expression at each; computing columns instead reads
//! every sample once and groups labels once for all steps. Where the outcome depends on what is
//! present at one step (matching, equal label sets), that is decided cell by cell.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use promql_parser::parser::{Expr, MatrixSelector, Offset, UnaryExpr, VectorSelector};

use super::matcher::Selector;
use super::value::{ABSENT, Column, QueryResult, Value, is_absent, refuse_same_labels};
use super::{Context, QueryError, aggregate, binary, functions};
use crate::embedded::prometheus::labels::Labels;
use crate::embedded::prometheus::tsdb::{Selection, is_stale};

/// What a point of the answer costs, in samples: as text it takes that much more room.
const ANSWER_COST: usize = 10;

/// The times of evaluation, milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) interval: i64,
    pub(super) count: usize,
}

impl Steps {
    /// From `start` to at most `end`, `interval` (at least 1) apart.
    pub(super) fn new(start: i64, end: i64, interval: i64) -> Self {
        let interval = interval.max(1);
        let span = end.saturating_sub(start).max(0);
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

/// What the query may still cost.
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

    /// Takes samples or cells from the budget, and looks at the clock.
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

pub(super) struct Evaluator<'a> {
    ctx: &'a Context<'a>,
    pub(super) steps: Steps,
    pub(super) budget: Budget,
}

/// A series' samples within a selector's reach, without staleness markers.
pub(super) struct Samples {
    pub(super) labels: Labels,
    pub(super) ts: Vec<i64>,
    pub(super) vs: Vec<f64>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(ctx: &'a Context<'a>, steps: Steps, budget: Budget) -> Self {
        Self { ctx, steps, budget }
    }

    /// The answer of an instant query; the steps are one.
    pub(super) fn instant(&self, expr: &Expr) -> Result<QueryResult, QueryError> {
        let at = self.steps.start;
        match unwrap_parens(expr) {
            Expr::StringLiteral(s) => return Ok(QueryResult::String(at, s.val.clone())),
            Expr::MatrixSelector(ms) => return self.raw_samples(ms),
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
                rows.sort_by(|a, b| a.0.cmp(&b.0));
                QueryResult::Vector(rows)
            }
        })
    }

    /// The answer of a range query.
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

    /// An expression of type scalar or instant vector.
    pub(super) fn eval(&self, expr: &Expr) -> Result<Value, QueryError> {
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
            Expr::Call(c) => functions::eval(self, c),
            Expr::StringLiteral(_)
            | Expr::MatrixSelector(_)
            | Expr::Subquery(_)
            | Expr::Extension(_) => Err(QueryError::BadData(
                "parse error: expected an instant vector or a scalar".to_owned(),
            )),
        }
    }

    /// An expression known to be an instant vector.
    pub(super) fn vector(&self, expr: &Expr) -> Result<Vec<Column>, QueryError> {
        match self.eval(expr)? {
            Value::Vector(columns) => Ok(columns),
            Value::Scalar(_) => Err(QueryError::BadData(
                "parse error: expected type instant vector, got scalar".to_owned(),
            )),
        }
    }

    /// An expression known to be a scalar: its value at each step.
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

    /// The newest sample within the look-back, at each step.
    fn instant_selector(&self, vs: &VectorSelector) -> Result<Vec<Column>, QueryError> {
        let offset = offset_ms(vs);
        let lookback = millis(self.ctx.limits.lookback);
        let (first, last) = (self.steps.start - offset, self.steps.end - offset);
        let mut columns = Vec::new();
        for selection in self.select(vs, first.saturating_sub(lookback), last)? {
            self.budget.spend(self.steps.count)?;
            let (ts, vals) = selection.decode(first.saturating_sub(lookback), last);
            let mut next = 0;
            let values: Vec<f64> = self
                .steps
                .iter()
                .map(|step| {
                    let at = step - offset;
                    while next < ts.len() && ts[next] <= at {
                        next += 1;
                    }
                    match next.checked_sub(1) {
                        Some(i) if ts[i] >= at - lookback && !is_stale(vals[i]) => vals[i],
                        _ => ABSENT,
                    }
                })
                .collect();
            columns.push(Column {
                labels: selection.labels,
                values,
            });
        }
        columns.retain(|c| !c.is_empty());
        Ok(columns)
    }

    /// The samples a range selector may need over all steps, series by series.
    pub(super) fn range_samples(
        &self,
        ms: &MatrixSelector,
    ) -> Result<impl Iterator<Item = Samples>, QueryError> {
        let offset = offset_ms(&ms.vs);
        let min_t = (self.steps.start - offset).saturating_sub(millis(ms.range));
        let max_t = self.steps.end - offset;
        let selections = self.select(&ms.vs, min_t, max_t)?;
        Ok(selections.into_iter().map(move |selection| {
            let (mut ts, mut vs) = selection.decode(min_t, max_t);
            if vs.iter().any(|v| is_stale(*v)) {
                let mut live = vs.iter().map(|v| !is_stale(*v));
                ts.retain(|_| live.next() == Some(true));
                vs.retain(|v| !is_stale(*v));
            }
            Samples {
                labels: selection.labels,
                ts,
                vs,
            }
        }))
    }

    fn select(
        &self,
        vs: &VectorSelector,
        min_t: i64,
        max_t: i64,
    ) -> Result<Vec<Selection>, QueryError> {
        let found = Selector::new(vs)?.select(self.ctx.tsdb, min_t, max_t);
        if found.len() > self.budget.max_series {
            return Err(QueryError::Execution(format!(
                "the selector finds {} series, at most {} are evaluated: narrow it down",
                found.len(),
                self.budget.max_series
            )));
        }
        self.budget
            .spend(found.iter().map(Selection::sample_count).sum())?;
        Ok(found)
    }

    /// The samples themselves, which only an instant query may ask for.
    fn raw_samples(&self, ms: &MatrixSelector) -> Result<QueryResult, QueryError> {
        let rows = self
            .range_samples(ms)?
            .filter(|s| !s.ts.is_empty())
            .map(|s| {
                self.spend_on_answer(s.ts.len())?;
                Ok((s.labels, s.ts.into_iter().zip(s.vs).collect()))
            })
            .collect::<Result<_, _>>()?;
        Ok(QueryResult::Matrix(rows))
    }
}

/// An expression without the parentheses around it.
pub(super) fn unwrap_parens(mut expr: &Expr) -> &Expr {
    while let Expr::Paren(p) = expr {
        expr = &p.expr;
    }
    expr
}

pub(super) fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

/// How far back a selector looks, in milliseconds; negative for the future.
pub(super) fn offset_ms(vs: &VectorSelector) -> i64 {
    match &vs.offset {
        None => 0,
        Some(Offset::Pos(d)) => millis(*d),
        Some(Offset::Neg(d)) => -millis(*d),
    }
}
