//! The part of LogQL that is answered: its syntax tree, and a parser of its own (no proven one
//! exists as a crate). Grammar and meaning follow Loki's documentation
//! (<https://grafana.com/docs/loki/latest/query/>).

mod label_filters;
mod lexer;
mod parser;
mod units;

pub(super) use parser::{parse, parse_selector};
pub use units::parse_duration;
pub(super) use units::{parse_bytes, parse_go_duration};

use super::QueryError;
use crate::embedded::matcher::Matcher;

/// Tells whether a query would be accepted, and if not, why.
///
/// # Errors
/// What the HTTP API would answer.
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
    Json,
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

/// How a label's number is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CompareOp {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl CompareOp {
    pub(super) fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            CompareOp::Equal => left == right,
            CompareOp::NotEqual => left != right,
            CompareOp::Greater => left > right,
            CompareOp::GreaterOrEqual => left >= right,
            CompareOp::Less => left < right,
            CompareOp::LessOrEqual => left <= right,
        }
    }
}

/// What a label is compared with; its kind says how the label's text is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Quantity {
    Number(f64),
    /// Nanoseconds.
    Duration(i64),
    Bytes(u64),
}

/// What is computed from the lines of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RangeOp {
    Rate,
    CountOverTime,
    BytesRate,
    BytesOverTime,
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
    /// Length of the window, in nanoseconds, above zero.
    pub(super) range_ns: i64,
    pub(super) grouping: Grouping,
}
