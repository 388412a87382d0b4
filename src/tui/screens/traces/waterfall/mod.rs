//! A trace as a tree of spans, with the own time of each. Pure. It is computed once per trace. Parents that are
//! missing or inconsistent are allowed.

pub(crate) mod draw;

use std::collections::HashMap;

use crate::clients::tempo::{Kind, Span, SpanEvent, Status, Trace};

/// The longest stem, in characters.
const MAX_STEM: usize = 16;

/// A row of the waterfall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Index into the trace's spans.
    pub(crate) span: usize,
    /// The lines of the tree before the span: `│ ├ `.
    pub(crate) stem: String,
    /// The span's own time, without that of its children, in nanoseconds.
    pub(crate) own_ns: u64,
}

/// A trace with its tree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Waterfall {
    pub(crate) trace: Trace,
    /// The rows: parents before their children, siblings in the order of their start.
    pub(crate) rows: Vec<Row>,
    /// The row with the most own time.
    pub(crate) waited: Option<usize>,
    /// The services that took part, in the order of their first spans.
    pub(crate) services: Vec<String>,
}

impl Waterfall {
    pub(crate) fn of(trace: Trace) -> Waterfall {
        let (roots, parts) = tree(&trace.spans);
        let rows = rows(&trace.spans, &roots, &parts);
        let mut services: Vec<String> = Vec::new();
        for span in &trace.spans {
            if !services.contains(&span.service) {
                services.push(span.service.clone());
            }
        }
        let most = rows.iter().map(|row| row.own_ns).max();
        let most = most.filter(|most| *most > 0);
        Waterfall {
            waited: most.and_then(|most| rows.iter().position(|row| row.own_ns == most)),
            trace,
            rows,
            services,
        }
    }

    /// The span of a row.
    pub(crate) fn span(&self, row: usize) -> Option<&Span> {
        self.trace.spans.get(self.rows.get(row)?.span)
    }

    /// The number of failed spans.
    pub(crate) fn failed(&self) -> usize {
        let failed = self.trace.spans.iter().filter(|span| is_failed(span));
        failed.count()
    }

    /// Returns whether the trace has a span with this id. A parent that is missing belongs to the caller or was lost.
    pub(crate) fn holds(&self, id: &str) -> bool {
        self.trace.spans.iter().any(|span| span.id == id)
    }

    /// The end of the trace, in Unix milliseconds.
    pub(crate) fn end_ms(&self) -> i64 {
        let end = self.trace.start_ns.saturating_add(self.trace.duration_ns);
        i64::try_from(end / 1_000_000).unwrap_or(i64::MAX)
    }
}

/// Returns whether a span failed.
pub(crate) const fn is_failed(span: &Span) -> bool {
    matches!(span.status, Status::Error(_))
}

/// Returns whether an exception was thrown in the span; it may have been caught.
pub(crate) fn has_exception(span: &Span) -> bool {
    span.events.iter().any(SpanEvent::is_exception)
}

/// The kind of a span in words.
pub(crate) const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Unspecified => "unspecified",
        Kind::Internal => "internal",
        Kind::Server => "server: answered a request",
        Kind::Client => "client: sent a request",
        Kind::Producer => "producer: sent a message",
        Kind::Consumer => "consumer: took a message",
    }
}

/// The spans without a parent in the trace, and the children of each span.
fn tree(spans: &[Span]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (at, span) in spans.iter().enumerate() {
        places.entry(&span.id).or_insert(at);
    }
    let mut parts = vec![Vec::new(); spans.len()];
    let mut roots = Vec::new();
    for (at, span) in spans.iter().enumerate() {
        let parent = span.parent.as_deref().and_then(|id| places.get(id));
        match parent {
            Some(parent) if *parent != at => parts[*parent].push(at),
            _ => roots.push(at),
        }
    }
    (roots, parts)
}

fn rows(spans: &[Span], roots: &[usize], parts: &[Vec<usize>]) -> Vec<Row> {
    let mut rows = Vec::with_capacity(spans.len());
    let mut seen = vec![false; spans.len()];
    // Spans in a cycle have no root: the first one stands for it.
    for top in roots.iter().copied().chain(0..spans.len()) {
        let mut open = vec![(top, String::new(), String::new())];
        while let Some((at, stem, indent)) = open.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            let mut left: Vec<_> = parts[at].iter().filter(|part| !seen[**part]).collect();
            left.reverse();
            for (place, part) in left.into_iter().enumerate() {
                let (own, below) = if place == 0 {
                    ("└ ", "  ")
                } else {
                    ("├ ", "│ ")
                };
                open.push((*part, grown(&indent, own), grown(&indent, below)));
            }
            rows.push(Row {
                span: at,
                stem,
                own_ns: own(spans, at, &parts[at]),
            });
        }
    }
    rows
}

/// The stem one level deeper. At [`MAX_STEM`] its left part is cut.
fn grown(stem: &str, by: &str) -> String {
    let all: Vec<char> = stem.chars().chain(by.chars()).collect();
    all[all.len().saturating_sub(MAX_STEM)..].iter().collect()
}

/// The time of a span that none of its children covers. Children may overlap and outlast the span.
fn own(spans: &[Span], at: usize, parts: &[usize]) -> u64 {
    let end_of = |span: &Span| span.offset_ns.saturating_add(span.duration_ns);
    let (begin, end) = (spans[at].offset_ns, end_of(&spans[at]));
    let mut covered_to = begin;
    let mut own = 0u64;
    // Children are in the order of their start, as the spans are.
    for part in parts.iter().map(|part| &spans[*part]) {
        let from = part.offset_ns.clamp(begin, end);
        own = own.saturating_add(from.saturating_sub(covered_to));
        covered_to = covered_to.max(end_of(part).clamp(begin, end));
    }
    own.saturating_add(end.saturating_sub(covered_to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u8, parent: Option<u8>, from: u64, took: u64) -> Span {
        Span {
            id: format!("{id:016x}"),
            parent: parent.map(|id| format!("{id:016x}")),
            service: "api".into(),
            name: format!("s{id}"),
            kind: Kind::Internal,
            offset_ns: from,
            duration_ns: took,
            status: Status::Unset,
            attributes: Default::default(),
            events: Vec::new(),
            more_events: 0,
        }
    }

    fn waterfall(mut spans: Vec<Span>) -> Waterfall {
        spans.sort_by_key(|span| span.offset_ns);
        Waterfall::of(Trace {
            id: "0".repeat(32),
            start_ns: 0,
            duration_ns: 100,
            spans,
        })
    }

    fn drawn(waterfall: &Waterfall) -> Vec<String> {
        let rows = waterfall.rows.iter();
        rows.map(|row| format!("{}{}", row.stem, waterfall.trace.spans[row.span].name))
            .collect()
    }

    #[test]
    fn spans_are_below_their_parents_in_the_order_of_their_start() {
        let waterfall = waterfall(vec![
            span(1, Some(99), 0, 100),
            span(2, Some(1), 10, 20),
            span(3, Some(2), 12, 5),
            span(4, Some(2), 18, 5),
            span(5, Some(1), 40, 50),
            span(6, Some(5), 41, 1),
        ]);
        assert_eq!(
            drawn(&waterfall),
            ["s1", "├ s2", "│ ├ s3", "│ └ s4", "└ s5", "  └ s6"]
        );
        assert!(!waterfall.holds(&format!("{:016x}", 99)), "a remote parent");
    }

    #[test]
    fn own_time_is_the_time_that_no_child_covers() {
        let waterfall = waterfall(vec![
            span(1, None, 0, 100),
            // These two overlap: together they cover 10 to 90.
            span(2, Some(1), 10, 50),
            span(3, Some(1), 40, 50),
            // This one outlasts its parent; the excess does not reduce the parent's own time.
            span(4, Some(3), 80, 50),
        ]);
        let own: Vec<u64> = waterfall.rows.iter().map(|row| row.own_ns).collect();
        assert_eq!(own, [20, 50, 40, 50]);
        assert_eq!(waterfall.waited, Some(1), "of equals the first");
    }

    #[test]
    fn a_trace_without_duration_has_no_span_that_waited() {
        assert_eq!(waterfall(vec![span(1, None, 0, 0)]).waited, None);
        assert_eq!(waterfall(vec![]).waited, None);
    }

    proptest::proptest! {
        #[test]
        fn any_parents_give_each_span_once_with_at_most_its_duration_as_own_time(
            spans in proptest::collection::vec((0u8..12, proptest::option::of(0u8..14), 0u64..100, 0u64..100), 0..40)
        ) {
            let spans: Vec<_> = spans.into_iter().map(|(id, parent, from, took)| span(id, parent, from, took)).collect();
            let waterfall = waterfall(spans);
            let mut shown: Vec<_> = waterfall.rows.iter().map(|row| row.span).collect();
            shown.sort_unstable();
            proptest::prop_assert_eq!(shown, (0..waterfall.trace.spans.len()).collect::<Vec<_>>());
            for row in &waterfall.rows {
                proptest::prop_assert!(row.own_ns <= waterfall.trace.spans[row.span].duration_ns);
                proptest::prop_assert!(row.stem.chars().count() <= MAX_STEM);
            }
        }
    }
}
