//! Evaluates range-vector functions: a window slides over the samples of each series.

use super::QueryError;
use super::eval::Evaluator;
use super::select::{Ranged, Samples};
use super::value::{ABSENT, Column, refuse_same_labels};

/// The number of samples between two checks of the time-out.
const WORK_BETWEEN_CHECKS: usize = 1 << 20;

/// The largest number of scalar arguments of a range-vector function.
pub(super) const MAX_PARAMS: usize = 2;

/// The samples of one series within the range at one step.
pub(super) struct Window<'a> {
    /// Time stamps in milliseconds. The slice is never empty.
    pub(super) ts: &'a [i64],
    pub(super) vs: &'a [f64],
    /// For each counter reset in the window (a sample smaller than the previous one), the value before it.
    pub(super) before_resets: &'a [f64],
    /// The ends and the length of the window, in milliseconds.
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) range: i64,
    /// The time of the step, in milliseconds. With an offset or `@` it differs from the window's end.
    pub(super) at: i64,
    /// The scalar arguments of the function at this step. Unused ones are NaN.
    pub(super) params: [f64; MAX_PARAMS],
}

/// Computes a value from a window, or none.
pub(super) type RangeFn = fn(&Window<'_>) -> Option<f64>;

/// The reason to refuse the parameters, if there is one.
pub(super) type RefuseFn = fn(&[f64; MAX_PARAMS]) -> Option<String>;

/// A range-vector function in the table of functions.
#[derive(Clone, Copy)]
pub(super) struct OverRange {
    pub(super) eval: RangeFn,
    /// Checks the parameters. It is called only for windows with samples.
    pub(super) refuse: Option<RefuseFn>,
    pub(super) keeps_name: bool,
    /// Whether the result depends on the evaluation time even if the samples do not, so that it is not step-invariant.
    pub(super) reads_step: bool,
}

/// Slides the range over the samples of each series.
pub(super) fn over_windows(
    ev: &Evaluator<'_>,
    mut ranged: Ranged,
    params: &[Vec<f64>],
    function: OverRange,
) -> Result<Vec<Column>, QueryError> {
    let mut columns = Vec::new();
    let series = std::mem::replace(&mut ranged.series, Box::new(std::iter::empty()));
    for samples in series {
        ev.budget.spend(ev.steps.count)?;
        let values = slide(ev, &ranged, &samples, params, function)?;
        let labels = match function.keeps_name {
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
    &Ranged { range, shift, .. }: &Ranged,
    Samples { ts, vs, .. }: &Samples,
    params: &[Vec<f64>],
    function: OverRange,
) -> Result<Vec<f64>, QueryError> {
    // The indexes of the resets and the values before them, found once for all windows, because they are rare.
    let (reset_at, before_reset): (Vec<usize>, Vec<f64>) = (1..vs.len())
        .filter(|&i| vs[i] < vs[i - 1])
        .map(|i| (i, vs[i - 1]))
        .unzip();
    let (mut low, mut high, mut reset_low, mut reset_high) = (0, 0, 0, 0);
    let mut spent = 0;
    let mut cell = |step: usize, at: i64| {
        let end = at - shift;
        let start = end - range;
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
        while reset_high < reset_at.len() && reset_at[reset_high] < high {
            reset_high += 1;
        }
        while reset_low < reset_high && reset_at[reset_low] <= low {
            reset_low += 1;
        }
        let window = Window {
            ts: &ts[low..high],
            vs: &vs[low..high],
            before_resets: &before_reset[reset_low..reset_high],
            start,
            end,
            range,
            at,
            params: std::array::from_fn(|i| params.get(i).map_or(f64::NAN, |p| p[step])),
        };
        if let Some(reason) = function.refuse.and_then(|refuse| refuse(&window.params)) {
            return Err(QueryError::Execution(reason));
        }
        Ok((function.eval)(&window).unwrap_or(ABSENT))
    };
    let steps = ev.steps.iter().enumerate();
    steps.map(|(step, at)| cell(step, at)).collect()
}
