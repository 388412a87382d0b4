//! The supported part of LogQL: its syntax tree, and our own parser (there is no proven crate). Grammar and meaning follow Loki's documentation
//! (<https://grafana.com/docs/loki/latest/query/>).

mod label_filters;
mod lexer;
mod metrics;
mod parser;
mod stages;
mod template;
mod units;

pub(super) use parser::{parse, parse_selector};
pub(super) use template::{Pattern, Template, TextPart};
pub use units::parse_duration;
pub(super) use units::{parse_bytes, parse_go_duration};

use super::QueryError;
use crate::embedded::compare::CompareOp;
use crate::embedded::matcher::Matcher;

/// Checks a query; the error is that of the HTTP API.
pub fn check(query: &str) -> Result<(), QueryError> {
    parse(query).map(drop)
}

/// A whole query.
#[derive(Debug)]
pub(super) enum Query {
    Log(LogExpr),
    Metric(MetricExpr),
    /// The same number at any time.
    Constant(f64),
}

/// Which lines: a stream selector and what follows it.
#[derive(Debug)]
pub(super) struct LogExpr {
    pub(super) selector: Vec<Matcher>,
    pub(super) stages: Vec<Stage>,
}

/// One step of the pipeline.
#[derive(Debug)]
pub(super) enum Stage {
    Line(LineFilter),
    /// All fields of a JSON object.
    Json,
    /// Some fields of a JSON object, by their paths.
    JsonFields(Vec<JsonField>),
    /// `key=value key="a value"`
    Logfmt,
    /// The named groups of a regular expression.
    Regexp(regex::Regex),
    Pattern(Pattern),
    /// Another text in place of the line.
    LineFormat(Template),
    /// Labels that are renamed or made.
    LabelFormat(Vec<NewLabel>),
    Label(LabelFilter),
    /// Removes the labels named.
    Drop(Vec<LabelRef>),
    /// Removes all labels but those named.
    Keep(Vec<LabelRef>),
}

/// A label that `drop` or `keep` names, with any value or with one that matches.
#[derive(Debug)]
pub(super) enum LabelRef {
    Name(String),
    Matching(Matcher),
}

impl LabelRef {
    pub(super) fn name(&self) -> &str {
        match self {
            LabelRef::Name(name) => name,
            LabelRef::Matching(matcher) => &matcher.name,
        }
    }

    /// Whether a label of that name with this value is meant.
    pub(super) fn takes(&self, value: &str) -> bool {
        match self {
            LabelRef::Name(_) => true,
            LabelRef::Matching(matcher) => matcher.matches(value),
        }
    }
}

/// Keeps lines that match, or that do not.
#[derive(Debug)]
pub(super) struct LineFilter {
    pub(super) keep_matching: bool,
    /// Plain text is compiled too: the regex engine's literal search is the fastest at hand.
    pub(super) regex: regex::Regex,
}

/// A condition on labels.
#[derive(Debug)]
pub(super) enum LabelFilter {
    And(Box<LabelFilter>, Box<LabelFilter>),
    Or(Box<LabelFilter>, Box<LabelFilter>),
    String(Matcher),
    Compare {
        name: String,
        op: CompareOp,
        value: Quantity,
    },
}

/// What a label is compared with; its kind decides how the text of the label is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Quantity {
    Number(f64),
    /// Nanoseconds.
    Duration(i64),
    Bytes(u64),
}

/// A label that `label_format` makes.
#[derive(Debug)]
pub(super) struct NewLabel {
    pub(super) name: String,
    pub(super) of: LabelSource,
}

/// What a label is made of.
#[derive(Debug)]
pub(super) enum LabelSource {
    /// Another label, which goes.
    Renamed(String),
    Template(Template),
}

/// A field of a JSON object, and the label that it becomes.
#[derive(Debug)]
pub(super) struct JsonField {
    pub(super) label: String,
    pub(super) path: Vec<PathPart>,
}

/// A step into a JSON value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PathPart {
    Name(String),
    Index(usize),
}

/// What is computed from the lines of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum RangeOp {
    Rate,
    CountOverTime,
    BytesRate,
    BytesOverTime,
    Sum,
    Avg,
    Min,
    Max,
    First,
    Last,
    Quantile(f64),
}

impl RangeOp {
    fn named(name: &str) -> Option<RangeOp> {
        Some(match name {
            "rate" => RangeOp::Rate,
            "count_over_time" => RangeOp::CountOverTime,
            "bytes_rate" => RangeOp::BytesRate,
            "bytes_over_time" => RangeOp::BytesOverTime,
            "sum_over_time" => RangeOp::Sum,
            "avg_over_time" => RangeOp::Avg,
            "min_over_time" => RangeOp::Min,
            "max_over_time" => RangeOp::Max,
            "first_over_time" => RangeOp::First,
            "last_over_time" => RangeOp::Last,
            // The number is read after it.
            "quantile_over_time" => RangeOp::Quantile(0.0),
            _ => return None,
        })
    }

    fn counts(self) -> bool {
        use RangeOp::{BytesOverTime, BytesRate, CountOverTime, Rate};
        matches!(self, Rate | CountOverTime | BytesRate | BytesOverTime)
    }

    fn needs_unwrap(self) -> bool {
        !self.counts()
    }

    /// Whether series may be grouped before it is computed; Loki refuses what amounts to a sum.
    fn takes_grouping(self) -> bool {
        self.needs_unwrap() && self != RangeOp::Sum
    }
}

/// A label whose value is the number of a line.
#[derive(Debug)]
pub(super) struct Unwrap {
    pub(super) label: String,
    pub(super) conversion: Conversion,
    /// What the line's labels must be after it was read.
    pub(super) filters: Vec<LabelFilter>,
}

/// How a label's text is made a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conversion {
    Number,
    Seconds,
    Bytes,
}

/// How series become fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VectorOp {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Topk,
    Bottomk,
}

impl VectorOp {
    fn named(name: &str) -> Option<VectorOp> {
        Some(match name {
            "sum" => VectorOp::Sum,
            "avg" => VectorOp::Avg,
            "min" => VectorOp::Min,
            "max" => VectorOp::Max,
            "count" => VectorOp::Count,
            "topk" => VectorOp::Topk,
            "bottomk" => VectorOp::Bottomk,
            _ => return None,
        })
    }
}

/// An aggregation of series, at each time.
#[derive(Debug)]
pub(super) struct Aggregation {
    pub(super) op: VectorOp,
    /// Of `topk` and `bottomk`: how many.
    pub(super) take: Option<usize>,
    pub(super) grouping: Grouping,
}

/// Which lines count together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Grouping {
    /// No `sum`: a series for each set of labels.
    All,
    By(Vec<String>),
    Without(Vec<String>),
}

/// A number over time.
#[derive(Debug)]
pub(super) struct MetricExpr {
    pub(super) op: RangeOp,
    pub(super) log: LogExpr,
    pub(super) unwrap: Option<Unwrap>,
    /// Length of the window, in nanoseconds, above zero.
    pub(super) range_ns: i64,
    /// How long before a point's time its window ends, in nanoseconds.
    pub(super) offset_ns: i64,
    pub(super) grouping: Grouping,
    /// From the inside out.
    pub(super) aggregations: Vec<Aggregation>,
}

impl MetricExpr {
    /// Whether a sum over the series is what all their lines together give.
    fn can_be_merged(&self) -> bool {
        (self.op.counts() || self.op == RangeOp::Sum)
            && self.grouping == Grouping::All
            && self.aggregations.is_empty()
    }
}
