//! The functions, as a table, and how calls of each kind are evaluated.

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{Call, Expr, MatrixSelector};

use super::eval::{Evaluator, Samples, millis, offset_ms, unwrap_parens};
use super::value::{ABSENT, Column, Value, is_absent, refuse_same_labels};
use super::{QueryError, over_time, quantile, rate};
use crate::embedded::prometheus::labels::{Labels, METRIC_NAME};

/// Samples looked at before the clock is.
const WORK_BETWEEN_CHECKS: usize = 1 << 20;

/// The samples of one series that a range selector finds at one step.
pub(super) struct Window<'a> {
    /// Time stamps in milliseconds; never empty.
    pub(super) ts: &'a [i64],
    pub(super) vs: &'a [f64],
    /// For each sample smaller than its forerunner in the window, the forerunner.
    pub(super) drops: &'a [f64],
    /// The ends of the window and its length, in milliseconds.
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) range: i64,
    /// The scalar argument of the function at this step, NaN if it has none.
    pub(super) param: f64,
}

/// A function from a window to a value, or to none.
pub(super) type RangeFn = fn(&Window<'_>) -> Option<f64>;

/// What a function does with its arguments.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Of a range vector, series by series.
    Range { eval: RangeFn, keeps_name: bool },
    /// Of a scalar and a range vector, series by series.
    ParamRange(RangeFn),
    /// `histogram_quantile(scalar, instant vector)`.
    HistogramQuantile,
    /// `absent(instant vector)`.
    Absent,
    /// `absent_over_time(range vector)`.
    AbsentOverTime,
}

const fn range(name: &'static str, eval: RangeFn) -> (&'static str, Kind) {
    let keeps_name = false;
    (name, Kind::Range { eval, keeps_name })
}

/// Every function evaluated here.
static FUNCTIONS: &[(&str, Kind)] = &[
    ("absent", Kind::Absent),
    ("absent_over_time", Kind::AbsentOverTime),
    range("avg_over_time", over_time::avg),
    range("count_over_time", over_time::count),
    range("delta", rate::delta),
    ("histogram_quantile", Kind::HistogramQuantile),
    range("idelta", rate::idelta),
    range("increase", rate::increase),
    range("irate", rate::irate),
    (
        "last_over_time",
        Kind::Range {
            eval: over_time::last,
            keeps_name: true,
        },
    ),
    range("max_over_time", over_time::max),
    range("min_over_time", over_time::min),
    range("present_over_time", over_time::present),
    ("quantile_over_time", Kind::ParamRange(over_time::quantile)),
    range("rate", rate::rate),
    range("stddev_over_time", over_time::stddev),
    range("stdvar_over_time", over_time::stdvar),
    range("sum_over_time", over_time::sum),
];

/// The function of that name, if it is evaluated here.
pub(super) fn lookup(name: &str) -> Option<Kind> {
    FUNCTIONS
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, kind)| *kind)
}

/// Evaluates a call.
pub(super) fn eval(ev: &Evaluator<'_>, call: &Call) -> Result<Value, QueryError> {
    let name = call.func.name;
    let arg = |i: usize| {
        let found = call.args.args.get(i);
        found.map(|e| unwrap_parens(e)).ok_or_else(|| {
            QueryError::BadData(format!(
                "parse error: too few arguments in call to {name:?}"
            ))
        })
    };
    let kind = lookup(name).ok_or_else(|| {
        QueryError::BadData(format!("parse error: unknown function with name {name:?}"))
    })?;
    let columns = match kind {
        Kind::Range { eval, keeps_name } => {
            over_windows(ev, range_arg(arg(0)?)?, None, eval, keeps_name)?
        }
        Kind::ParamRange(eval) => {
            let params = ev.scalar(arg(0)?)?;
            over_windows(ev, range_arg(arg(1)?)?, Some(&params), eval, false)?
        }
        Kind::HistogramQuantile => {
            let q = ev.scalar(arg(0)?)?;
            quantile::histogram_quantile(ev, &q, ev.vector(arg(1)?)?)?
        }
        Kind::Absent => {
            let labels = match arg(0)? {
                Expr::VectorSelector(vs) => labels_of_absence(&vs.matchers.matchers),
                _ => Labels::empty(),
            };
            let present = ev.vector(arg(0)?)?.into_iter().map(|c| c.values);
            absence(ev, labels, present)
        }
        Kind::AbsentOverTime => {
            let selector = range_arg(arg(0)?)?;
            let labels = labels_of_absence(&selector.vs.matchers.matchers);
            let found = over_windows(ev, selector, None, over_time::present, true)?;
            absence(ev, labels, found.into_iter().map(|c| c.values))
        }
    };
    Ok(Value::Vector(columns))
}

fn range_arg(expr: &Expr) -> Result<&MatrixSelector, QueryError> {
    match expr {
        Expr::MatrixSelector(ms) => Ok(ms),
        _ => Err(QueryError::BadData(
            "parse error: expected a range vector selector".to_owned(),
        )),
    }
}

/// Slides the range over each series' samples.
fn over_windows(
    ev: &Evaluator<'_>,
    selector: &MatrixSelector,
    params: Option<&[f64]>,
    eval: RangeFn,
    keeps_name: bool,
) -> Result<Vec<Column>, QueryError> {
    let mut columns = Vec::new();
    for samples in ev.range_samples(selector)? {
        ev.budget.spend(ev.steps.count)?;
        let values = slide(ev, selector, &samples, params, eval)?;
        let labels = match keeps_name {
            true => samples.labels,
            false => samples.labels.without_name(),
        };
        let column = Column { labels, values };
        if !column.is_empty() {
            columns.push(column);
        }
    }
    refuse_same_labels(columns)
}

fn slide(
    ev: &Evaluator<'_>,
    selector: &MatrixSelector,
    samples: &Samples,
    params: Option<&[f64]>,
    eval: RangeFn,
) -> Result<Vec<f64>, QueryError> {
    let (range, offset) = (millis(selector.range), offset_ms(&selector.vs));
    let Samples { ts, vs, .. } = samples;
    // Where a sample is smaller than the one before it: rare, so windows need not be walked through.
    let (drop_at, dropped): (Vec<usize>, Vec<f64>) = (1..vs.len())
        .filter(|&i| vs[i] < vs[i - 1])
        .map(|i| (i, vs[i - 1]))
        .unzip();
    let (mut low, mut high, mut drop_low, mut drop_high) = (0, 0, 0, 0);
    let mut spent = 0;
    ev.steps
        .iter()
        .enumerate()
        .map(|(step, at)| {
            let end = at - offset;
            let start = end.saturating_sub(range);
            while high < ts.len() && ts[high] <= end {
                high += 1;
            }
            while low < high && ts[low] < start {
                low += 1;
            }
            if low == high {
                return Ok(ABSENT);
            }
            // Long windows at many steps take long even for one series.
            spent += high - low;
            if spent > WORK_BETWEEN_CHECKS {
                spent = 0;
                ev.budget.spend(0)?;
            }
            while drop_high < drop_at.len() && drop_at[drop_high] < high {
                drop_high += 1;
            }
            while drop_low < drop_high && drop_at[drop_low] <= low {
                drop_low += 1;
            }
            let window = Window {
                ts: &ts[low..high],
                vs: &vs[low..high],
                drops: &dropped[drop_low..drop_high],
                start,
                end,
                range,
                param: params.map_or(f64::NAN, |p| p[step]),
            };
            Ok(eval(&window).unwrap_or(ABSENT))
        })
        .collect()
}

/// One where no column has a value.
fn absence(
    ev: &Evaluator<'_>,
    labels: Labels,
    present: impl Iterator<Item = Vec<f64>>,
) -> Vec<Column> {
    let mut values = vec![1.0; ev.steps.count];
    for column in present {
        for (cell, v) in values.iter_mut().zip(column) {
            if !is_absent(v) {
                *cell = ABSENT;
            }
        }
    }
    vec![Column { labels, values }]
}

/// What an absent series would be called: the labels its selector names with `=`, each once.
fn labels_of_absence(matchers: &[Matcher]) -> Labels {
    let of_label = |name: &str| matchers.iter().filter(|m| m.name == name).count();
    Labels::from_pairs(
        matchers
            .iter()
            .filter(|m| m.name != METRIC_NAME && m.op == MatchOp::Equal && of_label(&m.name) == 1)
            .map(|m| (m.name.as_str(), m.value.as_str())),
    )
}
