//! Label matchers for Prometheus, Loki and Alertmanager. A regular expression must match the whole value, and a
//! missing label has the empty value.

use regex::Regex;

use super::regex::{Dialect, anchored};

/// The comparison operator of a matcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::embedded) enum MatchOp {
    Equal,
    NotEqual,
    Matches,
    NotMatches,
}

impl MatchOp {
    pub(in crate::embedded) fn from_symbol(symbol: &str) -> Option<MatchOp> {
        Some(match symbol {
            "=" => MatchOp::Equal,
            "!=" => MatchOp::NotEqual,
            "=~" => MatchOp::Matches,
            "!~" => MatchOp::NotMatches,
            _ => return None,
        })
    }
}

/// A condition on one label.
#[derive(Debug, Clone)]
pub(in crate::embedded) struct Matcher {
    pub(in crate::embedded) name: String,
    pub(in crate::embedded) op: MatchOp,
    pub(in crate::embedded) value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// Builds a matcher. The error says in one line why the regular expression is refused.
    pub(in crate::embedded) fn new(
        name: String,
        op: MatchOp,
        value: String,
        dialect: Dialect,
    ) -> Result<Matcher, String> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Matches | MatchOp::NotMatches => Some(anchored(&value, dialect)?),
        };
        Ok(Matcher {
            name,
            op,
            value,
            regex,
        })
    }

    /// Returns whether a label with this value passes. A missing label has the empty value.
    pub(in crate::embedded) fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Matches, Some(regex)) => regex.is_match(value),
            (MatchOp::NotMatches, Some(regex)) => !regex.is_match(value),
            (MatchOp::NotEqual, _) => value != self.value,
            _ => value == self.value,
        }
    }

    /// Returns whether all matchers accept the labels whose values `value` gives.
    pub(in crate::embedded) fn all<'l>(
        matchers: &[Matcher],
        value: impl Fn(&str) -> &'l str,
    ) -> bool {
        matchers
            .iter()
            .all(|matcher| matcher.matches(value(&matcher.name)))
    }
}
