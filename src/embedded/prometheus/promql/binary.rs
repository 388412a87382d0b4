//! Arithmetic and comparison with scalars. `matching` has the operations between vectors, `set_operators` has the set
//! operators.

use promql_parser::parser::BinaryExpr;
use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_DIV, T_EQLC, T_GTE, T_GTR, T_LSS, T_LTE, T_MOD, T_MUL, T_NEQ, T_POW, T_SUB,
    TokenId,
};

use super::check::is_comparison;
use super::eval::Evaluator;
use super::matching::Matching;
use super::value::{ABSENT, Column, Value, is_absent, merge_same_labels};
use super::{QueryError, set_operators};

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
            Value::Vector(match expr.op.is_set_operator() {
                true => set_operators::eval(ev, &matching, op.id, lhs, rhs)?,
                false => matching.combine(ev, op, &lhs, &rhs)?,
            })
        }
    })
}

#[derive(Clone, Copy)]
pub(super) struct Operation {
    id: TokenId,
    compares: bool,
    pub(super) as_bool: bool,
}

impl Operation {
    /// Computes an arithmetic operation.
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

    /// The cell for two values. A comparison without `bool` keeps `kept` or leaves a gap.
    pub(super) fn cell(self, a: f64, b: f64, kept: f64) -> f64 {
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

    /// Returns whether the result loses the metric's name. Comparisons keep it, and in 2.42 so does `atan2`.
    pub(super) fn is_no_longer_the_metric(self) -> bool {
        !(self.compares || self.id == T_ATAN2)
    }

    fn drops_name(self) -> bool {
        self.as_bool || self.is_no_longer_the_metric()
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
