//! Parses Tempo's JSON in the spelling of either version.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use super::{Found, FoundTrace, Kind, Span, SpanEvent, Status, Trace};
use crate::clients::http::ClientError;

/// The largest number of spans that are read of one trace.
const MAX_SPANS: usize = 20_000;
/// The largest number of events that are read of one span. Further events are counted.
const MAX_EVENTS: usize = 100;

#[derive(Deserialize)]
pub(super) struct SearchAnswer {
    /// Tempo leaves this out when there are no traces. Other servers send `null`.
    traces: Option<Vec<FoundJson>>,
    #[serde(default)]
    metrics: MetricsJson,
}

/// The part of the store that a search has read.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct MetricsJson {
    #[serde(deserialize_with = "number")]
    completed_jobs: u64,
    #[serde(deserialize_with = "number")]
    total_jobs: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(super) struct FoundJson {
    #[serde(rename = "traceID")]
    trace_id: String,
    root_service_name: String,
    root_trace_name: String,
    #[serde(deserialize_with = "number")]
    start_time_unix_nano: u64,
    #[serde(deserialize_with = "number")]
    duration_ms: u64,
    service_stats: Option<BTreeMap<String, StatsJson>>,
    span_sets: Vec<SpanSetJson>,
    /// Older versions have only this one.
    span_set: Option<SpanSetJson>,
}

/// Spans that match the query.
#[derive(Deserialize, Default)]
#[serde(default)]
struct SpanSetJson {
    #[serde(deserialize_with = "number")]
    matched: u64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct StatsJson {
    #[serde(deserialize_with = "number")]
    error_count: u64,
}

/// The found traces, the newest first. With `failed`, the search was for failed spans, so each match is one.
pub(super) fn found(answer: SearchAnswer, failed: bool) -> Result<Found, ClientError> {
    let is_whole = answer.metrics.completed_jobs >= answer.metrics.total_jobs;
    let traces = answer.traces.unwrap_or_default().into_iter();
    let traces = traces.map(|json| found_trace(json, failed));
    let mut traces = traces.collect::<Result<Vec<_>, _>>()?;
    traces.sort_by_key(|trace| std::cmp::Reverse(trace.start_ns));
    Ok(Found { traces, is_whole })
}

fn found_trace(json: FoundJson, failed: bool) -> Result<FoundTrace, ClientError> {
    let errors = |stats: BTreeMap<String, StatsJson>| {
        let counts = stats.values().map(|it| it.error_count);
        counts.fold(0u64, u64::saturating_add)
    };
    let matched = match (&json.span_sets[..], &json.span_set) {
        ([], Some(set)) => set.matched,
        (sets, _) => sets
            .iter()
            .map(|it| it.matched)
            .fold(0, u64::saturating_add),
    };
    // Not every version names the participating services, and not for every trace.
    let stats = json.service_stats.filter(|stats| !stats.is_empty());
    let counted = stats.map(errors);
    Ok(FoundTrace {
        id: id(&json.trace_id, 16)?,
        service: json.root_service_name,
        name: json.root_trace_name,
        start_ns: json.start_time_unix_nano,
        duration_ms: json.duration_ms,
        errors: match failed {
            true => Some(counted.unwrap_or(matched).max(1)),
            false => counted,
        },
    })
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum TraceJson {
    /// The second version of Tempo's API.
    Wrapped {
        trace: Batches,
    },
    Bare(Batches),
}

#[derive(Deserialize)]
pub(super) struct Batches {
    #[serde(alias = "resourceSpans")]
    batches: Vec<Batch>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    #[serde(default)]
    resource: ResourceJson,
    #[serde(default, alias = "instrumentationLibrarySpans")]
    scope_spans: Vec<ScopeJson>,
}

#[derive(Deserialize, Default)]
struct ResourceJson {
    #[serde(default)]
    attributes: Vec<Pair>,
}

#[derive(Deserialize)]
struct ScopeJson {
    #[serde(default)]
    spans: Vec<SpanJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpanJson {
    span_id: String,
    #[serde(default)]
    parent_span_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    kind: Json,
    #[serde(default, deserialize_with = "number")]
    start_time_unix_nano: u64,
    #[serde(default, deserialize_with = "number")]
    end_time_unix_nano: u64,
    #[serde(default)]
    attributes: Vec<Pair>,
    #[serde(default)]
    status: StatusJson,
    #[serde(default)]
    events: Vec<EventJson>,
    #[serde(default)]
    dropped_events_count: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventJson {
    #[serde(default, deserialize_with = "number")]
    time_unix_nano: u64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    attributes: Vec<Pair>,
}

#[derive(Deserialize, Default)]
struct StatusJson {
    #[serde(default)]
    code: Json,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    #[serde(default)]
    value: Json,
}

/// In protobuf's JSON, 64-bit numbers are texts, but some servers write numbers.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let json = Json::deserialize(from)?;
    let number = match &json {
        Json::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    number.ok_or_else(|| serde::de::Error::custom(format!("{json} is not a count")))
}

pub(super) fn trace(id: &str, json: TraceJson) -> Result<Trace, ClientError> {
    let (TraceJson::Wrapped { trace: batches } | TraceJson::Bare(batches)) = json;
    let mut spans = Vec::new();
    for batch in batches.batches {
        let named = batch.resource.attributes.iter();
        let mut named = named.filter(|pair| pair.key == "service.name");
        let service = named.next().map_or_else(String::new, |it| text(&it.value));
        for json in batch.scope_spans.into_iter().flat_map(|it| it.spans) {
            if spans.len() == MAX_SPANS {
                return Err(ClientError::TooLarge);
            }
            spans.push(span(&service, json)?);
        }
    }
    let start_ns = spans.iter().map(|it| it.offset_ns).min().unwrap_or(0);
    for span in &mut spans {
        span.offset_ns -= start_ns;
        for event in &mut span.events {
            // An event before its span results from clock differences.
            event.offset_ns = event.offset_ns.saturating_sub(start_ns);
        }
    }
    spans.sort_by_key(|it| it.offset_ns);
    let ends = spans
        .iter()
        .map(|it| it.offset_ns.saturating_add(it.duration_ns));
    Ok(Trace {
        id: format!("{id:0>32}").to_lowercase(),
        start_ns,
        duration_ns: ends.max().unwrap_or(0),
        spans,
    })
}

/// The offset is the absolute start until the start of the trace is known.
fn span(service: &str, json: SpanJson) -> Result<Span, ClientError> {
    let parent = match json.parent_span_id.as_str() {
        "" => None,
        parent => Some(id(parent, 8)?).filter(|id| id.chars().any(|c| c != '0')),
    };
    let (start, end) = (json.start_time_unix_nano, json.end_time_unix_nano);
    let more = json.events.len().saturating_sub(MAX_EVENTS) as u64;
    let events = json.events.into_iter().take(MAX_EVENTS);
    Ok(Span {
        id: id(&json.span_id, 8)?,
        parent,
        service: service.to_owned(),
        name: json.name,
        kind: kind(&json.kind),
        offset_ns: start,
        duration_ns: end.saturating_sub(start),
        status: status(&json.status),
        attributes: texts(json.attributes),
        events: events.map(event).collect(),
        more_events: json.dropped_events_count.saturating_add(more),
    })
}

/// The offset is the absolute time until the start of the trace is known.
fn event(json: EventJson) -> SpanEvent {
    SpanEvent {
        offset_ns: json.time_unix_nano,
        name: json.name,
        attributes: texts(json.attributes),
    }
}

fn texts(pairs: Vec<Pair>) -> BTreeMap<String, String> {
    let pairs = pairs.into_iter();
    pairs.map(|it| (it.key, text(&it.value))).collect()
}

/// Converts an id of `bytes` bytes to hexadecimal digits. The input is hexadecimal (without leading zeros in Tempo's
/// search) or base64.
fn id(text: &str, bytes: usize) -> Result<String, ClientError> {
    let digits = bytes * 2;
    // In base64 these ids have 24 or 12 characters and end with padding.
    let padded = text.ends_with('=');
    if !text.is_empty()
        && text.len() <= digits
        && !padded
        && text.chars().all(|c| c.is_ascii_hexdigit())
    {
        return Ok(format!("{text:0>digits$}").to_lowercase());
    }
    match STANDARD.decode(text) {
        Ok(decoded) if decoded.len() == bytes => Ok(hex::encode(decoded)),
        _ => Err(ClientError::Malformed(format!("{text:?} is not an id"))),
    }
}

fn kind(json: &Json) -> Kind {
    const KINDS: [(&str, Kind); 6] = [
        ("SPAN_KIND_UNSPECIFIED", Kind::Unspecified),
        ("SPAN_KIND_INTERNAL", Kind::Internal),
        ("SPAN_KIND_SERVER", Kind::Server),
        ("SPAN_KIND_CLIENT", Kind::Client),
        ("SPAN_KIND_PRODUCER", Kind::Producer),
        ("SPAN_KIND_CONSUMER", Kind::Consumer),
    ];
    let place = match json {
        Json::String(name) => KINDS.iter().position(|(known, _)| known == name),
        other => other.as_u64().and_then(|it| usize::try_from(it).ok()),
    };
    let known = place.and_then(|place| KINDS.get(place));
    known.map_or(Kind::Unspecified, |(_, kind)| *kind)
}

fn status(json: &StatusJson) -> Status {
    match &json.code {
        code if code == "STATUS_CODE_ERROR" || *code == 2 => Status::Error(json.message.clone()),
        code if code == "STATUS_CODE_OK" || *code == 1 => Status::Ok,
        _ => Status::Unset,
    }
}

/// An OTLP value as text: `{"intValue": "7"}` → 7.
fn text(value: &Json) -> String {
    let inner = match value {
        Json::Object(fields) if fields.len() == 1 => fields.values().next(),
        _ => None,
    };
    match inner.unwrap_or(value) {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
