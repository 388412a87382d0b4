//! The `tracing` layer of events: each becomes a line.
//!
//! Lines are formatted on the thread that logs. The fields are borrowed, so the writer's thread could
//! format them only after each was copied, and copying an access record costs the caller more
//! (0.33 µs) than writing it out (0.28 µs).

use std::cell::Cell;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::json::{self, JsonString};
use super::queue::Queue;
use super::spans::SpanData;
use super::visit::{push_display, visit_json_values};

/// The load generator says of itself who it is; everything else is the configured service.
const LOAD_TARGET: &str = "concertctl::load";
const LOAD_SERVICE: &str = "concertctl-load";
/// A buffer that grew for one long line is not kept for the short ones.
const KEEP_SCRATCH_BYTES: usize = 4 * 1024;

pub(super) struct JsonLayer {
    pub(super) service_name: &'static str,
    pub(super) queue: Arc<Queue>,
}

impl<S> Layer<S> for JsonLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
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
    let ids = own_ids(event).or_else(|| {
        let extensions = span.as_ref()?.extensions();
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

/// The ids that an event brings along, when it tells of a step that has no span of `tracing`.
fn own_ids(event: &Event<'_>) -> Option<(u128, u64, Option<u64>)> {
    event.metadata().fields().field("span_id")?;
    let mut ids = IdVisitor::default();
    event.record(&mut ids);
    Some((ids.trace_id?, ids.span_id?, ids.parent_span_id))
}

#[derive(Default)]
struct IdVisitor {
    trace_id: Option<u128>,
    span_id: Option<u64>,
    parent_span_id: Option<u64>,
}

impl Visit for IdVisitor {
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "span_id" => self.span_id = Some(value),
            "parent_span_id" => self.parent_span_id = Some(value),
            _ => {}
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        if field.name() == "trace_id" {
            self.trace_id = Some(value);
        }
    }
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

/// Writes every field but the message into the line.
struct FieldVisitor<'a> {
    line: &'a mut Vec<u8>,
    left_out: bool,
}

impl FieldVisitor<'_> {
    fn value(&mut self, field: &Field, write: impl FnOnce(&mut Vec<u8>)) {
        let name = field.name();
        if matches!(name, "message" | "trace_id" | "span_id" | "parent_span_id") {
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
