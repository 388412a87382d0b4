//! The responses to searches and to lists of names and values, in Tempo's format.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::TempoError;
use super::index::Scope;
use super::otlp::json_pair;
use super::params::Bounds;
use super::search::{Cost, Deadline, Search, What};
use super::store::TempoStore;
use super::trace::{SpanRef, Trace, ValueRef};
use super::traceql::{Expr, Field};

/// The intrinsic fields of a span, which are not attributes.
pub(super) const INTRINSICS: [&str; 16] = [
    "duration",
    "kind",
    "name",
    "rootName",
    "rootServiceName",
    "span:duration",
    "span:kind",
    "span:name",
    "span:status",
    "span:statusMessage",
    "status",
    "statusMessage",
    "trace:duration",
    "trace:rootName",
    "trace:rootService",
    "traceDuration",
];

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SearchAnswer {
    traces: Vec<Found>,
    metrics: Metrics,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    inspected_traces: usize,
    inspected_bytes: String,
    completed_jobs: u32,
    total_jobs: u32,
}

impl Metrics {
    fn new(cost: Cost) -> Metrics {
        Metrics {
            inspected_traces: cost.traces,
            inspected_bytes: cost.bytes.to_string(),
            completed_jobs: 1,
            total_jobs: 1,
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    #[serde(rename = "traceID")]
    trace_id: String,
    root_service_name: &'static str,
    root_trace_name: String,
    start_time_unix_nano: String,
    duration_ms: u64,
    /// The first of the sets, for clients that read only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    span_set: Option<SpanSet>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    span_sets: Vec<SpanSet>,
    service_stats: BTreeMap<&'static str, ServiceStats>,
}

#[derive(Debug, Clone, Serialize)]
struct SpanSet {
    spans: Vec<FoundSpan>,
    matched: usize,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundSpan {
    #[serde(rename = "spanID")]
    span_id: String,
    name: String,
    start_time_unix_nano: String,
    duration_nanos: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<Json>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceStats {
    span_count: usize,
    #[serde(skip_serializing_if = "is_zero")]
    error_count: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Runs a search.
pub(super) fn search(
    store: &TempoStore,
    search: &Search,
    bounds: Bounds,
    deadline: Deadline,
) -> Result<SearchAnswer, TempoError> {
    let mut traces = Vec::new();
    let cost = search.run(store, deadline, |trace| {
        traces.push(found(search, trace, bounds.spans));
        traces.len() < bounds.traces
    })?;
    Ok(SearchAnswer {
        traces,
        metrics: Metrics::new(cost),
    })
}

fn found(search: &Search, trace: &Trace, max_spans: usize) -> Found {
    let root = trace.root();
    let set = match &search.what {
        What::Tags(_) => None,
        What::Query(expr) => Some(span_set(search, expr, trace, max_spans)),
    };
    let mut service_stats: BTreeMap<&'static str, ServiceStats> = BTreeMap::new();
    for span in trace.spans() {
        let stats = service_stats.entry(span.record.service_name).or_default();
        stats.span_count += 1;
        stats.error_count += usize::from(span.span.error.is_some());
    }
    Found {
        trace_id: format!("{:032x}", trace.id),
        root_service_name: root.record.service_name,
        root_trace_name: root.span.name.clone().into_owned(),
        start_time_unix_nano: trace.start_ns.to_string(),
        duration_ms: trace.duration_ns() / 1_000_000,
        span_sets: set.clone().into_iter().collect(),
        span_set: set,
        service_stats,
    }
}

fn span_set(search: &Search, expr: &Expr, trace: &Trace, max_spans: usize) -> SpanSet {
    let fields = expr.fields();
    let mut set = SpanSet {
        spans: Vec::new(),
        matched: 0,
    };
    for span in search.spans(trace) {
        set.matched += 1;
        if set.spans.len() < max_spans {
            set.spans.push(found_span(trace, span, &fields));
        }
    }
    set
}

/// A span, and those fields of the query that have no other place in the response.
fn found_span(trace: &Trace, span: SpanRef<'_>, fields: &[&Field]) -> FoundSpan {
    let attributes = fields.iter().filter_map(|field| {
        let name = match field {
            Field::Either(name) | Field::Span(name) | Field::Resource(name) => name.as_str(),
            Field::Kind => "kind",
            Field::Status => "status",
            Field::StatusMessage => "statusMessage",
            _ => return None,
        };
        Some(json_pair(name, field.of(trace, span)?))
    });
    FoundSpan {
        attributes: attributes.collect(),
        span_id: format!("{:016x}", span.span.span_id),
        name: span.span.name.clone().into_owned(),
        start_time_unix_nano: span.span.start_ns.to_string(),
        duration_nanos: span.span.duration_ns.to_string(),
    }
}

/// Names by scope: resource, span, intrinsic. An empty scope selects all of them.
pub(super) fn names(
    store: &TempoStore,
    scope: &str,
) -> Result<Vec<(&'static str, Vec<&'static str>)>, TempoError> {
    let inner = store.read();
    let resource = || ("resource", inner.index.names(Scope::Resource));
    let span = || ("span", inner.index.names(Scope::Span));
    let intrinsic = || ("intrinsic", INTRINSICS.to_vec());
    Ok(match scope {
        "" | "none" => vec![resource(), span(), intrinsic()],
        "resource" => vec![resource()],
        "span" => vec![span()],
        "intrinsic" => vec![intrinsic()],
        // These scopes belong to the language, but no span has them here.
        "event" | "link" | "instrumentation" => Vec::new(),
        other => return Err(TempoError::refused(format!("invalid scope: {other}"))),
    })
}

/// The values of a field, sorted, with their text and their type in TraceQL. With a query, only the values of
/// matching spans.
pub(super) fn values(
    store: &TempoStore,
    field: &Field,
    query: Option<Expr>,
    max: usize,
    deadline: Deadline,
) -> Result<BTreeSet<(&'static str, String)>, TempoError> {
    let mut found = BTreeSet::new();
    let mut add = |value: ValueRef<'_>| {
        if found.len() < max {
            found.insert(typed(field, value));
        }
        found.len() < max
    };
    let indexed: &[(Scope, &str)] = match field {
        Field::Either(name) => &[(Scope::Span, name), (Scope::Resource, name)],
        Field::Span(name) => &[(Scope::Span, name)],
        Field::Resource(name) => &[(Scope::Resource, name)],
        Field::Name => &[(Scope::Intrinsic, "name")],
        Field::Status => &[(Scope::Intrinsic, "status")],
        Field::Kind => &[(Scope::Intrinsic, "kind")],
        // Tempo does not list durations either, because nearly every span has a different one.
        Field::Duration | Field::TraceDuration => return Ok(found),
        Field::StatusMessage | Field::RootName | Field::RootService => &[],
    };
    if query.is_none() && !indexed.is_empty() {
        let inner = store.read();
        let values = indexed
            .iter()
            .filter_map(|(scope, name)| inner.index.values(*scope, name));
        let _enough = values.flat_map(super::index::Values::iter).all(&mut add);
        return Ok(found);
    }
    let search = Search::of_query(query.unwrap_or(Expr::Always(true)));
    search.run(store, deadline, |trace| {
        search
            .spans(trace)
            .filter_map(|span| field.of(trace, span))
            .all(&mut add)
    })?;
    Ok(found)
}

fn typed(field: &Field, value: ValueRef<'_>) -> (&'static str, String) {
    match value {
        ValueRef::Text(text) if field.keywords().is_some() => ("keyword", text.to_owned()),
        ValueRef::Text(text) => ("string", text.to_owned()),
        ValueRef::Int(number) => ("int", number.to_string()),
        ValueRef::Float(number) => ("float", number.to_string()),
        ValueRef::Bool(yes) => ("bool", yes.to_string()),
    }
}

/// The response with names in the first version of the API.
pub(super) fn names_v1(scopes: &[(&'static str, Vec<&'static str>)]) -> Json {
    let names: BTreeSet<_> = scopes.iter().flat_map(|(_, names)| names).collect();
    json!({ "tagNames": names, "metrics": {} })
}

/// The response with names in the second version of the API.
pub(super) fn names_v2(scopes: &[(&'static str, Vec<&'static str>)]) -> Json {
    let scopes: Json = scopes
        .iter()
        .map(|(name, tags)| json!({ "name": name, "tags": tags }))
        .collect();
    json!({ "scopes": scopes, "metrics": {} })
}
