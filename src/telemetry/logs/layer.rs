//! The `tracing` layer that turns each event into a line.

use std::error::Error;
use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::json::{self, JsonString};
use super::output::{Output, push_head};
use crate::telemetry::TraceContext;
use crate::telemetry::trace::current_context;

/// Records of this target have the load generator's service name. All others have the configured one.
const LOAD_TARGET: &str = "concertctl::load";
const LOAD_SERVICE: &str = "concertctl-load";

pub(super) struct JsonLayer(pub(super) Output);

impl<S: Subscriber> Layer<S> for JsonLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let service = self.service_of(metadata);
        let context = own_ids(event).or_else(current_context);
        let level = *metadata.level();
        self.0.line(level, service, |line, timestamp_us| {
            push_head(line, timestamp_us, level, context, service);
            push_event(line, event);
        });
    }
}

impl JsonLayer {
    fn service_of(&self, metadata: &Metadata<'_>) -> &'static str {
        match metadata.target().strip_prefix(LOAD_TARGET) {
            Some(rest) if rest.is_empty() || rest.starts_with("::") => LOAD_SERVICE,
            _ => self.0.service_name,
        }
    }
}

/// Writes message and fields.
fn push_event(line: &mut Vec<u8>, event: &Event<'_>) {
    let mut message = MessageVisitor { line, found: false };
    event.record(&mut message);
    let MessageVisitor { line, found } = message;
    if !found {
        json::push_str(line, event.metadata().name());
    }
    line.extend_from_slice(b",\"additional_data\":{\"target\":");
    json::push_str(line, event.metadata().target());
    let mut fields = FieldVisitor {
        line,
        left_out: false,
    };
    event.record(&mut fields);
    let FieldVisitor { line, left_out } = fields;
    if left_out {
        line.extend_from_slice(b",\"truncated\":true");
    }
    line.extend_from_slice(b"}}\n");
}

/// The ids in an event that reports a step.
fn own_ids(event: &Event<'_>) -> Option<TraceContext> {
    event.metadata().fields().field("span_id")?;
    let mut ids = IdVisitor::default();
    event.record(&mut ids);
    Some(TraceContext {
        trace_id: ids.trace_id?,
        span_id: ids.span_id?,
        parent_span_id: ids.parent_span_id,
        sampled: None,
    })
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

/// Writes only the field `message`.
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

/// Writes every field except the message.
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
        self.line.push(b',');
        json::push_str(self.line, name);
        self.line.push(b':');
        write(self.line);
    }
}

impl Visit for FieldVisitor<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.value(field, |out| json::push_f64(out, value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.value(field, |out| json::push_int(out, value));
    }
    fn record_i128(&mut self, field: &Field, value: i128) {
        self.value(field, |out| json::push_int(out, value));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.value(field, |out| json::push_int(out, value));
    }
    fn record_u128(&mut self, field: &Field, value: u128) {
        self.value(field, |out| json::push_int(out, value));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        let text = if value { "true" } else { "false" };
        self.value(field, |out| out.extend_from_slice(text.as_bytes()));
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
}

fn push_display(out: &mut Vec<u8>, value: fmt::Arguments<'_>) {
    let mut string = JsonString::open(out);
    let _stops_when_full = string.write_fmt(value);
    string.close();
}
