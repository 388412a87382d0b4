//! Aggregations across series: `sum`, `avg`, `min`, `max`, `count`, `group`, `stddev`, `stdvar`. `topk_quantile` has
//! the aggregations with a parameter.

use std::collections::HashMap;

use promql_parser::parser::token::{
    T_AVG, T_BOTTOMK, T_COUNT, T_COUNT_VALUES, T_GROUP, T_MAX, T_MIN, T_QUANTILE, T_STDDEV,
    T_STDVAR, T_SUM, T_TOPK, TokenId,
};
use promql_parser::parser::{AggregateExpr, LabelModifier};

use super::eval::Evaluator;
use super::over_time::keeps_infinite_mean;
use super::value::{ABSENT, Column, is_absent};
use super::{QueryError, topk_quantile};
use crate::embedded::prometheus::labels::{Labels, METRIC_NAME};

/// An aggregation of many values into one, without a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stddev,
    Stdvar,
}

impl Op {
    fn from_token(id: TokenId) -> Option<Self> {
        Some(match id {
            T_SUM => Self::Sum,
            T_AVG => Self::Avg,
            T_MIN => Self::Min,
            T_MAX => Self::Max,
            T_COUNT => Self::Count,
            T_GROUP => Self::Group,
            T_STDDEV => Self::Stddev,
            T_STDVAR => Self::Stdvar,
            _ => return None,
        })
    }
}

/// Evaluates an aggregation.
pub(super) fn eval(ev: &Evaluator<'_>, expr: &AggregateExpr) -> Result<Vec<Column>, QueryError> {
    match expr.op.id() {
        id @ (T_TOPK | T_BOTTOMK) => topk_quantile::extremes(ev, expr, id == T_TOPK),
        T_QUANTILE => topk_quantile::quantiles(ev, expr),
        T_COUNT_VALUES => topk_quantile::count_values(ev, expr),
        id => {
            let op = Op::from_token(id).ok_or_else(|| {
                QueryError::BadData(format!("parse error: unknown aggregation {}", expr.op))
            })?;
            grouped(ev, expr, op)
        }
    }
}

/// Returns whether the aggregation is supported.
pub(super) fn is_known(id: TokenId) -> bool {
    let ranked = [T_TOPK, T_BOTTOMK, T_QUANTILE, T_COUNT_VALUES].contains(&id);
    ranked || Op::from_token(id).is_some()
}

fn grouped(ev: &Evaluator<'_>, expr: &AggregateExpr, op: Op) -> Result<Vec<Column>, QueryError> {
    let columns = ev.vector(&expr.expr)?;
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for column in columns {
        let key = group_key(&column.labels, expr.modifier.as_ref());
        let place = match places.get(&key) {
            Some(&place) => place,
            None => {
                ev.budget.spend(ev.steps.count)?;
                places.insert(key.clone(), groups.len());
                groups.push(Group::new(key, op, ev.steps.count));
                groups.len() - 1
            }
        };
        groups[place].add(op, &column.values);
    }
    Ok(groups.into_iter().map(|g| g.finish(op)).collect())
}

/// The labels of the group to which a series belongs.
pub(super) fn group_key(labels: &Labels, modifier: Option<&LabelModifier>) -> Labels {
    match modifier {
        None => Labels::empty(),
        Some(LabelModifier::Include(by)) => labels.filter(|n| by.labels.iter().any(|b| b == n)),
        Some(LabelModifier::Exclude(without)) => {
            labels.filter(|n| n != METRIC_NAME && !without.labels.iter().any(|w| w == n))
        }
    }
}

/// The state of a group at each step. `means` and `counts` are used only by the operators that need them.
struct Group {
    labels: Labels,
    values: Vec<f64>,
    means: Vec<f64>,
    counts: Vec<f64>,
}

impl Group {
    fn new(labels: Labels, op: Op, steps: usize) -> Self {
        let averaging = matches!(op, Op::Avg | Op::Stddev | Op::Stdvar);
        let extra = if averaging { steps } else { 0 };
        Self {
            labels,
            values: vec![ABSENT; steps],
            means: vec![0.0; extra],
            counts: vec![0.0; extra],
        }
    }

    fn add(&mut self, op: Op, column: &[f64]) {
        let present = column.iter().enumerate().filter(|(_, v)| !is_absent(**v));
        for (i, &v) in present {
            let cell = &mut self.values[i];
            let first = is_absent(*cell);
            match op {
                Op::Sum => *cell = if first { v } else { *cell + v },
                Op::Min if first || v < *cell || cell.is_nan() => *cell = v,
                Op::Max if first || v > *cell || cell.is_nan() => *cell = v,
                Op::Min | Op::Max => {}
                Op::Count => *cell = if first { 1.0 } else { *cell + 1.0 },
                Op::Group => *cell = 1.0,
                Op::Avg => self.add_to_mean(i, v, first),
                Op::Stddev | Op::Stdvar => self.add_to_variance(i, v, first),
            }
        }
    }

    /// Updates the running mean without overflow of the sum.
    fn add_to_mean(&mut self, i: usize, v: f64, first: bool) {
        let (mean, count) = (&mut self.values[i], &mut self.counts[i]);
        *count += 1.0;
        if first {
            *mean = v;
        } else if !keeps_infinite_mean(*mean, v) {
            *mean += v / *count - *mean / *count;
        }
    }

    /// Updates the sum of squared distances from the mean (Welford's algorithm).
    fn add_to_variance(&mut self, i: usize, v: f64, first: bool) {
        let (squares, mean, count) = (&mut self.values[i], &mut self.means[i], &mut self.counts[i]);
        *count += 1.0;
        if first {
            (*squares, *mean) = (0.0, v);
            return;
        }
        let delta = v - *mean;
        *mean += delta / *count;
        *squares += delta * (v - *mean);
    }

    fn finish(mut self, op: Op) -> Column {
        if matches!(op, Op::Stddev | Op::Stdvar) {
            for (cell, count) in self.values.iter_mut().zip(&self.counts) {
                if !is_absent(*cell) {
                    let variance = *cell / count;
                    *cell = match op {
                        Op::Stddev => variance.sqrt(),
                        _ => variance,
                    };
                }
            }
        }
        Column {
            labels: self.labels,
            values: self.values,
        }
    }
}
