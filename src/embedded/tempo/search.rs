//! A search. The index first names the traces that may match. Then the search checks each of them, the newest first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::TempoError;
use super::index::{Index, Scope, intersect, merge};
use super::store::TempoStore;
use super::trace::{SpanRef, Trace};
use super::traceql::{Expr, Field, Test};
use crate::embedded::compare::CompareOp;

/// The number of traces that are taken from the store at once.
const BATCH: usize = 256;

/// A parsed search request.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) what: What,
    /// Nanoseconds. A trace matches if any part of it lies within the window.
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
    /// The shortest duration of the trace, in nanoseconds.
    pub(super) shortest_ns: u64,
    pub(super) longest_ns: u64,
}

#[derive(Debug)]
pub(super) enum What {
    /// Some span of the trace must match each condition.
    Tags(Vec<Expr>),
    Query(Expr),
}

/// The time at which a search stops.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    started: Instant,
    timeout: Duration,
}

impl Deadline {
    pub(super) fn new(started: Instant, timeout: Duration) -> Deadline {
        Deadline { started, timeout }
    }

    pub(super) fn check(self) -> Result<(), TempoError> {
        if self.started.elapsed() > self.timeout {
            return Err(TempoError::timed_out(self.timeout));
        }
        Ok(())
    }
}

/// The cost of a search.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) traces: usize,
    pub(super) bytes: usize,
}

impl Search {
    /// A search by a query, without limits on time and duration.
    pub(super) fn of_query(expr: Expr) -> Search {
        Search {
            what: What::Query(expr),
            from_ns: 0,
            to_ns: u64::MAX,
            shortest_ns: 0,
            longest_ns: u64::MAX,
        }
    }

    /// Calls `found` with each matching trace, the newest first, until `found` returns false.
    pub(super) fn run(
        &self,
        store: &TempoStore,
        deadline: Deadline,
        mut found: impl FnMut(&Arc<Trace>) -> bool,
    ) -> Result<Cost, TempoError> {
        let mut cost = Cost::default();
        let numbers = self.numbers(store);
        for batch in numbers.chunks(BATCH) {
            deadline.check()?;
            for trace in store.traces(batch) {
                cost.traces += 1;
                cost.bytes += trace.bytes;
                if self.matches(&trace) && !found(&trace) {
                    return Ok(cost);
                }
            }
        }
        Ok(cost)
    }

    /// The numbers of the traces that may match, the latest start first.
    fn numbers(&self, store: &TempoStore) -> Vec<u64> {
        let inner = store.read();
        let candidates = match &self.what {
            What::Tags(tags) => {
                let lists = tags.iter().filter_map(|tag| candidates(tag, &inner.index));
                lists.reduce(|a, b| intersect(&a, &b))
            }
            What::Query(expr) => candidates(expr, &inner.index),
        };
        let in_time = |start_ns: u64, end_ns: u64| {
            let duration = end_ns.saturating_sub(start_ns);
            (self.shortest_ns..=self.longest_ns).contains(&duration)
                && start_ns <= self.to_ns
                && end_ns >= self.from_ns
        };
        let mut by_start: Vec<(u64, u64)> = match candidates {
            None => inner
                .rows()
                .filter(|(_, row)| in_time(row.start_ns, row.end_ns))
                .map(|(seq, row)| (row.start_ns, seq))
                .collect(),
            Some(numbers) => numbers
                .into_iter()
                .filter_map(|seq| {
                    let row = inner.row(seq)?;
                    in_time(row.start_ns, row.end_ns).then_some((row.start_ns, seq))
                })
                .collect(),
        };
        drop(inner);
        // The list is almost sorted already, which makes this stable sort fast: traces arrive almost in the order of their start.
        by_start.sort();
        by_start.into_iter().rev().map(|(_, seq)| seq).collect()
    }

    fn matches(&self, trace: &Trace) -> bool {
        match &self.what {
            What::Tags(tags) => tags.iter().all(|tag| tag.is_in(trace)),
            What::Query(expr) => expr.is_in(trace),
        }
    }

    /// The matching spans of a found trace. A search by tags matches traces and not spans.
    pub(super) fn spans<'a>(&'a self, trace: &'a Trace) -> impl Iterator<Item = SpanRef<'a>> {
        trace.spans().filter(|span| match &self.what {
            What::Tags(_) => false,
            What::Query(expr) => expr.passes(trace, *span),
        })
    }
}

/// The numbers of the traces that may contain a matching span. `None` when any trace may.
fn candidates(expr: &Expr, index: &Index) -> Option<Vec<u64>> {
    match expr {
        Expr::Always(true) => None,
        Expr::Always(false) => Some(Vec::new()),
        Expr::And(a, b) => match (candidates(a, index), candidates(b, index)) {
            (Some(a), Some(b)) => Some(intersect(&a, &b)),
            (a, b) => a.or(b),
        },
        Expr::Or(a, b) => Some(merge(candidates(a, index)?, &candidates(b, index)?)),
        Expr::Test(field, test) => of_test(field, test, index),
    }
}

fn of_test(field: &Field, test: &Test, index: &Index) -> Option<Vec<u64>> {
    // A span can lack an attribute that another span of its trace has.
    if matches!(test, Test::Absent) {
        return None;
    }
    let within = |scope, name: &str| {
        let Some(values) = index.values(scope, name) else {
            return Vec::new();
        };
        match test {
            Test::Text(CompareOp::Equal, text) => values.with_text(text),
            test => values.passing(|value| test.passes(Some(value))),
        }
    };
    Some(match field {
        Field::Either(name) => merge(within(Scope::Span, name), &within(Scope::Resource, name)),
        Field::Span(name) => within(Scope::Span, name),
        Field::Resource(name) => within(Scope::Resource, name),
        Field::Name => within(Scope::Intrinsic, "name"),
        Field::Kind => within(Scope::Intrinsic, "kind"),
        Field::Status => within(Scope::Intrinsic, "status"),
        // Only a failed span has a status message.
        Field::StatusMessage => index.values(Scope::Intrinsic, "status")?.with_text("error"),
        Field::Duration | Field::RootName | Field::RootService | Field::TraceDuration => {
            return None;
        }
    })
}
