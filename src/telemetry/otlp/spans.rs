//! Converts the traces that sampling kept to OTLP spans and sends them. `pusher` batches, retries and counts; this
//! module makes one attempt.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind as OtelKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};

use super::pusher::{SendBatch, by_service};
use super::resource::resource;
use super::{Route, exporter};
use crate::telemetry::trace::{SpanKind, SpanRecord, TraceRecord, Value};

/// Sends traces. Each service has its own exporter, because an exporter has one resource.
pub(super) struct Sender {
    route: Route,
    instance: String,
    scope: InstrumentationScope,
    exporters: HashMap<&'static str, SpanExporter>,
}

impl Sender {
    pub(super) fn new(route: Route, instance: String) -> Sender {
        Sender {
            route,
            instance,
            scope: InstrumentationScope::builder("concertctl").build(),
            exporters: HashMap::new(),
        }
    }

    /// The exporter of a service, made at its first use.
    fn exporter(&mut self, service: &'static str) -> anyhow::Result<&SpanExporter> {
        if !self.exporters.contains_key(service) {
            let mut exporter = exporter!(SpanExporter::builder(), &self.route)?;
            exporter.set_resource(&resource(service, Some(&self.instance)));
            self.exporters.insert(service, exporter);
        }
        Ok(&self.exporters[service])
    }
}

/// Blocks the thread of the pusher until the collector has answered.
impl SendBatch<Arc<TraceRecord>> for Sender {
    fn send(&mut self, batch: &[Arc<TraceRecord>]) -> Result<(), String> {
        for (service, traces) in by_service(batch, |trace| trace.service_name) {
            let spans = traces.iter().flat_map(|trace| {
                let id = TraceId::from(trace.trace_id);
                trace.spans.iter().map(move |span| (id, span))
            });
            let spans = spans
                .map(|(id, span)| span_data(id, span, &self.scope))
                .collect();
            let exporter = self.exporter(service).map_err(|error| error.to_string())?;
            futures_executor::block_on(exporter.export(spans))
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

fn span_data(trace: TraceId, span: &SpanRecord, scope: &InstrumentationScope) -> SpanData {
    let start_time = time(span.start_ns);
    let parent = span.parent_span_id.map_or(SpanId::INVALID, SpanId::from);
    SpanData {
        span_context: SpanContext::new(
            trace,
            SpanId::from(span.span_id),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: parent,
        parent_span_is_remote: span.kind == SpanKind::Server && span.parent_span_id.is_some(),
        span_kind: match span.kind {
            SpanKind::Server => OtelKind::Server,
            SpanKind::Client => OtelKind::Client,
            SpanKind::Internal => OtelKind::Internal,
        },
        name: span.name.clone(),
        start_time,
        end_time: start_time + Duration::from_nanos(span.duration_ns),
        attributes: span.attributes.iter().map(attribute).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: match &span.error {
            Some(why) => Status::error(why.clone()),
            None => Status::Unset,
        },
        instrumentation_scope: scope.clone(),
    }
}

fn attribute((name, value): &(&'static str, Value)) -> KeyValue {
    match value {
        Value::Text(text) => KeyValue::new(*name, text.clone()),
        Value::Int(number) => KeyValue::new(*name, *number),
        Value::Float(number) => KeyValue::new(*name, *number),
        Value::Bool(yes) => KeyValue::new(*name, *yes),
    }
}

fn time(unix_ns: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(unix_ns)
}
