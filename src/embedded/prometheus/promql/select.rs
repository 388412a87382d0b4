//! Reads the series for selectors and for subqueries.

use std::time::SystemTime;

use promql_parser::parser::{
    AtModifier, Expr, MatrixSelector, Offset, SubqueryExpr, VectorSelector,
};

use super::QueryError;
use super::check::unsupported;
use super::eval::{Evaluator, Steps, millis, unwrap_parens};
use super::selector::Selector;
use super::value::{ABSENT, Column, is_absent, merge_same_labels};
use crate::embedded::prometheus::labels::Labels;
use crate::embedded::prometheus::tsdb::{Selection, is_stale};

/// The largest time that `@` may name, in milliseconds before or after 1970. All samples lie within it.
const MAX_AT_MS: i64 = 1 << 53;

/// The samples of a series within the reach of a range, without staleness markers.
pub(super) struct Samples {
    pub(super) labels: Labels,
    pub(super) ts: Vec<i64>,
    pub(super) vs: Vec<f64>,
}

/// The input of a range-vector function: a window that ends `shift` before each step.
pub(super) struct Ranged {
    pub(super) range: i64,
    pub(super) shift: i64,
    pub(super) series: Box<dyn Iterator<Item = Samples>>,
}

impl Evaluator<'_> {
    /// The newest sample within the look-back period at each step.
    pub(super) fn instant_selector(&self, vs: &VectorSelector) -> Result<Vec<Column>, QueryError> {
        let shift = self.shift(vs.offset.as_ref(), vs.at.as_ref());
        let first = self.steps.start - shift - self.lookback();
        self.pick(vs, (first, self.steps.end - shift), shift, |_, v| v)
    }

    /// The time in seconds of the sample that the selector finds at each step.
    ///
    /// With `@`, 2.42 reads the samples around the time minus the offset, and then takes the sample of the time
    /// itself.
    pub(super) fn sample_times(&self, vs: &VectorSelector) -> Result<Vec<Column>, QueryError> {
        let seconds = |t: i64, _| t as f64 / 1000.0;
        let Some(at) = vs.at.as_ref().map(|at| self.at_ms(at)) else {
            let shift = offset_ms(vs.offset.as_ref());
            let first = self.steps.start - shift - self.lookback();
            return without_names(self.pick(
                vs,
                (first, self.steps.end - shift),
                shift,
                seconds,
            )?);
        };
        let start = self.steps.start;
        let once = self.at_steps(Steps::new(start, start, 1));
        let read_to = at - offset_ms(vs.offset.as_ref());
        let window = (read_to - self.lookback(), read_to);
        let mut columns = once.pick(vs, window, start - at, seconds)?;
        for column in &mut columns {
            self.budget.spend(self.steps.count)?;
            column.values = vec![column.values[0]; self.steps.count];
        }
        without_names(columns)
    }

    fn lookback(&self) -> i64 {
        millis(self.ctx.limits.lookback)
    }

    /// Applies `cell` to the newest sample within `window` that is at least `shift` older than each step.
    fn pick(
        &self,
        vs: &VectorSelector,
        window: (i64, i64),
        shift: i64,
        cell: impl Fn(i64, f64) -> f64,
    ) -> Result<Vec<Column>, QueryError> {
        let lookback = self.lookback();
        let mut columns = Vec::new();
        for selection in self.select(vs, window.0, window.1)? {
            self.budget.spend(self.steps.count)?;
            let (ts, vals) = selection.decode(window.0, window.1);
            let mut next = 0;
            let values: Vec<f64> = self
                .steps
                .iter()
                .map(|step| {
                    let at = step - shift;
                    while next < ts.len() && ts[next] <= at {
                        next += 1;
                    }
                    match next.checked_sub(1) {
                        Some(i) if ts[i] >= at - lookback && !is_stale(vals[i]) => {
                            cell(ts[i], vals[i])
                        }
                        _ => ABSENT,
                    }
                })
                .collect();
            let labels = selection.labels;
            columns.push(Column { labels, values });
        }
        columns.retain(|c| !c.is_empty());
        Ok(columns)
    }

    /// Evaluates an expression that is a range vector.
    pub(super) fn ranged(&self, expr: &Expr) -> Result<Ranged, QueryError> {
        match unwrap_parens(expr) {
            Expr::MatrixSelector(ms) => self.range_selector(ms),
            Expr::Subquery(sq) => self.subquery(sq),
            _ => Err(QueryError::BadData(
                "parse error: expected type range vector".to_owned(),
            )),
        }
    }

    fn range_selector(&self, ms: &MatrixSelector) -> Result<Ranged, QueryError> {
        self.refuse_moving(ms.vs.at.as_ref())?;
        let shift = self.shift(ms.vs.offset.as_ref(), ms.vs.at.as_ref());
        let range = millis(ms.range);
        let min_t = self.steps.start - shift - range;
        let max_t = self.steps.end - shift;
        let selections = self.select(&ms.vs, min_t, max_t)?;
        let series = selections.into_iter().map(move |selection| {
            let (mut ts, mut vs) = selection.decode(min_t, max_t);
            if vs.iter().any(|v| is_stale(*v)) {
                let mut live = vs.iter().map(|v| !is_stale(*v));
                ts.retain(|_| live.next() == Some(true));
                vs.retain(|v| !is_stale(*v));
            }
            let labels = selection.labels;
            Samples { labels, ts, vs }
        });
        Ok(Ranged {
            range,
            shift,
            series: Box::new(series),
        })
    }

    /// Evaluates a subquery once for all windows. Its steps are the multiples of its resolution from the start of the
    /// first window to the end of the last one.
    fn subquery(&self, sq: &SubqueryExpr) -> Result<Ranged, QueryError> {
        self.refuse_moving(sq.at.as_ref())?;
        let shift = self.shift(sq.offset.as_ref(), sq.at.as_ref());
        let range = millis(sq.range);
        let interval = millis(sq.step.unwrap_or(self.ctx.limits.subquery_step)).max(1);
        let earliest = self.steps.start - shift - range;
        let mut start = earliest / interval * interval;
        if start < earliest {
            start += interval;
        }
        let steps = Steps::new(start, self.steps.end - shift, interval);
        self.budget.spend(steps.count)?;
        let columns = self.at_steps(steps).vector(&sq.expr)?;
        let series = columns.into_iter().map(move |Column { labels, values }| {
            let cells = steps.iter().zip(values).filter(|(_, v)| !is_absent(*v));
            let (ts, vs) = cells.unzip();
            Samples { labels, ts, vs }
        });
        Ok(Ranged {
            range,
            shift,
            series: Box::new(series),
        })
    }

    /// 2.42 evaluates a function that depends on the step (`predict_linear`, or one with such a parameter) at each
    /// step even with `@`. It then moves the window, which should be fixed. Such a query is refused.
    fn refuse_moving(&self, at: Option<&AtModifier>) -> Result<(), QueryError> {
        if at.is_some() && self.steps.count > 1 {
            return Err(unsupported(
                "a range with @ under a function that depends on the step is",
            ));
        }
        Ok(())
    }

    /// The distance from a step back to the time at which a selector looks. A selector with `@` is evaluated at a
    /// single step.
    fn shift(&self, offset: Option<&Offset>, at: Option<&AtModifier>) -> i64 {
        let from_step = at.map_or(0, |at| self.steps.start - self.at_ms(at));
        offset_ms(offset) + from_step
    }

    fn at_ms(&self, at: &AtModifier) -> i64 {
        match at {
            AtModifier::Start => self.bounds.0,
            AtModifier::End => self.bounds.1,
            AtModifier::At(time) => match time.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(after) => millis(after).min(MAX_AT_MS),
                Err(before) => -millis(before.duration()).min(MAX_AT_MS),
            },
        }
    }

    fn select(
        &self,
        vs: &VectorSelector,
        min_t: i64,
        max_t: i64,
    ) -> Result<Vec<Selection>, QueryError> {
        let found = Selector::new(vs)?.select(self.ctx.tsdb, min_t, max_t);
        self.budget.allow_series(found.len())?;
        self.budget
            .spend(found.iter().map(Selection::sample_count).sum())?;
        Ok(found)
    }
}

fn without_names(mut columns: Vec<Column>) -> Result<Vec<Column>, QueryError> {
    for column in &mut columns {
        column.labels = column.labels.without_name();
    }
    merge_same_labels(columns)
}

/// The offset in milliseconds. It is negative for the future.
fn offset_ms(offset: Option<&Offset>) -> i64 {
    match offset {
        None => 0,
        Some(Offset::Pos(d)) => millis(*d),
        Some(Offset::Neg(d)) => -millis(*d),
    }
}
