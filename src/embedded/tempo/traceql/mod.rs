//! The supported part of TraceQL. `parser` parses the condition of a query. This module checks whether a span matches
//! the condition.

mod lexer;
mod parser;

use regex::Regex;

use super::trace::{SpanRef, Trace, ValueRef};
use crate::embedded::compare::CompareOp;

pub(super) use parser::{parse, parse_field};

/// A condition on a span.
#[derive(Debug, Clone)]
pub(super) enum Expr {
    /// `{}`, `true`, `false`.
    Always(bool),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Test(Field, Test),
}

/// The field that a condition compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    /// `.name`: an attribute of the span, or of its resource if the span lacks it.
    Either(String),
    /// `span.name`.
    Span(String),
    /// `resource.name`.
    Resource(String),
    Name,
    Kind,
    Status,
    StatusMessage,
    Duration,
    RootName,
    RootService,
    TraceDuration,
}

/// The comparison of a field with a value. A missing field passes only [`Test::Absent`]. A field of another type than
/// the value passes no comparison, but integers and floats compare as numbers.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Present,
    Absent,
    Text(CompareOp, String),
    /// For a search by tags, with a value in lower case. A text must contain the value, in upper or lower case. A
    /// number or a boolean must equal it.
    Contains(String),
    Matches(Regex),
    MatchesNot(Regex),
    Int(CompareOp, i64),
    Float(CompareOp, f64),
    Bool(CompareOp, bool),
}

impl Field {
    /// The value of this field in a span of `trace`.
    pub(super) fn of<'a>(&self, trace: &'a Trace, span: SpanRef<'a>) -> Option<ValueRef<'a>> {
        match self {
            Field::Either(name) => span.attribute(name).or_else(|| span.resource(name)),
            Field::Span(name) => span.attribute(name),
            Field::Resource(name) => span.resource(name),
            Field::Name => Some(ValueRef::Text(&span.span.name)),
            Field::Kind => Some(ValueRef::Text(span.kind())),
            Field::Status => Some(ValueRef::Text(span.status())),
            Field::StatusMessage => span.span.error.as_deref().map(ValueRef::Text),
            Field::Duration => Some(nanoseconds(span.span.duration_ns)),
            Field::RootName | Field::RootService | Field::TraceDuration => self.of_trace(trace),
        }
    }

    /// The value of a field of the whole trace. `None` for a field that differs from span to span.
    fn of_trace<'a>(&self, trace: &'a Trace) -> Option<ValueRef<'a>> {
        match self {
            Field::RootName => Some(ValueRef::Text(&trace.root().span.name)),
            Field::RootService => Some(ValueRef::Text(trace.root().record.service_name)),
            Field::TraceDuration => Some(nanoseconds(trace.duration_ns())),
            _ => None,
        }
    }

    /// The keywords that this field can equal, such as `error` for the status. `None` for a field without keywords.
    pub(super) fn keywords(&self) -> Option<&'static [&'static str]> {
        match self {
            Field::Status => Some(&["error", "ok", "unset"]),
            Field::Kind => Some(&[
                "unspecified",
                "internal",
                "server",
                "client",
                "producer",
                "consumer",
            ]),
            _ => None,
        }
    }
}

fn nanoseconds(ns: u64) -> ValueRef<'static> {
    ValueRef::Int(i64::try_from(ns).unwrap_or(i64::MAX))
}

impl Test {
    /// Returns whether a field with this value passes. `None` means that the field is missing.
    pub(super) fn passes(&self, value: Option<ValueRef<'_>>) -> bool {
        let Some(value) = value else {
            return matches!(self, Test::Absent);
        };
        match (self, value) {
            (Test::Present, _) => true,
            (Test::Contains(part), ValueRef::Text(value)) => contains(value, part),
            (Test::Contains(text), ValueRef::Int(value)) => text.parse() == Ok(value),
            (Test::Contains(text), ValueRef::Float(value)) => text.parse() == Ok(value),
            (Test::Contains(text), ValueRef::Bool(value)) => text.parse() == Ok(value),
            (Test::Text(op, text), ValueRef::Text(value)) => op.holds(value, text.as_str()),
            (Test::Matches(regex), ValueRef::Text(value)) => regex.is_match(value),
            (Test::MatchesNot(regex), ValueRef::Text(value)) => !regex.is_match(value),
            (Test::Int(op, number), ValueRef::Int(value)) => op.holds(&value, number),
            (Test::Int(op, number), ValueRef::Float(value)) => op.holds(&value, &(*number as f64)),
            (Test::Float(op, number), ValueRef::Int(value)) => op.holds(&(value as f64), number),
            (Test::Float(op, number), ValueRef::Float(value)) => op.holds(&value, number),
            (Test::Bool(op, yes), ValueRef::Bool(value)) => op.holds(&value, yes),
            _ => false,
        }
    }
}

/// Returns whether `text` contains `part` in any case. `part` must be in lower case.
fn contains(text: &str, part: &str) -> bool {
    if part.is_empty() {
        return true;
    }
    if text.is_ascii() && part.is_ascii() {
        let mut windows = text.as_bytes().windows(part.len());
        return windows.any(|window| window.eq_ignore_ascii_case(part.as_bytes()));
    }
    text.to_lowercase().contains(part)
}

impl Expr {
    /// Returns whether `span` matches. It must belong to `trace`.
    pub(super) fn passes(&self, trace: &Trace, span: SpanRef<'_>) -> bool {
        match self {
            Expr::Always(yes) => *yes,
            Expr::And(a, b) => a.passes(trace, span) && b.passes(trace, span),
            Expr::Or(a, b) => a.passes(trace, span) || b.passes(trace, span),
            Expr::Test(field, test) => test.passes(field.of(trace, span)),
        }
    }

    /// Returns whether any span of the trace matches.
    pub(super) fn is_in(&self, trace: &Trace) -> bool {
        self.may_pass(trace) && trace.spans().any(|span| self.passes(trace, span))
    }

    /// Returns `false` if facts about the whole trace rule out that any of its spans matches. Otherwise the spans must
    /// be checked one by one.
    fn may_pass(&self, trace: &Trace) -> bool {
        match self {
            Expr::Always(yes) => *yes,
            Expr::And(a, b) => a.may_pass(trace) && b.may_pass(trace),
            Expr::Or(a, b) => a.may_pass(trace) || b.may_pass(trace),
            Expr::Test(
                Field::Duration,
                test @ Test::Int(CompareOp::Greater | CompareOp::GreaterOrEqual, _),
            ) => test.passes(Some(nanoseconds(trace.longest_ns))),
            Expr::Test(
                field @ (Field::RootName | Field::RootService | Field::TraceDuration),
                test,
            ) => test.passes(field.of_trace(trace)),
            Expr::Test(..) => true,
        }
    }

    /// The least duration, in nanoseconds, that a trace with a matching span has. The index holds the start and end of
    /// each trace, so a search passes over shorter traces without reading them.
    pub(super) fn shortest_ns(&self) -> u64 {
        match self {
            Expr::And(a, b) => a.shortest_ns().max(b.shortest_ns()),
            Expr::Or(a, b) => a.shortest_ns().min(b.shortest_ns()),
            Expr::Test(
                Field::TraceDuration,
                Test::Int(CompareOp::Equal | CompareOp::Greater | CompareOp::GreaterOrEqual, ns),
            ) => u64::try_from(*ns).unwrap_or(0),
            Expr::Always(_) | Expr::Test(..) => 0,
        }
    }

    /// The fields in the condition without duplicates.
    pub(super) fn fields(&self) -> Vec<&Field> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    /// Adds the fields in the condition that `found` does not contain yet.
    fn collect<'a>(&'a self, found: &mut Vec<&'a Field>) {
        match self {
            Expr::Always(_) => {}
            Expr::And(a, b) | Expr::Or(a, b) => {
                a.collect(found);
                b.collect(found);
            }
            Expr::Test(field, _) if found.contains(&field) => {}
            Expr::Test(field, _) => found.push(field),
        }
    }
}

#[cfg(test)]
mod tests;
