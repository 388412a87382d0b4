//! The table of functions. `calls` evaluates them.
//!
//! A new function needs one row here and its code in `math`, `over_time`, `rate`, `trend` or `dates`. A new [`Kind`]
//! also needs an arm in `calls`. All other code asks this table.

use super::dates::Date;
use super::windows::{OverRange, RangeFn};
use super::{math, over_time, rate, trend};

/// How a function uses its arguments.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Computes a value from the window of each series of a range vector, with scalar parameters.
    OverRange(OverRange),
    /// Computes a value from each value of an instant vector.
    Cell(fn(f64) -> f64),
    /// Computes a value from each value and the scalar arguments. `None` leaves a gap.
    Params(fn(f64, &[f64]) -> Option<f64>),
    /// Computes a part of a date: of each value, or of the step's time.
    Date(fn(&Date) -> f64),
    HistogramQuantile,
    /// Needs native histograms, which the store does not hold.
    NativeHistogram,
    Absent,
    AbsentOverTime,
    LabelReplace,
    LabelJoin,
    /// `sort`, and `sort_desc` with the largest value first.
    Sort {
        largest_first: bool,
    },
    Scalar,
    Vector,
    Time,
    Timestamp,
    Pi,
}

const fn plain(eval: RangeFn) -> OverRange {
    OverRange {
        eval,
        refuse: None,
        keeps_name: false,
        reads_step: false,
    }
}

const fn range(name: &'static str, eval: RangeFn) -> (&'static str, Kind) {
    (name, Kind::OverRange(plain(eval)))
}

/// `last_over_time`, which acts like an offset, and keeps the metric's name like an offset does.
const LAST: OverRange = OverRange {
    keeps_name: true,
    ..plain(over_time::last)
};

/// Shows at which steps a series has samples, and keeps its name.
pub(super) const PRESENCE: OverRange = OverRange {
    eval: over_time::present,
    ..LAST
};

const HOLT_WINTERS: OverRange = OverRange {
    refuse: Some(trend::refuse_factors),
    ..plain(trend::holt_winters)
};

const PREDICT_LINEAR: OverRange = OverRange {
    reads_step: true,
    ..plain(trend::predict_linear)
};

impl Kind {
    /// Returns whether the value depends on the evaluation time even if the arguments do not.
    pub(super) fn reads_step(self) -> bool {
        match self {
            Kind::Date(_) | Kind::Time | Kind::Timestamp => true,
            Kind::OverRange(function) => function.reads_step,
            _ => false,
        }
    }
}

/// All supported functions.
static FUNCTIONS: &[(&str, Kind)] = &[
    ("abs", Kind::Cell(f64::abs)),
    ("absent", Kind::Absent),
    ("absent_over_time", Kind::AbsentOverTime),
    ("acos", Kind::Cell(f64::acos)),
    ("acosh", Kind::Cell(f64::acosh)),
    ("asin", Kind::Cell(f64::asin)),
    ("asinh", Kind::Cell(f64::asinh)),
    ("atan", Kind::Cell(f64::atan)),
    ("atanh", Kind::Cell(f64::atanh)),
    range("avg_over_time", over_time::avg),
    ("ceil", Kind::Cell(f64::ceil)),
    range("changes", trend::changes),
    (
        "clamp",
        Kind::Params(|v, p| {
            let [low, high] = *p else { return None };
            let empty = high < low;
            (!empty).then(|| math::max(low, math::min(high, v)))
        }),
    ),
    (
        "clamp_max",
        Kind::Params(|v, p| Some(math::min(*p.first()?, v))),
    ),
    (
        "clamp_min",
        Kind::Params(|v, p| Some(math::max(*p.first()?, v))),
    ),
    ("cos", Kind::Cell(f64::cos)),
    ("cosh", Kind::Cell(f64::cosh)),
    range("count_over_time", over_time::count),
    ("day_of_month", Kind::Date(|d| d.time.day().into())),
    ("day_of_week", Kind::Date(|d| d.weekday().into())),
    ("day_of_year", Kind::Date(|d| d.time.day_of_year().into())),
    (
        "days_in_month",
        Kind::Date(|d| d.time.days_in_month().into()),
    ),
    ("deg", Kind::Cell(math::degrees)),
    range("delta", rate::delta),
    range("deriv", trend::deriv),
    ("exp", Kind::Cell(f64::exp)),
    ("floor", Kind::Cell(f64::floor)),
    ("histogram_count", Kind::NativeHistogram),
    ("histogram_fraction", Kind::NativeHistogram),
    ("histogram_quantile", Kind::HistogramQuantile),
    ("histogram_sum", Kind::NativeHistogram),
    ("holt_winters", Kind::OverRange(HOLT_WINTERS)),
    ("hour", Kind::Date(|d| d.time.hour().into())),
    range("idelta", rate::idelta),
    range("increase", rate::increase),
    range("irate", rate::irate),
    ("label_join", Kind::LabelJoin),
    ("label_replace", Kind::LabelReplace),
    ("last_over_time", Kind::OverRange(LAST)),
    ("ln", Kind::Cell(f64::ln)),
    ("log10", Kind::Cell(f64::log10)),
    ("log2", Kind::Cell(f64::log2)),
    range("max_over_time", over_time::max),
    range("min_over_time", over_time::min),
    ("minute", Kind::Date(|d| d.time.minute().into())),
    ("month", Kind::Date(|d| d.time.month().into())),
    ("pi", Kind::Pi),
    ("predict_linear", Kind::OverRange(PREDICT_LINEAR)),
    range("present_over_time", over_time::present),
    range("quantile_over_time", over_time::quantile),
    ("rad", Kind::Cell(math::radians)),
    range("rate", rate::rate),
    range("resets", trend::resets),
    (
        "round",
        Kind::Params(|v, p| Some(math::round(v, p.first().copied().unwrap_or(1.0)))),
    ),
    ("scalar", Kind::Scalar),
    ("sgn", Kind::Cell(math::sign)),
    ("sin", Kind::Cell(f64::sin)),
    ("sinh", Kind::Cell(f64::sinh)),
    (
        "sort",
        Kind::Sort {
            largest_first: false,
        },
    ),
    (
        "sort_desc",
        Kind::Sort {
            largest_first: true,
        },
    ),
    ("sqrt", Kind::Cell(f64::sqrt)),
    range("stddev_over_time", over_time::stddev),
    range("stdvar_over_time", over_time::stdvar),
    range("sum_over_time", over_time::sum),
    ("tan", Kind::Cell(f64::tan)),
    ("tanh", Kind::Cell(f64::tanh)),
    ("time", Kind::Time),
    ("timestamp", Kind::Timestamp),
    ("vector", Kind::Vector),
    ("year", Kind::Date(|d| d.year() as f64)),
];

/// The supported function of that name, if there is one.
pub(super) fn lookup(name: &str) -> Option<Kind> {
    FUNCTIONS
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, kind)| *kind)
}
