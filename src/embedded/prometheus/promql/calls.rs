//! Evaluates calls of functions by their kind.

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{Call, Expr};

use super::dates::Date;
use super::eval::{Evaluator, unwrap_parens};
use super::functions::{Kind, PRESENCE, lookup};
use super::value::{ABSENT, Column, Value, is_absent, merge_same_labels};
use super::windows::{OverRange, over_windows};
use super::{QueryError, math, quantile, relabel};
use crate::embedded::prometheus::labels::{Labels, METRIC_NAME};

/// Evaluates a call.
pub(super) fn eval(ev: &Evaluator<'_>, call: &Call) -> Result<Value, QueryError> {
    let kind = lookup(call.func.name).ok_or_else(|| {
        let name = call.func.name;
        QueryError::BadData(format!("parse error: unknown function with name {name:?}"))
    })?;
    let columns = match kind {
        Kind::Scalar | Kind::Time | Kind::Pi => return of_type_scalar(ev, kind, call),
        Kind::OverRange(function) => over_range(ev, call, function)?,
        Kind::Cell(function) => map_cells(ev.vector(arg(call, 0)?)?, |_, v| function(v))?,
        Kind::Params(function) => with_params(ev, call, function)?,
        Kind::Date(function) => dates(ev, call, function)?,
        Kind::HistogramQuantile => {
            let q = ev.scalar(arg(call, 0)?)?;
            quantile::histogram_quantile(ev, &q, ev.vector(arg(call, 1)?)?)?
        }
        Kind::NativeHistogram => {
            for argument in &call.args.args {
                ev.eval(argument)?;
            }
            vec![]
        }
        Kind::Absent => {
            let labels = match arg(call, 0)? {
                Expr::VectorSelector(vs) => labels_of_absence(&vs.matchers.matchers),
                _ => Labels::empty(),
            };
            absence(ev, labels, ev.vector(arg(call, 0)?)?)?
        }
        Kind::AbsentOverTime => {
            let labels = match arg(call, 0)? {
                Expr::MatrixSelector(ms) => labels_of_absence(&ms.vs.matchers.matchers),
                _ => Labels::empty(),
            };
            absence(ev, labels, over_range(ev, call, PRESENCE)?)?
        }
        Kind::LabelReplace => relabel::replace(ev, call)?,
        Kind::LabelJoin => relabel::join(ev, call)?,
        Kind::Sort { largest_first } => sorted(ev.vector(arg(call, 0)?)?, largest_first),
        Kind::Timestamp => timestamps(ev, arg(call, 0)?)?,
        Kind::Vector => vec![Column {
            labels: Labels::empty(),
            values: ev.scalar(arg(call, 0)?)?,
        }],
    };
    Ok(Value::Vector(columns))
}

/// An argument without its parentheses.
fn arg(call: &Call, i: usize) -> Result<&Expr, QueryError> {
    let found = call.args.args.get(i).map(|e| unwrap_parens(e));
    found.ok_or_else(|| {
        let name = call.func.name;
        QueryError::BadData(format!(
            "parse error: too few arguments in call to {name:?}"
        ))
    })
}

/// The scalar arguments in order, each with one value per step.
fn params(ev: &Evaluator<'_>, call: &Call) -> Result<Vec<Vec<f64>>, QueryError> {
    let scalars = call.args.args.iter();
    scalars
        .filter(|a| a.value_type() == ValueType::Scalar)
        .map(|a| ev.scalar(a))
        .collect()
}

fn of_type_scalar(ev: &Evaluator<'_>, kind: Kind, call: &Call) -> Result<Value, QueryError> {
    ev.budget.spend(ev.steps.count)?;
    let values = match kind {
        Kind::Time => ev.steps.iter().map(|at| at as f64 / 1000.0).collect(),
        Kind::Pi => vec![std::f64::consts::PI; ev.steps.count],
        _ => the_only_value(ev, &ev.vector(arg(call, 0)?)?),
    };
    Ok(Value::Scalar(values))
}

/// The value at each step that has exactly one value. The other steps have NaN.
fn the_only_value(ev: &Evaluator<'_>, columns: &[Column]) -> Vec<f64> {
    let at = |step: usize| {
        let cells = columns.iter().map(|c| c.values[step]);
        let mut present = cells.filter(|v| !is_absent(*v));
        match (present.next(), present.next()) {
            (Some(only), None) => only,
            _ => f64::NAN,
        }
    };
    (0..ev.steps.count).map(at).collect()
}

fn over_range(
    ev: &Evaluator<'_>,
    call: &Call,
    function: OverRange,
) -> Result<Vec<Column>, QueryError> {
    let mut args = call.args.args.iter();
    let ranged = args
        .find(|a| a.value_type() == ValueType::Matrix)
        .ok_or_else(|| QueryError::BadData("parse error: expected type range vector".to_owned()))?;
    over_windows(ev, ev.ranged(ranged)?, &params(ev, call)?, function)
}

/// Computes each value at its step. The result loses the metric's name.
fn map_cells(
    mut columns: Vec<Column>,
    mut function: impl FnMut(usize, f64) -> f64,
) -> Result<Vec<Column>, QueryError> {
    for column in &mut columns {
        column.labels = column.labels.without_name();
        let cells = column.values.iter_mut().enumerate();
        for (step, v) in cells.filter(|(_, v)| !is_absent(**v)) {
            *v = function(step, *v);
        }
    }
    merge_same_labels(columns)
}

fn with_params(
    ev: &Evaluator<'_>,
    call: &Call,
    function: fn(f64, &[f64]) -> Option<f64>,
) -> Result<Vec<Column>, QueryError> {
    let columns = ev.vector(arg(call, 0)?)?;
    let params = params(ev, call)?;
    let mut at_step = Vec::with_capacity(params.len());
    map_cells(columns, |step, v| {
        at_step.clear();
        at_step.extend(params.iter().map(|p| p[step]));
        function(v, &at_step).unwrap_or(ABSENT)
    })
}

fn dates(
    ev: &Evaluator<'_>,
    call: &Call,
    function: fn(&Date) -> f64,
) -> Result<Vec<Column>, QueryError> {
    if call.args.is_empty() {
        ev.budget.spend(ev.steps.count)?;
        let of_step = |at: i64| function(&Date::of(at / 1000));
        return Ok(vec![Column {
            labels: Labels::empty(),
            values: ev.steps.iter().map(of_step).collect(),
        }]);
    }
    let columns = ev.vector(arg(call, 0)?)?;
    map_cells(columns, |_, v| function(&Date::of(math::to_integer(v))))
}

/// Sorts by value with NaN last. Only an instant query shows the order, so the first step decides.
fn sorted(mut columns: Vec<Column>, largest_first: bool) -> Vec<Column> {
    let value = |c: &Column| c.values.first().copied().unwrap_or(f64::NAN);
    columns.sort_by(|a, b| {
        let (a, b) = (value(a), value(b));
        let by_value = match largest_first {
            true => b.partial_cmp(&a),
            false => a.partial_cmp(&b),
        };
        by_value.unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
    });
    columns
}

/// The times of a selector's samples. Any other expression has the time of its step.
fn timestamps(ev: &Evaluator<'_>, of: &Expr) -> Result<Vec<Column>, QueryError> {
    if let Expr::VectorSelector(vs) = of {
        return ev.sample_times(vs);
    }
    let (start, interval) = (ev.steps.start, ev.steps.interval);
    map_cells(ev.vector(of)?, |step, _| {
        (start + step as i64 * interval) as f64 / 1000.0
    })
}

/// One at each step at which no column has a value.
fn absence(
    ev: &Evaluator<'_>,
    labels: Labels,
    present: Vec<Column>,
) -> Result<Vec<Column>, QueryError> {
    ev.budget.spend(ev.steps.count)?;
    let mut values = vec![1.0; ev.steps.count];
    for column in present {
        for (cell, v) in values.iter_mut().zip(column.values) {
            if !is_absent(v) {
                *cell = ABSENT;
            }
        }
    }
    Ok(vec![Column { labels, values }])
}

/// The labels of the result of `absent`: those that the selector names with `=` exactly once.
fn labels_of_absence(matchers: &[Matcher]) -> Labels {
    let of_label = |name: &str| matchers.iter().filter(|m| m.name == name).count();
    Labels::from_pairs(
        matchers
            .iter()
            .filter(|m| m.name != METRIC_NAME && m.op == MatchOp::Equal && of_label(&m.name) == 1)
            .map(|m| (m.name.as_str(), m.value.as_str())),
    )
}
