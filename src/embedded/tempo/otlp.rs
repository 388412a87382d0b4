//! Writes a trace in OpenTelemetry's protobuf, and in Tempo's JSON.
//!
//! Tempo's JSON is that of Go's `jsonpb`: ids are in base64, 64-bit numbers are texts, enumerations are names, and
//! default values are left out. The list of resources is `batches` in the first version of the API and
//! `resourceSpans` in the second (<https://grafana.com/docs/tempo/latest/api_docs/#query-v2>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Proto;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status, TracesData, span::SpanKind as ProtoKind,
    status::StatusCode,
};
use prost::Message;
use serde_json::{Map, Value as Json, json};

use super::trace::{Trace, ValueRef, end_of, resource};
use crate::telemetry::{SpanKind, SpanRecord, TraceRecord};

/// The instrumentation scope of all spans.
const SCOPE: &str = "concertctl";

/// Tempo's response in the second version of the API.
#[derive(Clone, PartialEq, Message)]
struct TraceByIdResponse {
    /// It has the same wire format as Tempo's own `Trace`.
    #[prost(message, optional, tag = "1")]
    trace: Option<TracesData>,
}

/// The version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// The trace in protobuf.
pub(super) fn protobuf(trace: &Trace, version: Version) -> Vec<u8> {
    let data = traces_data(trace);
    match version {
        Version::One => data.encode_to_vec(),
        Version::Two => TraceByIdResponse { trace: Some(data) }.encode_to_vec(),
    }
}

/// The trace in JSON.
pub(super) fn json(trace: &Trace, version: Version) -> Json {
    let records = trace.records().iter();
    let batches: Json = records.map(|record| batch(record)).collect();
    match version {
        Version::One => json!({ "batches": batches }),
        Version::Two => json!({ "trace": { "resourceSpans": batches }, "metrics": {} }),
    }
}

fn traces_data(trace: &Trace) -> TracesData {
    let of_record = |record: &TraceRecord| ResourceSpans {
        resource: Some(Resource {
            attributes: resource(record)
                .map(|(name, value)| pair(name, ValueRef::Text(value)))
                .collect(),
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            // Grafana reads scope and status without a check that they exist.
            scope: Some(InstrumentationScope {
                name: SCOPE.to_owned(),
                ..InstrumentationScope::default()
            }),
            spans: record
                .spans
                .iter()
                .map(|span| proto_span(record.trace_id, span))
                .collect(),
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    };
    let records = trace.records().iter();
    TracesData {
        resource_spans: records.map(|record| of_record(record)).collect(),
    }
}

fn proto_span(trace_id: u128, span: &SpanRecord) -> Span {
    let parent = span.parent_span_id;
    let attributes = span.attributes.iter();
    Span {
        trace_id: trace_id.to_be_bytes().to_vec(),
        span_id: span.span_id.to_be_bytes().to_vec(),
        parent_span_id: parent.map_or_else(Vec::new, |id| id.to_be_bytes().to_vec()),
        name: span.name.clone().into_owned(),
        kind: proto_kind(span.kind) as i32,
        start_time_unix_nano: span.start_ns,
        end_time_unix_nano: end_of(span),
        attributes: attributes
            .map(|(name, value)| pair(name, ValueRef::from(value)))
            .collect(),
        status: Some(match &span.error {
            None => Status::default(),
            Some(why) => Status {
                message: why.clone().into_owned(),
                code: StatusCode::Error as i32,
            },
        }),
        ..Span::default()
    }
}

fn proto_kind(kind: SpanKind) -> ProtoKind {
    match kind {
        SpanKind::Server => ProtoKind::Server,
        SpanKind::Client => ProtoKind::Client,
        SpanKind::Internal => ProtoKind::Internal,
    }
}

fn pair(name: &str, value: ValueRef<'_>) -> KeyValue {
    let value = match value {
        ValueRef::Text(text) => Proto::StringValue(text.to_owned()),
        ValueRef::Int(number) => Proto::IntValue(number),
        ValueRef::Float(number) => Proto::DoubleValue(number),
        ValueRef::Bool(yes) => Proto::BoolValue(yes),
    };
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// A name and a value in JSON.
pub(super) fn json_pair(name: &str, value: ValueRef<'_>) -> Json {
    let value = match value {
        ValueRef::Text(text) => json!({ "stringValue": text }),
        ValueRef::Int(number) => json!({ "intValue": number.to_string() }),
        // JSON cannot express these numbers.
        ValueRef::Float(number) if !number.is_finite() => {
            let word = match number {
                f64::INFINITY => "Infinity",
                f64::NEG_INFINITY => "-Infinity",
                _ => "NaN",
            };
            json!({ "doubleValue": word })
        }
        ValueRef::Float(number) => json!({ "doubleValue": number }),
        ValueRef::Bool(yes) => json!({ "boolValue": yes }),
    };
    json!({ "key": name, "value": value })
}

fn batch(record: &TraceRecord) -> Json {
    let attributes: Json = resource(record)
        .map(|(name, value)| json_pair(name, ValueRef::Text(value)))
        .collect();
    let spans: Json = record
        .spans
        .iter()
        .map(|span| json_span(record.trace_id, span))
        .collect();
    json!({
        "resource": { "attributes": attributes },
        "scopeSpans": [{ "scope": { "name": SCOPE }, "spans": spans }],
    })
}

fn json_span(trace_id: u128, span: &SpanRecord) -> Json {
    let mut json = Map::new();
    let mut set = |name: &str, value: Json| {
        json.insert(name.to_owned(), value);
    };
    set("traceId", STANDARD.encode(trace_id.to_be_bytes()).into());
    set("spanId", STANDARD.encode(span.span_id.to_be_bytes()).into());
    if let Some(parent) = span.parent_span_id {
        set("parentSpanId", STANDARD.encode(parent.to_be_bytes()).into());
    }
    set("name", (*span.name).into());
    set("kind", proto_kind(span.kind).as_str_name().into());
    set("startTimeUnixNano", span.start_ns.to_string().into());
    set("endTimeUnixNano", end_of(span).to_string().into());
    if !span.attributes.is_empty() {
        let attributes = span.attributes.iter();
        let pairs = attributes.map(|(name, value)| json_pair(name, ValueRef::from(value)));
        set("attributes", pairs.collect());
    }
    let status = match &span.error {
        None => json!({}),
        Some(why) if why.is_empty() => json!({ "code": StatusCode::Error.as_str_name() }),
        Some(why) => json!({ "message": why, "code": StatusCode::Error.as_str_name() }),
    };
    set("status", status);
    Json::Object(json)
}
