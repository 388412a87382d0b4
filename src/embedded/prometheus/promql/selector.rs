//! Series selectors.

use promql_parser::label::{MatchOp as ParsedOp, Matcher as Parsed};
use promql_parser::parser::VectorSelector;

use super::QueryError;
use crate::embedded::matcher::{MatchOp, Matcher};
use crate::embedded::prometheus::labels::{Labels, METRIC_NAME};
use crate::embedded::prometheus::tsdb::{Selection, Tsdb};
use crate::embedded::regex::Dialect;

/// Selects series by their labels.
#[derive(Debug)]
pub(crate) struct Selector {
    /// The name of the metric, if the selector gives exactly one.
    name: Option<String>,
    matchers: Vec<Matcher>,
}

impl Selector {
    /// Builds the selector of a parsed expression. Invalid or too large patterns are an error.
    pub(super) fn new(vs: &VectorSelector) -> Result<Self, QueryError> {
        let mut name = vs.name.clone();
        let mut matchers = Vec::with_capacity(vs.matchers.matchers.len());
        for parsed in &vs.matchers.matchers {
            let by_name = parsed.name == METRIC_NAME
                && parsed.op == ParsedOp::Equal
                && !parsed.value.is_empty();
            if by_name && name.is_none() {
                name = Some(parsed.value.clone());
            } else {
                matchers.push(matcher(parsed)?);
            }
        }
        Ok(Self { name, matchers })
    }

    /// Returns whether a series is selected. A missing label counts as empty.
    fn accepts(&self, labels: &Labels) -> bool {
        Matcher::all(&self.matchers, |name| labels.get(name))
    }

    /// The label sets of the selected series that have samples in the window (milliseconds, inclusive).
    pub(crate) fn label_sets(&self, tsdb: &Tsdb, min_t: i64, max_t: i64) -> Vec<Labels> {
        tsdb.label_sets(self.name.as_deref(), |l| self.accepts(l), min_t, max_t)
    }

    /// The selected series that have samples in the window (milliseconds, inclusive), sorted.
    pub(super) fn select(&self, tsdb: &Tsdb, min_t: i64, max_t: i64) -> Vec<Selection> {
        tsdb.select(self.name.as_deref(), |l| self.accepts(l), min_t, max_t)
    }
}

fn matcher(parsed: &Parsed) -> Result<Matcher, QueryError> {
    let op = match parsed.op {
        ParsedOp::Equal => MatchOp::Equal,
        ParsedOp::NotEqual => MatchOp::NotEqual,
        ParsedOp::Re(_) => MatchOp::Matches,
        ParsedOp::NotRe(_) => MatchOp::NotMatches,
    };
    let (name, value) = (parsed.name.clone(), parsed.value.clone());
    Matcher::new(name, op, value, Dialect::Prometheus2)
        .map_err(|reason| QueryError::BadData(format!("parse error: {reason}")))
}
