//! Arithmetic and comparison, between scalars, with a scalar, and between vectors one to one.

use std::collections::HashMap;

use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_DIV, T_EQLC, T_GTE, T_GTR, T_LSS, T_LTE, T_MOD, T_MUL, T_NEQ, T_POW, T_SUB,
    TokenId,
};
use promql_parser::parser::{BinaryExpr, LabelModifier};

use super::QueryError;
use super::check::is_comparison;
use super::eval::Evaluator;
use super::value::{ABSENT, Column, Value, is_absent, merge_same_labels};
use crate::embedded::prometheus::labels::{Labels, METRIC_NAME};

/// Evaluates a binary operation.
pub(super) fn eval(ev: &Evaluator<'_>, expr: &BinaryExpr) -> Result<Value, QueryError> {
    let op = Operation {
        id: expr.op.id(),
        compares: is_comparison(expr.op.id()),
        as_bool: expr.return_bool(),
    };
    let (lhs, rhs) = (ev.eval(&expr.lhs)?, ev.eval(&expr.rhs)?);
    ev.budget.spend(ev.steps.count)?;
    Ok(match (lhs, rhs) {
        (Value::Scalar(a), Value::Scalar(b)) => {
            let values = a.iter().zip(&b).map(|(a, b)| op.of_scalars(*a, *b));
            Value::Scalar(values.collect())
        }
        (Value::Vector(columns), Value::Scalar(scalar)) => {
            Value::Vector(with_scalar(op, columns, &scalar, false)?)
        }
        (Value::Scalar(scalar), Value::Vector(columns)) => {
            Value::Vector(with_scalar(op, columns, &scalar, true)?)
        }
        (Value::Vector(lhs), Value::Vector(rhs)) => {
            let matching = Matching::new(expr);
            Value::Vector(matching.one_to_one(ev, op, &lhs, &rhs)?)
        }
    })
}

#[derive(Clone, Copy)]
struct Operation {
    id: TokenId,
    compares: bool,
    as_bool: bool,
}

impl Operation {
    /// The value of an arithmetic operation.
    fn arithmetic(self, a: f64, b: f64) -> f64 {
        match self.id {
            T_ADD => a + b,
            T_SUB => a - b,
            T_MUL => a * b,
            T_DIV => a / b,
            T_MOD => a % b,
            T_POW => a.powf(b),
            T_ATAN2 => a.atan2(b),
            _ => f64::NAN,
        }
    }

    fn holds(self, a: f64, b: f64) -> bool {
        match self.id {
            T_EQLC => a == b,
            T_NEQ => a != b,
            T_GTR => a > b,
            T_LSS => a < b,
            T_GTE => a >= b,
            T_LTE => a <= b,
            _ => false,
        }
    }

    fn of_scalars(self, a: f64, b: f64) -> f64 {
        match self.compares {
            true => f64::from(u8::from(self.holds(a, b))),
            false => self.arithmetic(a, b),
        }
    }

    /// The cell for two values: a comparison without `bool` keeps `kept` or leaves a gap.
    fn cell(self, a: f64, b: f64, kept: f64) -> f64 {
        if is_absent(a) || is_absent(b) {
            ABSENT
        } else if !self.compares || self.as_bool {
            self.of_scalars(a, b)
        } else if self.holds(a, b) {
            kept
        } else {
            ABSENT
        }
    }

    /// A result that is no longer the metric loses its name (in 2.42, `atan2` forgets to).
    fn drops_name(self) -> bool {
        self.as_bool || !(self.compares || self.id == T_ATAN2)
    }
}

fn with_scalar(
    op: Operation,
    mut columns: Vec<Column>,
    scalar: &[f64],
    scalar_first: bool,
) -> Result<Vec<Column>, QueryError> {
    for column in &mut columns {
        if op.drops_name() {
            column.labels = column.labels.without_name();
        }
        for (v, s) in column.values.iter_mut().zip(scalar) {
            let (a, b) = if scalar_first { (*s, *v) } else { (*v, *s) };
            *v = op.cell(a, b, *v);
        }
    }
    merge_same_labels(columns)
}

/// Which labels must agree for two series to be a pair.
struct Matching<'a> {
    on: bool,
    labels: &'a [String],
}

impl<'a> Matching<'a> {
    fn new(expr: &'a BinaryExpr) -> Self {
        match expr.modifier.as_ref().and_then(|m| m.matching.as_ref()) {
            Some(LabelModifier::Include(l)) => Self {
                on: true,
                labels: &l.labels,
            },
            Some(LabelModifier::Exclude(l)) => Self {
                on: false,
                labels: &l.labels,
            },
            None => Self {
                on: false,
                labels: &[],
            },
        }
    }

    fn names(&self, label: &str) -> bool {
        self.labels.iter().any(|l| l == label)
    }

    /// The labels by which partners find each other.
    fn signature(&self, labels: &Labels) -> Labels {
        labels.filter(|n| match self.on {
            true => self.names(n),
            false => n != METRIC_NAME && !self.names(n),
        })
    }

    /// The labels of a pair's result, made from those on the left.
    fn result(&self, op: Operation, labels: &Labels) -> Labels {
        let dropped = |n: &str| op.drops_name() && n == METRIC_NAME;
        labels.filter(|n| !dropped(n) && self.names(n) == self.on)
    }

    fn one_to_one(
        &self,
        ev: &Evaluator<'_>,
        op: Operation,
        lhs: &[Column],
        rhs: &[Column],
    ) -> Result<Vec<Column>, QueryError> {
        let mut pairs: HashMap<Labels, (Vec<usize>, Vec<usize>)> = HashMap::new();
        for (i, column) in rhs.iter().enumerate() {
            pairs
                .entry(self.signature(&column.labels))
                .or_default()
                .1
                .push(i);
        }
        // Unmatched series on the left count as well: duplicates on the right are refused at each
        // step that has anything on the left.
        let left: Vec<_> = lhs.iter().map(|c| self.signature(&c.labels)).collect();
        for (i, signature) in left.iter().enumerate() {
            if let Some((on_left, _)) = pairs.get_mut(signature) {
                on_left.push(i);
            }
        }
        let occupied = |step: usize| lhs.iter().any(|c| !is_absent(c.values[step]));
        let mut groups: Vec<_> = pairs.into_iter().collect();
        groups.sort_by(|a, b| a.0.cmp(&b.0));
        let mut results = Vec::new();
        for (signature, (on_left, on_right)) in groups {
            ev.budget.spend(ev.steps.count)?;
            let partner = unique_at_each_step(&signature, rhs, &on_right, occupied)?;
            let mut matched = vec![false; ev.steps.count];
            for i in on_left {
                let mut values = vec![ABSENT; ev.steps.count];
                for (step, cell) in values.iter_mut().enumerate() {
                    let (a, b) = (lhs[i].values[step], partner(step));
                    *cell = op.cell(a, b, a);
                    if !is_absent(*cell) && std::mem::replace(&mut matched[step], true) {
                        return Err(QueryError::Execution(
                            "multiple matches for labels: many-to-one matching must be explicit \
                             (group_left/group_right)"
                                .to_owned(),
                        ));
                    }
                }
                let labels = self.result(op, &lhs[i].labels);
                results.push(Column { labels, values });
            }
        }
        merge_same_labels(results)
    }
}

/// The value on the right at each step; an error where several series have one.
fn unique_at_each_step<'c>(
    signature: &Labels,
    columns: &'c [Column],
    members: &'c [usize],
    occupied: impl Fn(usize) -> bool,
) -> Result<impl Fn(usize) -> f64 + 'c, QueryError> {
    let steps = columns[members[0]].values.len();
    if members.len() > 1 {
        for step in (0..steps).filter(|s| occupied(*s)) {
            let mut present = members
                .iter()
                .map(|m| &columns[*m])
                .filter(|c| !is_absent(c.values[step]));
            if let (Some(first), Some(second)) = (present.next(), present.next()) {
                return Err(QueryError::Execution(format!(
                    "found duplicate series for the match group {signature} on the right \
                     hand-side of the operation: [{}, {}];many-to-many matching not allowed: \
                     matching labels must be unique on one side",
                    second.labels, first.labels
                )));
            }
        }
    }
    Ok(move |step: usize| {
        members
            .iter()
            .map(|m| columns[*m].values[step])
            .find(|v| !is_absent(*v))
            .unwrap_or(ABSENT)
    })
}
