//! Spans as the log sees them: each has ids, keeps its fields for the lines within it, and knows the
//! trace that is being collected, if one is.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Span, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Registry};

use super::json;
use super::visit::{push_display, visit_json_values};
use crate::telemetry::trace::{
    Collector, SpanKind, SpanRecord, TraceContext, Traces, nanoseconds, random_span_id,
};

/// What a span carries: its identity, and its fields as finished JSON.
pub(in crate::telemetry) struct SpanData {
    pub(in crate::telemetry) trace_id: u128,
    pub(in crate::telemetry) span_id: u64,
    pub(in crate::telemetry) parent_span_id: Option<u64>,
    pub(in crate::telemetry) trace: Option<Arc<Collector>>,
    pub(super) fields: SpanFields,
    began: Instant,
}

#[derive(Default)]
pub(super) struct SpanFields {
    json: Vec<u8>,
    /// Name, and where its value ends in `json`.
    ends: Vec<(&'static str, usize)>,
    trace_id: Option<u128>,
    span_id: Option<u64>,
    parent_span_id: Option<u64>,
}

impl SpanFields {
    /// Room for what a span with fields usually carries, in one piece; a request's own has none.
    fn make_room(&mut self) {
        if self.ends.capacity() == 0 {
            self.json.reserve(128);
            self.ends.reserve(4);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        starts
            .zip(&self.ends)
            .map(|(start, (name, end))| (*name, &self.json[start..*end]))
    }
}

/// Gives spans what they carry.
pub(in crate::telemetry) struct SpanLayer {
    pub(in crate::telemetry) service_name: &'static str,
    pub(in crate::telemetry) traces: Traces,
}

impl<S> Layer<S> for SpanLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = SpanFields::default();
        attributes.record(&mut SpanVisitor(&mut fields));
        let (mut trace_id, mut parent_span_id, mut trace) =
            (fields.trace_id, fields.parent_span_id, None);
        if let Some(parent) = span.parent()
            && let Some(data) = parent.extensions().get::<SpanData>()
        {
            trace_id = trace_id.or(Some(data.trace_id));
            parent_span_id = parent_span_id.or(Some(data.span_id));
            trace.clone_from(&data.trace);
        }
        let data = SpanData {
            trace_id: trace_id.unwrap_or_else(|| TraceContext::fresh().trace_id),
            span_id: fields.span_id.unwrap_or_else(random_span_id),
            parent_span_id,
            trace,
            fields,
            began: Instant::now(),
        };
        span.extensions_mut().insert(data);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(data) = span.extensions_mut().get_mut::<SpanData>() {
            values.record(&mut SpanVisitor(&mut data.fields));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else {
            return;
        };
        let Some(data) = span.extensions_mut().remove::<SpanData>() else {
            return;
        };
        if let Some(trace) = data.trace
            && trace.root_id() != data.span_id
        {
            trace.add(SpanRecord {
                name: span.name().into(),
                kind: SpanKind::Internal,
                span_id: data.span_id,
                parent_span_id: data.parent_span_id,
                start_ns: trace.unix_ns(data.began),
                duration_ns: nanoseconds(data.began.elapsed()),
                attributes: Vec::new(),
                error: None,
            });
        }
    }
}

/// What `span` carries; `None` where it is not recorded, or by another subscriber.
pub(in crate::telemetry) fn with_data<T>(
    span: &Span,
    look: impl FnOnce(&mut SpanData, &SpanLayer) -> T,
) -> Option<T> {
    span.with_subscriber(|(id, dispatch)| {
        let layer = dispatch.downcast_ref::<SpanLayer>()?;
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        let mut extensions = span.extensions_mut();
        extensions
            .get_mut::<SpanData>()
            .map(|data| look(data, layer))
    })
    .flatten()
}

/// Keeps a span's fields, and picks out the ids a root span brings along.
struct SpanVisitor<'a>(&'a mut SpanFields);

impl SpanVisitor<'_> {
    fn value(&mut self, field: &Field, write: impl FnOnce(&mut Vec<u8>)) {
        let name = field.name();
        let fields = &mut *self.0;
        if let Some(index) = fields.ends.iter().position(|(known, _)| *known == name) {
            fields.remove(index);
        }
        if json::is_full(&fields.json, 0) {
            return;
        }
        fields.make_room();
        write(&mut fields.json);
        fields.ends.push((name, fields.json.len()));
    }
}

impl SpanFields {
    fn remove(&mut self, index: usize) {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before].1);
        let (_, end) = self.ends.remove(index);
        self.json.drain(start..end);
        for (_, later) in &mut self.ends[index..] {
            *later -= end - start;
        }
    }
}

impl Visit for SpanVisitor<'_> {
    visit_json_values!();

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "span_id" => self.0.span_id = Some(value),
            "parent_span_id" => self.0.parent_span_id = Some(value),
            _ => self.value(field, |out| json::push_int(out, value)),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match field.name() {
            "trace_id" => self.0.trace_id = Some(value),
            _ => self.value(field, |out| json::push_int(out, value)),
        }
    }
}
