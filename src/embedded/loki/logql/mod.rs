//! The supported part of LogQL: the syntax tree and the parser. No proven crate parses LogQL. Grammar and meaning
//! follow Loki's documentation (<https://grafana.com/docs/loki/latest/query/>).

mod ip;
mod label_filters;
mod lexer;
mod metrics;
mod parser;
mod stages;
mod template;
mod units;

pub(super) use ip::IpRange;
pub(super) use parser::{parse, parse_selector};
pub(super) use template::{Pattern, Template, TextPart};
pub use units::parse_duration;
pub(super) use units::{parse_bytes, parse_go_duration};

use super::QueryError;
use crate::embedded::compare::CompareOp;
use crate::embedded::matcher::Matcher;

/// Checks a query. The error is that of the HTTP API.
pub fn check(query: &str) -> Result<(), QueryError> {
    parse(query).map(drop)
}

/// A whole query.
#[derive(Debug)]
pub(super) enum Query {
    Log(LogExpr),
    Metric(Metric),
}

/// Selects lines: a stream selector and its stages.
#[derive(Debug)]
pub(super) struct LogExpr {
    pub(super) selector: Vec<Matcher>,
    pub(super) stages: Vec<Stage>,
}

/// A stage of the pipeline.
#[derive(Debug)]
pub(super) enum Stage {
    Line(LineFilter),
    /// Keeps lines that contain an address of the range, or those that do not.
    LineIp {
        keep_matching: bool,
        range: IpRange,
    },
    /// Adds all fields of a JSON object as labels.
    Json,
    /// Adds some fields of a JSON object as labels, by their paths.
    JsonFields(Vec<JsonField>),
    /// `key=value key="a value"`
    Logfmt(Logfmt),
    /// Restores the labels and the line that Promtail's `pack` stage put into a JSON object.
    Unpack,
    /// Removes the colours of a terminal from the line.
    Decolorize,
    /// Adds the named groups of a regular expression as labels.
    Regexp(regex::Regex),
    Pattern(Pattern),
    /// Replaces the line with another text.
    LineFormat(Template),
    /// Renames labels or makes new ones.
    LabelFormat(Vec<NewLabel>),
    Label(LabelFilter),
    /// Removes the named labels.
    Drop(Vec<LabelRef>),
    /// Removes all labels except the named ones.
    Keep(Vec<LabelRef>),
}

/// The arguments of `logfmt`.
#[derive(Debug, Default)]
pub(super) struct Logfmt {
    /// Whether a text that is not logfmt is an error.
    pub(super) strict: bool,
    /// Whether a key without a value is an empty label.
    pub(super) keep_empty: bool,
    /// The keys to read, each with its label before it. An empty list means all.
    pub(super) fields: Vec<(String, String)>,
}

/// A label that `drop` or `keep` names, with any value or with a matching one.
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

    /// Returns whether the reference includes a label with this value.
    pub(super) fn takes(&self, value: &str) -> bool {
        match self {
            LabelRef::Name(_) => true,
            LabelRef::Matching(matcher) => matcher.matches(value),
        }
    }
}

/// Keeps lines that match, or those that do not.
#[derive(Debug)]
pub(super) struct LineFilter {
    pub(super) keep_matching: bool,
    /// Plain text is compiled too, because the literal search of the regex engine is the fastest.
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
    Ip {
        name: String,
        is_equal: bool,
        range: IpRange,
    },
}

/// The value to compare with. Its kind decides how the text of the label is parsed.
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

/// The source of a label's value.
#[derive(Debug)]
pub(super) enum LabelSource {
    /// Another label, which is removed.
    Renamed(String),
    Template(Template),
}

/// A field of a JSON object, and the name of its label.
#[derive(Debug)]
pub(super) struct JsonField {
    pub(super) label: String,
    pub(super) path: Vec<PathPart>,
}

/// A step of a path into a JSON value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PathPart {
    Name(String),
    Index(usize),
}

/// A function over the lines of a window.
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
    StdDev,
    StdVar,
    Quantile(f64),
    /// 1 while the window has no line.
    Absent,
}

impl RangeOp {
    /// The function of this name in lower case.
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
            "stddev_over_time" => RangeOp::StdDev,
            "stdvar_over_time" => RangeOp::StdVar,
            "absent_over_time" => RangeOp::Absent,
            // The parser reads the number later.
            "quantile_over_time" => RangeOp::Quantile(0.0),
            _ => return None,
        })
    }

    fn counts(self) -> bool {
        use RangeOp::{BytesOverTime, BytesRate, CountOverTime, Rate};
        matches!(self, Rate | CountOverTime | BytesRate | BytesOverTime)
    }

    fn needs_unwrap(self) -> bool {
        !self.counts() && self != RangeOp::Absent
    }

    fn takes_unwrap(self) -> bool {
        self.needs_unwrap() || matches!(self, RangeOp::Rate | RangeOp::Absent)
    }

    /// Returns whether the function accepts a grouping. Loki refuses it for functions that amount to a sum.
    fn takes_grouping(self) -> bool {
        self.needs_unwrap() && self != RangeOp::Sum
    }
}

/// A label whose value is the number of a line.
#[derive(Debug)]
pub(super) struct Unwrap {
    pub(super) label: String,
    pub(super) conversion: Conversion,
    /// Filters on the labels of the line after its number is read.
    pub(super) filters: Vec<LabelFilter>,
}

/// The conversion of a label's text to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conversion {
    Number,
    Seconds,
    Bytes,
}

/// An operator that combines series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VectorOp {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    StdDev,
    StdVar,
    Topk,
    Bottomk,
    /// Sorts the series of an instant query.
    Sort,
    SortDesc,
}

impl VectorOp {
    /// The operator of this name in lower case.
    fn named(name: &str) -> Option<VectorOp> {
        Some(match name {
            "sum" => VectorOp::Sum,
            "avg" => VectorOp::Avg,
            "min" => VectorOp::Min,
            "max" => VectorOp::Max,
            "count" => VectorOp::Count,
            "topk" => VectorOp::Topk,
            "bottomk" => VectorOp::Bottomk,
            "stddev" => VectorOp::StdDev,
            "stdvar" => VectorOp::StdVar,
            "sort" => VectorOp::Sort,
            "sort_desc" => VectorOp::SortDesc,
            _ => return None,
        })
    }
}

/// An aggregation of series, at each time.
#[derive(Debug)]
pub(super) struct Aggregation {
    pub(super) op: VectorOp,
    /// The number of series that `topk` and `bottomk` keep.
    pub(super) take: Option<usize>,
    pub(super) grouping: Grouping,
}

/// The labels by which lines are grouped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Grouping {
    /// Without `sum`, each set of labels makes its own series.
    All,
    By(Vec<String>),
    Without(Vec<String>),
}

/// A metric query.
#[derive(Debug)]
pub(super) enum Metric {
    Range(Box<MetricExpr>),
    Aggregated(Box<Metric>, Aggregation),
    /// The same number at all times.
    Number(f64),
    /// A series without labels that has this value at all times.
    Vector(f64),
    Binary(Box<Binary>),
}

impl Metric {
    /// Calls `found` with each function over lines.
    pub(super) fn ranges<'m>(&'m self, found: &mut dyn FnMut(&'m MetricExpr)) {
        match self {
            Metric::Range(range) => found(range),
            Metric::Aggregated(of, _) => of.ranges(found),
            Metric::Number(_) | Metric::Vector(_) => {}
            Metric::Binary(binary) => {
                binary.left.ranges(found);
                binary.right.ranges(found);
            }
        }
    }
}

/// An operator between two metric queries.
#[derive(Debug)]
pub(super) struct Binary {
    pub(super) op: BinaryOp,
    pub(super) left: Metric,
    pub(super) right: Metric,
    pub(super) matching: Matching,
}

/// The labels by which the series of both sides are matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Matching {
    On(Vec<String>),
    Ignoring(Vec<String>),
}

/// A binary operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Compare {
        op: CompareOp,
        /// Whether the result is 0 or 1. Otherwise the comparison is a filter.
        gives_bool: bool,
    },
    And,
    Or,
    Unless,
}

/// A function over the lines of windows.
#[derive(Debug)]
pub(super) struct MetricExpr {
    pub(super) op: RangeOp,
    pub(super) log: LogExpr,
    pub(super) unwrap: Option<Unwrap>,
    /// The length of the window in nanoseconds, greater than zero.
    pub(super) range_ns: i64,
    /// The time from the window's end to the point's time, in nanoseconds.
    pub(super) offset_ns: i64,
    pub(super) grouping: Grouping,
}

impl MetricExpr {
    /// Returns whether the sum over the series equals the value over all their lines together.
    fn can_be_merged(&self) -> bool {
        (self.op.counts() || self.op == RangeOp::Sum) && self.grouping == Grouping::All
    }
}
