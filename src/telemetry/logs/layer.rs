//! The `tracing` layer: spans get ids, events become lines.
//!
//! Lines are formatted on the thread that logs. The fields are borrowed, so the writer's thread could
//! format them only after each was copied, and copying an access record costs the caller more
//! (0.33 µs) than writing it out (0.28 µs).

use std::cell::Cell;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::json::{self, JsonString};
use super::queue::Queue;
use crate::telemetry::trace::random_span_id;

/// The load generator says of itself who it is; everything else is the configured service.
const LOAD_TARGET: &str = "concertctl::load";
const LOAD_SERVICE: &str = "concertctl-load";
/// A buffer that grew for one long line is not kept for the short ones.
const KEEP_SCRATCH_BYTES: usize = 4 * 1024;

pub(super) struct JsonLayer {
    pub(super) service_name: &'static str,
    pub(super) queue: Arc<Queue>,
}

/// What a span carries: its identity, and its fields as finished JSON.
struct SpanData {
    trace_id: u128,
    span_id: u64,
    parent_span_id: Option<u64>,
    fields: SpanFields,
}

#[derive(Default)]
struct SpanFields {
    json: Vec<u8>,
    /// Name, and where its value ends in `json`.
    ends: Vec<(&'static str, usize)>,
    trace_id: Option<u128>,
    span_id: Option<u64>,
    parent_span_id: Option<u64>,
}

impl SpanFields {
    /// Room for what a request's span usually carries, in one piece.
    fn with_room() -> SpanFields {
        SpanFields {
            json: Vec::with_capacity(128),
            ends: Vec::with_capacity(4),
            ..SpanFields::default()
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        starts
            .zip(&self.ends)
            .map(|(start, (name, end))| (*name, &self.json[start..*end]))
    }
}

impl<S> Layer<S> for JsonLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = SpanFields::with_room();
        attributes.record(&mut SpanVisitor(&mut fields));
        let parent = span.parent().and_then(|parent| {
            let extensions = parent.extensions();
            let data = extensions.get::<SpanData>()?;
            Some((data.trace_id, data.span_id))
        });
        let data = SpanData {
            trace_id: fields
                .trace_id
                .or(parent.map(|(trace_id, _)| trace_id))
                .unwrap_or_else(|| crate::telemetry::TraceContext::fresh().trace_id),
            span_id: fields.span_id.unwrap_or_else(random_span_id),
            parent_span_id: fields.parent_span_id.or(parent.map(|(_, span_id)| span_id)),
            fields,
        };
        span.extensions_mut().insert(data);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(data) = span.extensions_mut().get_mut::<SpanData>() {
            values.record(&mut SpanVisitor(&mut data.fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        thread_local! {
            static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        // Taken, not borrowed: a `Debug` that itself logs must find something.
        let mut line = SCRATCH.try_with(Cell::take).unwrap_or_default();
        line.clear();
        let timestamp_us = json::now_us();
        let metadata = event.metadata();
        let service = self.service_of(metadata);
        format_line(
            &mut line,
            timestamp_us,
            service,
            event,
            context.event_span(event),
        );
        self.queue
            .push(timestamp_us, *metadata.level(), service, &line);
        if line.capacity() <= KEEP_SCRATCH_BYTES {
            let _thread_is_ending = SCRATCH.try_with(|scratch| scratch.set(line));
        }
    }
}

impl JsonLayer {
    fn service_of(&self, metadata: &Metadata<'_>) -> &'static str {
        match metadata.target().strip_prefix(LOAD_TARGET) {
            Some(rest) if rest.is_empty() || rest.starts_with("::") => LOAD_SERVICE,
            _ => self.service_name,
        }
    }
}

/// Writes the whole line. Field order is part of the format.
fn format_line<S>(
    line: &mut Vec<u8>,
    timestamp_us: i64,
    service: &'static str,
    event: &Event<'_>,
    span: Option<SpanRef<'_, S>>,
) where
    S: for<'a> LookupSpan<'a>,
{
    let ids = span.as_ref().and_then(|span| {
        let extensions = span.extensions();
        let data = extensions.get::<SpanData>()?;
        Some((data.trace_id, data.span_id, data.parent_span_id))
    });
    line.extend_from_slice(b"{\"timestamp\":\"");
    json::push_timestamp(line, timestamp_us);
    line.extend_from_slice(b"\",\"level\":\"");
    line.extend_from_slice(event.metadata().level().as_str().as_bytes());
    line.extend_from_slice(b"\",\"trace_id\":");
    json::push_id(line, ids.map(|(trace, ..)| trace), 32);
    line.extend_from_slice(b",\"span_id\":");
    json::push_id(line, ids.map(|(_, span, _)| u128::from(span)), 16);
    line.extend_from_slice(b",\"parent_span_id\":");
    json::push_id(
        line,
        ids.and_then(|(.., parent)| parent).map(u128::from),
        16,
    );
    line.extend_from_slice(b",\"service_name\":");
    json::push_str(line, service);
    line.extend_from_slice(b",\"message\":");
    let mut message = MessageVisitor { line, found: false };
    event.record(&mut message);
    if !message.found {
        json::push_str(line, event.metadata().name());
    }
    line.extend_from_slice(b",\"additional_data\":{\"target\":");
    json::push_str(line, event.metadata().target());
    push_additional_data(line, event, span);
    line.extend_from_slice(b"}}\n");
}

/// The event's own fields, then those of its spans from the innermost out; of two fields of one name
/// the nearer wins.
fn push_additional_data<S>(line: &mut Vec<u8>, event: &Event<'_>, span: Option<SpanRef<'_, S>>)
where
    S: for<'a> LookupSpan<'a>,
{
    let mut visitor = FieldVisitor {
        line,
        left_out: false,
    };
    event.record(&mut visitor);
    let FieldVisitor { line, mut left_out } = visitor;
    let mut seen: Vec<&'static str> = Vec::new();
    for span in span.into_iter().flat_map(|span| span.scope()) {
        let extensions = span.extensions();
        let Some(data) = extensions.get::<SpanData>() else {
            continue;
        };
        for (name, value) in data.fields.iter() {
            if seen.contains(&name) || event.metadata().fields().field(name).is_some() {
                continue;
            }
            if json::is_full(line, name.len() + value.len()) {
                left_out = true;
                continue;
            }
            seen.push(name);
            push_name(line, name);
            line.extend_from_slice(value);
        }
    }
    if left_out {
        line.extend_from_slice(b",\"truncated\":true");
    }
}

fn push_name(line: &mut Vec<u8>, name: &str) {
    line.push(b',');
    json::push_str(line, name);
    line.push(b':');
}

/// Writes the field `message` and nothing else.
struct MessageVisitor<'a> {
    line: &'a mut Vec<u8>,
    found: bool,
}

impl Visit for MessageVisitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" && !self.found {
            self.found = true;
            let mut string = JsonString::message(self.line);
            let _stops_when_full = write!(string, "{value:?}");
            string.close();
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" && !self.found {
            self.found = true;
            let mut string = JsonString::message(self.line);
            string.push(value);
            string.close();
        }
    }
}

/// The `Visit` methods of a visitor that has a method `value(field, FnOnce(&mut Vec<u8>))`.
macro_rules! visit_json_values {
    () => {
        fn record_f64(&mut self, field: &Field, value: f64) {
            self.value(field, |out| json::push_f64(out, value));
        }
        fn record_i64(&mut self, field: &Field, value: i64) {
            self.value(field, |out| json::push_int(out, value));
        }
        fn record_i128(&mut self, field: &Field, value: i128) {
            self.value(field, |out| json::push_int(out, value));
        }
        fn record_bool(&mut self, field: &Field, value: bool) {
            self.value(field, |out| json::push_int(out, value));
        }
        fn record_str(&mut self, field: &Field, value: &str) {
            self.value(field, |out| json::push_str(out, value));
        }
        fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
            self.value(field, |out| push_display(out, format_args!("{value}")));
        }
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            self.value(field, |out| push_display(out, format_args!("{value:?}")));
        }
    };
}

fn push_display(out: &mut Vec<u8>, value: fmt::Arguments<'_>) {
    let mut string = JsonString::open(out);
    let _stops_when_full = string.write_fmt(value);
    string.close();
}

/// Writes every field but the message into the line.
struct FieldVisitor<'a> {
    line: &'a mut Vec<u8>,
    left_out: bool,
}

impl FieldVisitor<'_> {
    fn value(&mut self, field: &Field, write: impl FnOnce(&mut Vec<u8>)) {
        let name = field.name();
        if name == "message" {
            return;
        }
        if json::is_full(self.line, name.len()) {
            self.left_out = true;
            return;
        }
        push_name(self.line, name);
        write(self.line);
    }
}

impl Visit for FieldVisitor<'_> {
    visit_json_values!();

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.value(field, |out| json::push_int(out, value));
    }
    fn record_u128(&mut self, field: &Field, value: u128) {
        self.value(field, |out| json::push_int(out, value));
    }
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
