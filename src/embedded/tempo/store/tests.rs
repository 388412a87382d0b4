use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::search::{Deadline, Search, What};
use super::super::traceql::parse;
use super::*;
use crate::telemetry::{SpanKind, SpanRecord, Value};

const SECOND: u64 = 1_000_000_000;

fn record(id: u128, start_ns: u64, attributes: Vec<(&'static str, Value)>) -> Arc<TraceRecord> {
    let span = SpanRecord {
        name: "GET /queue".into(),
        kind: SpanKind::Server,
        span_id: 1,
        parent_span_id: None,
        start_ns,
        duration_ns: 1_000_000,
        attributes,
        error: None,
    };
    Arc::new(TraceRecord {
        trace_id: id,
        service_name: "concertctl-api",
        instance: None,
        spans: vec![span],
    })
}

fn found(store: &TempoStore, search: &Search) -> Vec<u128> {
    let mut ids = Vec::new();
    let deadline = Deadline::new(Instant::now(), Duration::from_secs(60));
    let all = |trace: &Arc<Trace>| {
        ids.push(trace.id);
        true
    };
    search.run(store, deadline, all).unwrap();
    ids
}

fn query(store: &TempoStore, query: &str) -> Vec<u128> {
    found(store, &Search::of_query(parse(query).unwrap()))
}

#[test]
fn the_oldest_fall_off_when_memory_is_full_and_their_places_in_the_index_too() {
    let store = TempoStore::new(TempoConfig {
        max_bytes: 200_000,
        ..TempoConfig::default()
    });
    let now = now_ns();
    for id in 1..=2_000u64 {
        let user = Value::Text(format!("user-{id}").into());
        let attributes = vec![("user.id", user), ("n", Value::Int(id.cast_signed() % 7))];
        store.push(&record(id.into(), now + id, attributes));
        assert!(store.stats().bytes <= 200_000, "{:?}", store.stats());
    }
    let stats = store.stats();
    assert!(stats.traces > 50, "{stats:?}");
    assert_eq!(stats.traces as u64 + stats.evicted, 2_000);
    assert_eq!(stats.spans, stats.traces);
    let kept = query(&store, "{}");
    assert_eq!(kept.len(), stats.traces);
    assert_eq!(kept.first(), Some(&2_000));
    assert!(store.trace(1).is_none() && query(&store, "{ .user.id = \"user-1\" }").is_empty());
    assert_eq!(query(&store, "{ .user.id = \"user-2000\" }"), [2_000]);
    let inner = store.read();
    let values = inner
        .index
        .values(super::super::index::Scope::Span, "user.id");
    assert_eq!(values.unwrap().iter().count(), stats.traces);
}

#[test]
fn the_memory_of_the_index_counts_against_the_budget() {
    let bytes_with = |value: fn(u64) -> u64| {
        let store = TempoStore::new(TempoConfig::default());
        for id in 1..=100 {
            let value = Value::Int(value(id).cast_signed());
            store.push(&record(id.into(), now_ns(), vec![("n", value)]));
        }
        store.stats().bytes
    };
    // The records have the same size in both cases.
    let (same, different) = (bytes_with(|_| 1), bytes_with(|id| id));
    assert!(different >= same + 99 * 100, "{same} {different}");
}

#[test]
fn an_emptied_store_counts_no_bytes() {
    let store = TempoStore::new(TempoConfig::default());
    for id in 1..=500u128 {
        let attributes = vec![
            ("a", Value::Text(format!("{id}").into())),
            ("b", Value::Float(0.1)),
            ("c", Value::Bool(true)),
        ];
        store.push(&record(id, now_ns(), attributes.clone()));
        // The second record belongs to a trace that is not the last one.
        store.push(&record(id / 2 + 1, now_ns(), attributes));
    }
    assert!(store.stats().bytes > 500 * 200);
    let mut inner = store.inner.write();
    while !inner.rows.is_empty() {
        inner.drop_oldest();
    }
    assert_eq!(
        (inner.total_bytes(), inner.spans, inner.by_id.len()),
        (0, 0, 0)
    );
}

/// Values beyond the limit share one list, and searches still find them.
#[test]
fn more_values_than_the_index_tells_apart_are_found_all_the_same() {
    let store = TempoStore::new(TempoConfig::default());
    let now = now_ns();
    for id in 1..=20_050u64 {
        let user = vec![
            ("user.id", Value::Int(id.cast_signed())),
            ("user.name", Value::Text(format!("u{id}").into())),
        ];
        store.push(&record(id.into(), now, user));
    }
    for id in [1, 20_000, 20_001, 20_050] {
        assert_eq!(query(&store, &format!("{{ .user.id = {id} }}")), [id]);
        assert_eq!(
            query(&store, &format!("{{ .user.name = \"u{id}\" }}")),
            [id]
        );
    }
    let both = query(&store, "{ .user.id > 20048 || .user.id < 2 }");
    assert_eq!(both.len(), 3, "{both:?}");
    let mut inner = store.inner.write();
    let values = inner
        .index
        .values(super::super::index::Scope::Span, "user.id");
    assert_eq!(values.unwrap().iter().count(), 20_000);
    while !inner.rows.is_empty() {
        inner.drop_oldest();
    }
    assert_eq!(inner.total_bytes(), 0);
}

#[test]
fn old_traces_are_dropped_and_a_span_from_the_future_ages_no_other() {
    let store = TempoStore::new(TempoConfig {
        retention: Duration::from_secs(60),
        ..TempoConfig::default()
    });
    let now = now_ns();
    store.push(&record(1, now - 120 * SECOND, vec![]));
    store.push(&record(2, now - 30 * SECOND, vec![]));
    store.push(&record(3, now + 86_400 * SECOND, vec![]));
    assert_eq!(query(&store, "{}"), [3, 2]);
}

#[test]
fn records_of_one_trace_are_one_trace_and_its_spans_are_bounded() {
    let store = TempoStore::new(TempoConfig {
        max_spans_per_trace: 3,
        ..TempoConfig::default()
    });
    store.push(&record(1, now_ns(), vec![("a", Value::Int(1))]));
    store.push(&record(2, now_ns(), vec![("a", Value::Int(1))]));
    store.push(&record(1, now_ns(), vec![("a", Value::Int(2))]));
    assert_eq!(store.stats().traces, 2);
    assert_eq!(query(&store, "{ .a = 2 }"), [1]);
    let mut both = query(&store, "{ .a = 1 }");
    both.sort_unstable();
    assert_eq!(both, [1, 2]);
    for _ in 0..10 {
        store.push(&record(1, now_ns(), vec![]));
    }
    let empty = TraceRecord {
        spans: vec![],
        ..(*record(3, 0, vec![])).clone()
    };
    store.push(&Arc::new(empty));
    let stats = store.stats();
    assert_eq!((stats.traces, stats.spans, stats.refused), (2, 4, 10));
}

#[test]
fn a_record_larger_than_the_store_is_not_kept_and_breaks_nothing() {
    let store = TempoStore::new(TempoConfig {
        max_bytes: 10_000,
        ..TempoConfig::default()
    });
    let large = Value::Text("x".repeat(20_000).into());
    store.push(&record(1, now_ns(), vec![("a", large)]));
    assert_eq!((store.stats().traces, store.stats().bytes), (0, 0));
    store.push(&record(2, now_ns(), vec![]));
    assert_eq!(query(&store, "{}"), [2]);
}

#[tokio::test]
async fn published_traces_are_kept() {
    let traces = crate::telemetry::Traces::new(crate::telemetry::TraceConfig::default());
    let store = Arc::new(TempoStore::new(TempoConfig::default()));
    let ingest = tokio::spawn(Arc::clone(&store).ingest(traces.subscribe(1_000)));
    for id in 1..=100 {
        traces.publish((*record(id, now_ns(), vec![])).clone());
    }
    // This ends the subscription, because no sender is left.
    drop(traces);
    tokio::time::timeout(Duration::from_secs(20), ingest)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(store.stats().traces, 100);
}

/// The value of an attribute. The range is small, so that values repeat.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0i64..4).prop_map(Value::Int),
        prop_oneof![Just("x"), Just("y"), Just("xy")].prop_map(|text| Value::Text(text.into())),
        Just(Value::Float(1.5)),
        Just(Value::Float(f64::NAN)),
        any::<bool>().prop_map(Value::Bool),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    let test = prop_oneof![
        (0i64..4).prop_map(|n| format!("= {n}")),
        (0i64..4).prop_map(|n| format!(">= {n}")),
        (0i64..4).prop_map(|n| format!("!= {n}")),
        Just("= \"x\"".to_owned()),
        Just("!= \"x\"".to_owned()),
        Just("=~ \".*y\"".to_owned()),
        Just("!~ \"x.*\"".to_owned()),
        Just("< 1.6".to_owned()),
        Just("= true".to_owned()),
        Just("= nil".to_owned()),
        Just("!= nil".to_owned()),
    ];
    let field = prop_oneof![
        Just(".a"),
        Just("span.a"),
        Just("span.b"),
        Just("resource.a"),
        Just(".service.name"),
    ];
    let leaf = prop_oneof![
        4 => (field, test).prop_map(|(field, test)| format!("{field} {test}")),
        1 => Just("duration > 500us".to_owned()),
        1 => Just("kind = server".to_owned()),
        1 => Just("false".to_owned()),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        (inner.clone(), inner, any::<bool>())
            .prop_map(|(a, b, and)| format!("({a}) {} ({b})", if and { "&&" } else { "||" }))
    })
}

proptest! {
    /// The index may name too many traces, but never too few.
    #[test]
    fn a_search_finds_what_a_look_at_every_span_finds(
        spans in proptest::collection::vec((1u128..20, proptest::option::of(value()), proptest::option::of(value())), 0..40),
        condition in condition(),
    ) {
        let store = TempoStore::new(TempoConfig::default());
        let now = now_ns();
        for (id, a, b) in spans {
            let a = a.map(|value| ("a", value));
            let b = b.map(|value| ("b", value));
            store.push(&record(id, now, a.into_iter().chain(b).collect()));
        }
        let expr = parse(&format!("{{ {condition} }}")).unwrap();
        let mut expected: Vec<u128> = store.read().rows()
            .map(|(_, row)| Arc::clone(&row.trace))
            .filter(|trace| trace.spans().any(|span| expr.passes(trace, span)))
            .map(|trace| trace.id)
            .collect();
        let mut ids = found(&store, &Search::of_query(expr));
        expected.sort_unstable();
        ids.sort_unstable();
        prop_assert_eq!(ids, expected);
    }

    #[test]
    fn a_search_by_tags_finds_what_a_look_at_every_trace_finds(
        spans in proptest::collection::vec((1u128..20, proptest::option::of(value()), proptest::option::of(value())), 0..40),
        tags in prop_oneof![Just("a=x"), Just("a=1 b=Y"), Just("b=true"), Just("a"), Just("name=queue a=1.5"), Just("service.name=API b=x"), Just("status=unset")],
    ) {
        let store = TempoStore::new(TempoConfig::default());
        for (id, a, b) in spans {
            let a = a.map(|value| ("a", value));
            let b = b.map(|value| ("b", value));
            store.push(&record(id, now_ns(), a.into_iter().chain(b).collect()));
        }
        let tags = super::super::tags::parse(tags).unwrap();
        let mut expected: Vec<u128> = store.read().rows()
            .map(|(_, row)| Arc::clone(&row.trace))
            .filter(|trace| tags.iter().all(|tag| tag.is_in(trace)))
            .map(|trace| trace.id)
            .collect();
        let search = Search { what: What::Tags(tags), ..Search::of_query(parse("{}").unwrap()) };
        let mut ids = found(&store, &search);
        expected.sort_unstable();
        ids.sort_unstable();
        prop_assert_eq!(ids, expected);
    }
}
