//! A trace as a tree of spans over time. It shows parents and children, and where the time went. Pure. It is computed
//! once per trace, and accepts any inconsistent parents.

pub(crate) mod draw;

use std::collections::HashMap;

use crate::clients::tempo::{Kind, Span, SpanEvent, Status, Trace};

/// Longest drawing of a span's place in the tree, in characters.
const MAX_STEM: usize = 16;

/// A span in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Index into the trace's spans.
    pub(crate) span: usize,
    /// Its place in the tree, drawn: `│ ├ `.
    pub(crate) stem: String,
    /// The span's own time, without that of its children, in nanoseconds.
    pub(crate) own_ns: u64,
}

/// A trace with its tree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Waterfall {
    pub(crate) trace: Trace,
    /// Parents before their parts, those that began first first.
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

    /// How many spans failed.
    pub(crate) fn failed(&self) -> usize {
        let failed = self.trace.spans.iter().filter(|span| is_failed(span));
        failed.count()
    }

    /// Whether a span's parent is in the trace: else it is the caller's, or was lost.
    pub(crate) fn holds(&self, id: &str) -> bool {
        self.trace.spans.iter().any(|span| span.id == id)
    }

    /// When it ended, in Unix milliseconds.
    pub(crate) fn end_ms(&self) -> i64 {
        let end = self.trace.start_ns.saturating_add(self.trace.duration_ns);
        i64::try_from(end / 1_000_000).unwrap_or(i64::MAX)
    }
}

/// Whether a span failed.
pub(crate) const fn is_failed(span: &Span) -> bool {
    matches!(span.status, Status::Error(_))
}

/// Whether an exception was thrown in a span, which may have been caught.
pub(crate) fn has_exception(span: &Span) -> bool {
    span.events.iter().any(SpanEvent::is_exception)
}

/// What a span was to its parent, in words.
pub(crate) const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Unspecified => "not told",
        Kind::Internal => "internal",
        Kind::Server => "server: answered a request",
        Kind::Client => "client: asked somebody else",
        Kind::Producer => "producer: sent a message",
        Kind::Consumer => "consumer: took a message",
    }
}

/// The spans without a parent here, and the parts of each.
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
    // Spans that are each other's parents have no root; they are shown from the first one on.
    for top in roots.iter().copied().chain(0..spans.len()) {
        let mut open = vec![(top, String::new(), String::new())];
        while let Some((at, stem, beneath)) = open.pop() {
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
                open.push((*part, grown(&beneath, own), grown(&beneath, below)));
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

/// Deep levels lose the leftmost part.
fn grown(stem: &str, by: &str) -> String {
    let all: Vec<char> = stem.chars().chain(by.chars()).collect();
    all[all.len().saturating_sub(MAX_STEM)..].iter().collect()
}

/// The part of a span's time that none of its parts covers; parts may overlap and outlast it.
fn own(spans: &[Span], at: usize, parts: &[usize]) -> u64 {
    let end_of = |span: &Span| span.offset_ns.saturating_add(span.duration_ns);
    let (begin, end) = (spans[at].offset_ns, end_of(&spans[at]));
    let mut covered_to = begin;
    let mut own = 0u64;
    // Spans come in the order of their beginnings, and so do the parts.
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
    fn spans_stand_under_their_parents_in_the_order_of_time() {
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
    fn the_time_went_where_no_part_covers_it() {
        let waterfall = waterfall(vec![
            span(1, None, 0, 100),
            // These two overlap: together they cover 10 to 90.
            span(2, Some(1), 10, 50),
            span(3, Some(1), 40, 50),
            // This one outlasts its parent, which does not make the parent's own time less.
            span(4, Some(3), 80, 50),
        ]);
        let own: Vec<u64> = waterfall.rows.iter().map(|row| row.own_ns).collect();
        assert_eq!(own, [20, 50, 40, 50]);
        assert_eq!(waterfall.waited, Some(1), "of equals the first");
    }

    #[test]
    fn a_trace_without_any_time_has_no_place_where_it_went() {
        assert_eq!(waterfall(vec![span(1, None, 0, 0)]).waited, None);
        assert_eq!(waterfall(vec![]).waited, None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_parents_are_each_span_is_shown_once_and_has_at_most_its_own_time(
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
